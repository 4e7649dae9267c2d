"""Keys, names and origins: who may come in."""

from pathlib import Path
from typing import Any

import anyio
import pytest
from starlette.testclient import WebSocketDenialResponse

from lumos.serve.app import create_app
from tests.lumos.serve.standin import VIDEO, StandIn, behind_client, parts

KEYS = ["first-key-0123456789", "other-key-0123456789"]

POST = {
    "type": "http", "method": "POST", "path": "/v1/videos", "raw_path": b"/v1/videos", "query_string": b"",
    "http_version": "1.1", "scheme": "http", "headers": [(b"content-type", b"application/json")],
}  # fmt: skip


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def test_a_client_needs_one_of_the_keys(tmp_path: Path, model: StandIn) -> None:
    with behind_client(parts(tmp_path, model), keys=KEYS) as client:
        for headers in ({}, bearer(""), bearer(KEYS[0][:-1]), bearer(KEYS[0] + "x"), {"Authorization": KEYS[0]}):
            answer = client.post("/v1/videos", json=VIDEO, headers=headers)
            assert answer.status_code == 401
            assert answer.json()["error"]["code"] == "invalid_api_key"
            assert answer.headers["www-authenticate"] == "Bearer"
        assert client.get("/v1/videos").status_code == 401
        for given in (b"Bearer \xff\xfe", "Bearer n\u00e9e".encode(), b"Bearer " + b"\x80" * 5000):
            assert client.get("/v1/videos", headers={b"authorization": given}).status_code == 401
        for key in KEYS:
            assert client.post("/v1/videos", json=VIDEO, headers=bearer(key)).status_code == 200
        assert client.get("/health").status_code == 200


def test_a_browsers_websocket_gives_its_key_as_a_protocol(tmp_path: Path, model: StandIn) -> None:
    model.gate.clear()
    with behind_client(parts(tmp_path, model), keys=KEYS) as client:
        video_id = client.post("/v1/videos", json=VIDEO, headers=bearer(KEYS[1])).json()["id"]
        path = f"/v1/videos/{video_id}/stream"
        offered = ["lumos", f"openai-insecure-api-key.{KEYS[1]}"]
        with client.websocket_connect(path, subprotocols=offered) as socket:
            assert socket.accepted_subprotocol == "lumos"
            assert socket.receive_json()["id"] == video_id
        with pytest.raises(WebSocketDenialResponse) as denied, client.websocket_connect(path):
            pass
        assert denied.value.status_code == 401


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"host": "another.name"}, "unknown_host"),
        ({"host": "[::bad"}, "unknown_host"),
        ({"host": "localhost:8000", "origin": "http://localhost:9"}, "other_origin"),
        ({"host": "localhost:8000", "origin": "null"}, "other_origin"),
        ({"host": "localhost:8000", "origin": "http://localhost:8000"}, None),
        ({"host": "LOCALHOST:8000"}, None),
        ({"host": "192.168.0.5:8000"}, None),
        ({"host": "[fe80::1]:8000"}, None),
        ({"host": "192.168.0.5.another.name"}, "unknown_host"),
        ({"host": "127.0.0.1", "origin": "http://localhost"}, "other_origin"),
        ({"host": "localhost:8000", "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}, "other_origin"),
        ({"host": "localhost:8000", "sec-fetch-site": "same-site"}, "other_origin"),
        ({"host": "localhost:8000", "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, None),
        ({"host": "localhost:8000", "sec-fetch-site": "same-origin"}, None),
    ],
)
def test_a_page_of_another_site_cannot_use_its_readers_server(
    tmp_path: Path, model: StandIn, headers: dict[str, Any], code: str | None
) -> None:
    with behind_client(parts(tmp_path, model), hosts=["localhost"]) as client:
        answer = client.post("/v1/videos", data=VIDEO, headers=headers)
    assert answer.status_code == (200 if code is None else 403)
    assert code is None or answer.json()["error"]["code"] == code


def test_addresses_and_methods_that_there_are_not_are_errors_of_the_same_form(tmp_path: Path, model: StandIn) -> None:
    with behind_client(parts(tmp_path, model)) as client:
        nowhere, wrong = client.get("/v1/nothing"), client.put("/v1/videos", json={})
    assert (nowhere.status_code, wrong.status_code) == (404, 405)
    for answer in (nowhere, wrong):
        assert answer.json()["error"]["type"] == "invalid_request_error"


def test_no_browser_guesses_the_kind_of_an_answer(tmp_path: Path, model: StandIn) -> None:
    with behind_client(parts(tmp_path, model)) as client:
        for path in ("/v1/videos", "/health", "/nowhere", "/"):
            assert client.get(path).headers.get_list("x-content-type-options") == ["nosniff"]


def test_a_client_that_goes_in_the_middle_of_its_body_is_no_mistake_of_ours(tmp_path: Path, model: StandIn) -> None:
    serving = parts(tmp_path, model)
    kinds = (b"application/json", b"multipart/form-data; boundary=x")
    sent = [b"{", b'--x\r\nContent-Disposition: form-data; name="input_reference"; filename="x"\r\n\r\nabc']

    async def go(kind: bytes, body: bytes) -> None:
        messages: list[Any] = [{"type": "http.request", "body": body, "more_body": True}, {"type": "http.disconnect"}]

        async def receive() -> Any:
            return messages.pop(0)

        async def send(message: Any) -> None:
            answered.append(message)

        await create_app(serving)({**POST, "headers": [(b"content-type", kind)]}, receive, send)

    answered = list[Any]()
    for kind, body in zip(kinds, sent, strict=True):
        anyio.run(go, kind, body)
    assert [message["status"] for message in answered if "status" in message] == [400, 400]
    assert serving.store.ids() == set()
    serving.store.close()


def test_a_body_of_two_lengths_is_refused_and_ends_its_connection(tmp_path: Path, model: StandIn) -> None:
    serving, answered = parts(tmp_path, model), list[Any]()
    lengths = [(b"content-length", b"4"), (b"transfer-encoding", b"chunked")]

    async def receive() -> Any:
        raise AssertionError("nothing of it is read")

    async def send(message: Any) -> None:
        answered.append(message)

    anyio.run(create_app(serving), {**POST, "headers": [*POST["headers"], *lengths]}, receive, send)
    assert answered[0]["status"] == 400
    assert (b"connection", b"close") in answered[0]["headers"]
    serving.store.close()


def test_many_half_bodies_together_are_bounded_and_those_that_go_make_room(tmp_path: Path, model: StandIn) -> None:
    serving = parts(tmp_path, model, most_upload_mib=1)
    app, answered = create_app(serving), list[Any]()

    async def run() -> None:
        gone = anyio.Event()

        async def half() -> None:
            messages = [{"type": "http.request", "body": b"x" * 900_000, "more_body": True}]

            async def receive() -> Any:
                if messages:
                    return messages.pop()
                await gone.wait()
                return {"type": "http.disconnect"}

            async def send(message: Any) -> None:
                answered.append(message)

            await app(dict(POST), receive, send)

        for _ in range(2):
            answered.clear()
            gone = anyio.Event()
            async with anyio.create_task_group() as group:
                for _ in range(20):
                    group.start_soon(half)
                await anyio.wait_all_tasks_blocked()
                assert [message["status"] for message in answered if "status" in message] == [503, 503]
                assert (b"retry-after", b"10") in answered[0]["headers"]
                gone.set()

    anyio.run(run)
    serving.store.close()
