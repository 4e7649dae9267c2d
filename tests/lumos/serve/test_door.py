"""Keys, names and origins: who may come in."""

from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import WebSocketDenialResponse

from tests.lumos.serve.standin import VIDEO, StandIn, behind_client, parts

KEYS = ["first-key-0123456789", "other-key-0123456789"]


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
