"""Who watches: nothing is left behind by those who come late or leave early."""

import pytest

from lumos.serve.generation.feeds import Feeds
from tests.lumos.serve.standin import VIDEO, Server, events


def test_a_feed_that_nobody_makes_goes_with_the_last_who_watches() -> None:
    feeds = Feeds()
    with feeds.watched("a") as first:
        with feeds.watched("a") as second:
            assert first is second
        assert feeds.number == 1
    assert feeds.number == 0


def test_a_feed_that_is_made_stays_until_it_ends() -> None:
    feeds = Feeds()
    with feeds.watched("a") as seen:
        made = feeds.of("a")
        assert made is seen
    made.add(b"x")
    assert feeds.find("a") is made
    feeds.end("a")
    assert (feeds.number, made.is_closed) == (0, True)


@pytest.mark.parametrize("form", ["url", "b64_json"])
def test_images_of_one_request_leave_no_feed(server: Server, form: str) -> None:
    asked = {"prompt": "a", "n": 3, "response_format": form}
    assert len(server.client.post("/v1/images/generations", json=asked).json()["data"]) == 3
    assert server.serving.feeds.number == 0


def test_one_who_leaves_a_video_that_is_finished_leaves_no_feed(server: Server) -> None:
    video_id = server.create(**VIDEO)["id"]
    server.finished(video_id)
    seen = events(server.client, video_id)
    next(seen)
    seen.close()
    assert server.serving.feeds.number == 0
