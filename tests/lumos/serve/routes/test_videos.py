"""`/v1/videos` as its clients see it."""

import base64
import io
import json
import threading
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from lumos.media.decoding.video import Video
from lumos.media.writing import write_video
from lumos.serve.storage import files
from tests.lumos.serve.standin import VIDEO, Server, events, fault_of, picture


def frames_of(content: bytes) -> list[np.ndarray]:
    with av.open(io.BytesIO(content)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_a_video_is_asked_for_made_and_fetched(server: Server) -> None:
    asked = server.create(seconds="2", size="32x64", fps=3)
    assert asked["id"].startswith("video_")
    assert asked["object"] == "video"
    assert asked["status"] in ("queued", "in_progress")
    done = server.finished(asked["id"])
    assert (done["status"], done["progress"], done["size"], done["seed"]) == ("completed", 100, "32x64", 7)
    assert done["completed_at"] >= done["created_at"]
    assert done["expires_at"] > done["completed_at"]
    answer = server.client.get(f"/v1/videos/{asked['id']}/content")
    assert answer.headers["content-type"] == "video/mp4"
    frames = frames_of(answer.content)
    assert len(frames) == done["num_frames"] == 9  # 3 fps x 2 s, and those that come with the last latent frame
    assert frames[0].shape == (64, 32, 3)


def test_thumbnail_and_spritesheet_are_pictures_of_it(server: Server) -> None:
    video_id = server.create()["id"]
    server.finished(video_id)
    content = f"/v1/videos/{video_id}/content"
    thumbnail = Image.open(io.BytesIO(server.client.get(content, params={"variant": "thumbnail"}).content))
    sheet = Image.open(io.BytesIO(server.client.get(content, params={"variant": "spritesheet"}).content))
    assert (thumbnail.format, thumbnail.size) == ("WEBP", (64, 32))
    assert (sheet.format, sheet.size) == ("JPEG", (5 * 64, 32))
    assert fault_of(server.client.get(content, params={"variant": "poster"}), 400)["param"] == "variant"


def test_a_form_says_the_same_as_json(server: Server) -> None:
    fields = {"prompt": "a red circle", "seed": "9", "seconds": "2", "guidance_scale": "1.5", "temperature": "0.5"}
    form = server.client.post("/v1/videos", data=fields, files={"input_reference": ("a/../b.png", picture())})
    server.finished(form.json()["id"])
    made = server.model.made[-1]
    assert (made.seed, made.given) == (9, {"duration": 2, "guidance_scale": 1.5, "temperature": 0.5})
    assert made.picture is not None
    assert made.picture.name == files.PICTURE
    assert form.json()["size"] == "32x64"  # the size nearest to the picture's


def test_a_picture_may_be_a_data_address(server: Server) -> None:
    address = "data:image/png;base64," + base64.b64encode(picture()).decode()
    for reference in (address, {"image_url": address}):
        server.finished(server.create(input_reference=reference)["id"])
        assert server.model.made[-1].picture is not None
    unfetched = server.client.post("/v1/videos", json={**VIDEO, "reference_url": "https://localhost/a.png"})
    assert "nothing is fetched" in fault_of(unfetched, 400)["message"]
    path = server.client.post("/v1/videos", json={**VIDEO, "input_reference": "/etc/passwd"})
    assert "no path is read" in fault_of(path, 400)["message"]


def test_the_queue_has_an_end(server: Server) -> None:
    server.model.gate.clear()
    first = server.create()
    for event, _ in events(server.client, first["id"]):
        if event == "video.frame":
            break  # it is in work, and waits for nothing now
    waiting = [server.create() for _ in range(3)]
    assert [server.state(one["id"])["queue_position"] for one in waiting] == [0, 1, 2]
    answer = server.client.post("/v1/videos", json=VIDEO)
    assert fault_of(answer, 429)["code"] == "queue_full"
    assert int(answer.headers["retry-after"]) >= 1


def test_one_bad_job_never_stops_the_queue_and_tells_nothing_of_the_server(server: Server) -> None:
    broken, full, good = (server.create(prompt=prompt)["id"] for prompt in ("break", "full disk", "a red circle"))
    error = server.finished(broken)["error"]
    assert error["code"] == "server_error"
    assert "RuntimeError" in error["message"]
    assert server.finished(full)["error"]["code"] == "storage_error"
    assert "/secret" not in json.dumps(server.client.get("/v1/videos").json())
    assert server.finished(good)["status"] == "completed"
    assert server.state(broken)["status"] == "failed"
    assert fault_of(server.client.get(f"/v1/videos/{broken}/content"), 422)["code"] == "video_failed"
    assert not server.serving.files.of(broken, files.VIDEO).exists()


def test_a_running_video_is_deleted_with_all_that_is_of_it(server: Server) -> None:
    server.model.gate.clear()
    running, waiting = server.create()["id"], server.create()["id"]
    answers = [server.client.delete(f"/v1/videos/{one}") for one in (running, waiting)]
    assert [one.json() for one in answers] == [
        {"id": one, "object": "video.deleted", "deleted": True} for one in (running, waiting)
    ]
    assert fault_of(server.client.get(f"/v1/videos/{running}"), 404)["code"] == "video_not_found"
    assert fault_of(server.client.delete(f"/v1/videos/{running}"), 404)["code"] == "video_not_found"
    after = server.create(prompt="another")["id"]  # is begun although the gate is closed: the first one has ended
    server.model.gate.set()
    assert server.finished(after)["status"] == "completed"
    assert {path.name for path in server.serving.files.root.iterdir() if path.is_dir()} == {after}


def test_what_is_not_finished_is_neither_fetched_nor_remixed(server: Server) -> None:
    server.model.gate.clear()
    video_id = server.create()["id"]
    assert fault_of(server.client.get(f"/v1/videos/{video_id}/content"), 404)["code"] == "video_not_ready"
    remix = server.client.post(f"/v1/videos/{video_id}/remix", json={"prompt": "a blue circle"})
    assert fault_of(remix, 409)["code"] == "video_not_ready"
    longer = server.client.post("/v1/videos/extensions", json={"prompt": "x", "video": {"id": video_id}})
    assert fault_of(longer, 409)["code"] == "video_not_ready"


def test_a_remix_is_the_same_request_with_another_prompt(server: Server) -> None:
    form = {"prompt": "a", "seed": "3", "fps": "3"}
    source = server.client.post("/v1/videos", data=form, files={"input_reference": ("x.png", picture())}).json()
    server.finished(source["id"])
    remix = server.client.post(f"/v1/videos/{source['id']}/remix", json={"prompt": "b"}).json()
    assert server.finished(remix["id"])["status"] == "completed"
    assert remix["remixed_from_video_id"] == source["id"]
    first, second = server.model.made
    assert (second.prompt, second.seed, second.given["fps"]) == ("b", 3, 3)
    assert first.picture != second.picture
    extra = server.client.post(f"/v1/videos/{source['id']}/remix", json={"prompt": "b", "seed": 1})
    assert fault_of(extra, 400)["param"] == "seed"


def test_an_extension_is_the_clip_and_as_many_seconds_more_as_are_asked_for(server: Server) -> None:
    source = server.create()["id"]
    server.finished(source)
    before = server.client.get(f"/v1/videos/{source}/content").content
    asked = {"prompt": "b", "seconds": "1", "seed": 1}
    by_id = server.client.post("/v1/videos/extensions", json={**asked, "video": {"id": source}})
    upload = server.client.post("/v1/videos/extensions", data=asked, files={"video": ("x.mp4", before)})
    by_object = server.client.post("/v1/videos/extensions", data={**asked, "video": json.dumps({"id": source})})
    for answer in (by_id, upload, by_object):
        done = server.finished(answer.json()["id"])
        assert done["status"] == "completed"
        frames = frames_of(server.client.get(f"/v1/videos/{answer.json()['id']}/content").content)
        assert len(frames) == done["num_frames"] == 5 + 4
        assert abs(frames[4].astype(int) - frames_of(before)[4]).max() < 12
        assert abs(frames[5].astype(int) - (1, 0, 0)).max() < 12  # the first new one
        work = server.model.made[-1]
        assert (work.picture, work.before and work.before.name) == (None, files.BEFORE)
    assert b'lumos_frames_total{model="red"} 17.0' in server.client.get("/metrics").content  # 5 and 3 times 4 are new


def test_an_extension_takes_the_rate_of_its_clip_and_is_as_long_as_a_clip_where_nothing_is_said(
    server: Server, tmp_path: Path
) -> None:
    server.model.gate.clear()
    write_video(tmp_path / "x.mp4", np.zeros((3, 32, 64, 3), np.uint8), fps=6)
    clip = ("x.mp4", (tmp_path / "x.mp4").read_bytes())
    for fields, num_new in (({}, 6), ({"num_frames": "2"}, 2), ({"seconds": "0.5"}, 3)):
        asked = {"prompt": "b", **fields}
        made = server.client.post("/v1/videos/extensions", data=asked, files={"video": clip}).json()
        assert (made["fps"], made["num_frames"]) == (6, 3 + num_new)
    other = server.client.post("/v1/videos/extensions", data={"prompt": "b", "fps": "3"}, files={"video": clip})
    assert "the clip has 6 frames a second, and 3 are made" in fault_of(other, 400)["message"]


def test_a_clip_made_with_a_target_size_goes_on_and_endless_seconds_are_refused(server: Server) -> None:
    source = server.create(prompt="a", target_size=64)["id"]
    server.finished(source)
    asked = {"prompt": "b", "video": {"id": source}}
    made = server.client.post("/v1/videos/extensions", json={**asked, "num_frames": 4}).json()
    assert server.finished(made["id"])["status"] == "completed"
    assert fault_of(server.client.post("/v1/videos/extensions", json={**asked, "seconds": 1e308}), 400)["param"]


def test_what_an_extension_cannot_be_is_refused_and_its_own_size_may_be_said(server: Server) -> None:
    source = server.create()["id"]
    server.finished(source)
    asked = {"prompt": "b", "video": {"id": source}, "num_frames": 4}
    for name, value, said in (
        ("n", 2, "send the request 2 times"),
        ("num_outputs_per_prompt", 2, "send the request 2 times"),
        ("size", "32x64", "the size of its clip, 64x32"),
        ("width", 128, "the size of its clip, 64x32"),
        ("target_size", 64, "the size of its clip"),
        ("duration", 3, "say as seconds"),
    ):
        error = fault_of(server.client.post("/v1/videos/extensions", json={**asked, name: value}), 400)
        assert (error["param"], said in error["message"]) == (name, True), error
    same = server.client.post("/v1/videos/extensions", json={**asked, "n": 1, "size": "64x32"})
    assert server.finished(same.json()["id"])["size"] == "64x32"


def test_a_prompt_changes_where_then_says_so(server: Server) -> None:
    asked = {"prompt": "it moves right", "then": [[1, "it moves up"]]}
    made = server.create(**asked)
    form = {"prompt": "it moves right", "then": '[[1, "it moves up"]]'}
    for video in (made, server.client.post("/v1/videos", data=form).json()):
        assert server.finished(video["id"])["then"] == [[1, "it moves up"]]
        assert server.model.made[-1].then == [[1, "it moves up"]]
    key = {"idempotency-key": "k1"}
    ids = {server.client.post("/v1/videos", json=asked, headers=key).json()["id"] for _ in range(2)}
    assert len(ids) == 1
    remix = server.client.post(f"/v1/videos/{made['id']}/remix", json={"prompt": "b"}).json()
    assert remix["then"] is None  # the new prompt is that of the whole clip


def test_a_clip_that_is_none_or_too_long_is_not_extended(
    refusing: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_video(tmp_path / "long.mp4", np.zeros((41, 32, 64, 3), np.uint8), fps=8)
    for content, status in ((b"nonsense", 400), ((tmp_path / "long.mp4").read_bytes(), 413)):
        answer = refusing.client.post(
            "/v1/videos/extensions", data={"prompt": "b"}, files={"video": ("x.mp4", content)}
        )
        assert fault_of(answer, status)["param"] == "video"
    write_video(tmp_path / "large.mp4", np.zeros((41, 96, 96, 3), np.uint8), fps=8)
    large = {"video": ("x.mp4", (tmp_path / "large.mp4").read_bytes())}
    monkeypatch.setattr(Video, "from_start", lambda self: pytest.fail("a frame is decoded"))
    answer = refusing.client.post("/v1/videos/extensions", data={"prompt": "b"}, files=large)
    assert "more than 4096 pixels" in fault_of(answer, 413)["message"]
    nothing = refusing.client.post("/v1/videos/extensions", json={"prompt": "b"})
    assert fault_of(nothing, 400)["param"] == "video"
    other = refusing.client.post("/v1/videos/extensions", json={"prompt": "b", "video": {"id": "../../etc/passwd"}})
    assert fault_of(other, 404)["code"] == "video_not_found"


@pytest.mark.parametrize(
    "video_id", ["..", "%2e%2e%2fjobs.sqlite3", "video_..", "video_" + "0" * 32, "x" * 5000, "%00"]
)
def test_an_id_that_is_none_of_ours_is_not_found(refusing: Server, video_id: str) -> None:
    answers = [refusing.client.get(f"/v1/videos/{video_id}/{what}") for what in ("content", "events")]
    answers.append(refusing.client.delete(f"/v1/videos/{video_id}"))
    assert [fault_of(answer, 404)["type"] for answer in answers] == ["invalid_request_error"] * 3


def test_pages_of_the_list_hold_every_video_once(server: Server) -> None:
    ids = [server.create()["id"] for _ in range(3)]
    for one in ids:
        server.finished(one)
    for order, expected in (("desc", ids[::-1]), ("asc", ids)):
        first = server.client.get("/v1/videos", params={"limit": 2, "order": order}).json()
        assert ([one["id"] for one in first["data"]], first["has_more"]) == (expected[:2], True)
        assert (first["object"], first["first_id"], first["last_id"]) == ("list", expected[0], expected[1])
        rest = server.client.get("/v1/videos", params={"after": first["last_id"], "order": order}).json()
        assert ([one["id"] for one in rest["data"]], rest["has_more"]) == (expected[2:], False)
    for wrong in ({"limit": 0}, {"limit": 101}, {"limit": "x"}, {"order": "up"}, {"after": "video_x"}):
        assert fault_of(server.client.get("/v1/videos", params=wrong), 400)["param"] == next(iter(wrong))


def test_a_request_that_is_sent_again_under_its_key_makes_one_job(server: Server) -> None:
    key = {"idempotency-key": "k1"}
    asked = {"prompt": "a red circle"}
    first, again = (server.client.post("/v1/videos", json=asked, headers=key).json() for _ in range(2))
    assert first["id"] == again["id"]
    other = server.client.post("/v1/videos", json={"prompt": "b"}, headers=key)
    assert fault_of(other, 422)["code"] == "idempotency_key_reused"


def test_two_clients_at_once_get_a_job_each(server: Server) -> None:
    made: list[str] = []
    threads = [threading.Thread(target=lambda: made.append(server.create()["id"])) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 3
    assert {server.finished(one)["status"] for one in made} == {"completed"}
