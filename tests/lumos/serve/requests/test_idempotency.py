"""One key, one request: what was sent twice is one job, and what only looks alike is refused."""

import io
import threading
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lumos.media.writing import write_video
from lumos.serve.generation import recording
from tests.lumos.serve.standin import VIDEO, Server

KEY = {"idempotency-key": "k1"}


def picture(colour: str) -> dict[str, Any]:
    file = io.BytesIO()
    Image.new("RGB", (32, 32), colour).save(file, "PNG")
    return {"input_reference": ("x.png", file.getvalue())}


@pytest.mark.parametrize("other", [{"seed": 8}, {"seed": None}, {"prompt": "b"}, {"num_frames": 5}], ids=str)
def test_other_fields_under_the_same_key_are_refused(server: Server, other: dict[str, Any]) -> None:
    fields = {name: value for name, value in {**VIDEO, **other}.items() if value is not None}
    first, again = (server.client.post("/v1/videos", json=VIDEO, headers=KEY).json()["id"] for _ in range(2))
    assert first == again
    answer = server.client.post("/v1/videos", json=fields, headers=KEY)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "idempotency_key_reused")


def test_another_picture_under_the_same_key_is_refused_and_the_same_is_one_job(server: Server) -> None:
    ids = {server.client.post("/v1/videos", data=VIDEO, files=picture("red"), headers=KEY).json()["id"] for _ in "12"}
    assert len(ids) == 1
    other = server.client.post("/v1/videos", data=VIDEO, files=picture("blue"), headers=KEY)
    assert other.json()["error"]["code"] == "idempotency_key_reused"
    server.finished(ids.pop())
    assert server.model.made[-1].picture is not None


def test_another_clip_or_address_under_the_same_key_is_refused(server: Server, tmp_path: Any) -> None:
    clips = []
    for level in (0, 200):
        write_video(tmp_path / "x.mp4", np.full((3, 32, 64, 3), level, np.uint8), fps=4)
        clips.append({"video": ("x.mp4", (tmp_path / "x.mp4").read_bytes())})
    asked = {"prompt": "b", "num_frames": "2"}
    answers = [server.client.post("/v1/videos/extensions", data=asked, files=one, headers=KEY) for one in clips]
    assert [answer.status_code for answer in answers] == [200, 422]
    sources = [server.create(prompt=prompt)["id"] for prompt in ("a", "a")]
    for source in sources:
        server.finished(source)
    key = {"idempotency-key": "k2"}
    remixes = [server.client.post(f"/v1/videos/{one}/remix", json={"prompt": "c"}, headers=key) for one in sources]
    assert [answer.status_code for answer in remixes] == [200, 422]


def test_what_was_sent_under_a_key_is_no_part_of_a_remix_or_a_record(server: Server) -> None:
    source = server.client.post("/v1/videos", json=VIDEO, headers=KEY).json()["id"]
    server.finished(source)
    remix = server.client.post(f"/v1/videos/{source}/remix", json={"prompt": "c"}).json()["id"]
    kept = [server.serving.store.get(one) for one in (source, remix)]
    assert [job.request.sent is None for job in kept if job is not None] == [False, True]
    assert "sent" not in server.client.get(f"/v1/videos/{source}/record").json()


IMAGES = "/v1/images/generations"


@pytest.mark.parametrize("form", ["b64_json", "url"])
def test_images_that_are_asked_for_twice_are_made_once_and_answered_alike(server: Server, form: str) -> None:
    asked = {"prompt": "a", "n": 2, "response_format": form}  # without a seed: it is drawn once
    first, again = (server.client.post(IMAGES, json=asked, headers=KEY) for _ in range(2))
    assert (first.status_code, first.json()) == (200, again.json())
    assert len(server.model.made) == 2
    for other in ({**asked, "n": 1}, {**asked, "prompt": "b"}):
        answer = server.client.post(IMAGES, json=other, headers=KEY)
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "idempotency_key_reused")
    assert server.client.post("/v1/videos", json={"prompt": "a"}, headers=KEY).status_code == 422


def test_images_that_are_asked_for_again_while_they_are_made_are_waited_for_by_both(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go = threading.Event(), threading.Event()
    write = recording.write_image

    def held_back(*args: Any) -> None:
        begun.set()
        assert go.wait(20)
        write(*args)

    monkeypatch.setattr(recording, "write_image", held_back)
    answers: list[Any] = []
    ask = lambda: answers.append(server.client.post(IMAGES, json={"prompt": "a", "n": 2}, headers=KEY).json())  # noqa: E731
    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert begun.wait(20)
    go.set()
    for thread in threads:
        thread.join()
    assert answers[0] == answers[1]
    assert (len(answers[0]["data"]), len(server.model.made)) == (2, 2)


def test_images_that_failed_under_a_key_fail_alike(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(*args: Any) -> None:
        raise RuntimeError("it broke")

    monkeypatch.setattr(recording, "write_image", breaks)
    first, again = (server.client.post(IMAGES, json={"prompt": "a"}, headers=KEY) for _ in range(2))
    assert (first.status_code, first.json()) == (500, again.json())
    assert len(server.model.made) == 1


@pytest.mark.parametrize("key", ["", "x" * 201, "a\tb"])
def test_a_key_that_is_none_is_refused(refusing: Server, key: str) -> None:
    answer = refusing.client.post("/v1/videos", json=VIDEO, headers={"idempotency-key": key})
    assert answer.status_code == 400
    assert "Idempotency-Key" in answer.json()["error"]["message"]


def test_a_request_that_is_sent_again_has_its_answer_also_when_its_source_is_gone(server: Server) -> None:
    source = server.create()["id"]
    server.finished(source)
    asked: dict[str, dict[str, Any]] = {
        f"/v1/videos/{source}/remix": {"prompt": "b"},
        "/v1/videos/extensions": {"prompt": "b", "video": {"id": source}, "num_frames": 4},
    }

    def answers() -> list[tuple[int, Any]]:
        told = [server.client.post(path, json=asked[path], headers={"idempotency-key": path}) for path in asked]
        return [(one.status_code, one.json().get("id")) for one in told]

    first = answers()
    assert [status for status, _ in first] == [200, 200]
    server.client.delete(f"/v1/videos/{source}")
    assert answers() == first
    other = server.client.post("/v1/videos", json=VIDEO, headers={"idempotency-key": next(iter(asked))})
    assert (other.status_code, other.json()["error"]["code"]) == (422, "idempotency_key_reused")
