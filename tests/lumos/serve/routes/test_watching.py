"""Frames as they are made, over server-sent events and a WebSocket."""

import base64
import io
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import WebSocketDenialResponse

from tests.lumos.serve.standin import Server, events


def test_frames_come_while_the_video_is_made_and_then_the_video(server: Server) -> None:
    server.model.gate.clear()
    video_id = server.create()["id"]
    seen: list[tuple[str, dict[str, Any]]] = []
    for event, message in events(server.client, video_id):
        assert message["type"] == event
        seen.append((event, message))
        if event == "video.frame":
            server.model.gate.set()  # the second frame is not made before the first one was seen
    frames = [message for event, message in seen if event == "video.frame"]
    assert [frame["index"] for frame in frames] == [0, 1, 2, 3, 4]
    first = Image.open(io.BytesIO(base64.b64decode(frames[0]["frame"])))
    assert (first.size, frames[0]["num_frames"], frames[0]["media_type"]) == ((64, 32), 5, "image/webp")
    assert seen[-1][0] == "video.completed"
    assert seen[-1][1]["status"] == "completed"
    progress = [message["progress"] for event, message in seen if event == "video.progress"]
    assert progress == sorted(progress)


def test_one_who_comes_late_sees_it_from_the_beginning_or_from_where_it_left(server: Server) -> None:
    server.model.gate.clear()
    video_id = server.create()["id"]
    for event, message in events(server.client, video_id):
        if event == "video.frame":
            assert message["index"] == 0
            break
    again = events(server.client, video_id)
    assert next(message["index"] for event, message in again if event == "video.frame") == 0
    server.model.gate.set()
    later = list(events(server.client, video_id, headers={"Last-Event-ID": "2"}))
    assert [message["index"] for event, message in later if event == "video.frame"] in ([3, 4], [])  # or it is finished
    assert later[-1][0] == "video.completed"


def test_one_who_goes_leaves_the_job_and_the_others_alone(server: Server) -> None:
    server.model.gate.clear()
    video_id = server.create()["id"]
    with server.client.websocket_connect(f"/v1/videos/{video_id}/stream") as socket:
        assert socket.receive_json()["id"] == video_id
    server.model.gate.set()
    assert server.finished(video_id)["status"] == "completed"
    assert b"lumos_viewers 0.0" in server.client.get("/metrics").content


def test_a_deleted_video_ends_its_events(server: Server) -> None:
    server.model.gate.clear()
    video_id = server.create()["id"]
    seen = []
    for event, _ in events(server.client, video_id):
        seen.append(event)
        if event == "video.frame":
            server.client.delete(f"/v1/videos/{video_id}")
    assert seen[-1] == "video.deleted"


def test_a_websocket_tells_of_a_frame_and_then_sends_it(server: Server) -> None:
    video_id = server.create()["id"]
    server.finished(video_id)  # what comes after the end is the end
    server.model.gate.clear()
    video_id = server.create()["id"]
    seen = []
    with server.client.websocket_connect(f"/v1/videos/{video_id}/stream", subprotocols=["lumos"]) as socket:
        assert socket.accepted_subprotocol == "lumos"
        while not seen or seen[-1]["type"] != "video.completed":
            seen.append(socket.receive_json())
            if seen[-1]["type"] == "video.frame":
                assert Image.open(io.BytesIO(socket.receive_bytes())).size == (64, 32)
                server.model.gate.set()
    assert [one["index"] for one in seen if one["type"] == "video.frame"] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("video_id", ["video_" + "0" * 32, "video_..", "x"])
def test_what_is_not_there_is_not_watched(refusing: Server, video_id: str) -> None:
    with (
        pytest.raises(WebSocketDenialResponse) as denied,
        refusing.client.websocket_connect(f"/v1/videos/{video_id}/stream"),
    ):
        pass
    assert denied.value.status_code == 404
    assert denied.value.json()["error"]["code"] == "video_not_found"


def test_a_first_frame_that_is_no_number_is_said_as_over_http(refusing: Server) -> None:
    address = f"/v1/videos/video_{'0' * 32}"
    with (
        pytest.raises(WebSocketDenialResponse) as denied,
        refusing.client.websocket_connect(f"{address}/stream?first=abc"),
    ):
        pass
    answer = refusing.client.get(f"{address}/events?first=abc")
    assert denied.value.status_code == answer.status_code == 400
    assert denied.value.json() == answer.json()
    assert answer.json()["error"]["param"] == "first"
