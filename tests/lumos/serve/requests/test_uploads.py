"""Pictures that clients send: which are taken, and what bounds them."""

import base64
import io
import json
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lumos.serve.requests.uploads import picture_of
from tests.lumos.serve.standin import VIDEO, Server, fault_of, picture


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "MPO", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_pictures_of_every_common_kind_are_taken(kind: str) -> None:
    file, words = io.BytesIO(), {"save_all": True} if kind == "MPO" else {}
    Image.new("RGB", (30, 50), "blue").save(file, kind, **words)
    address = f"data:image/{kind.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"
    found = picture_of(address, param="input_reference")
    assert found is not None
    assert found.size == (30, 50)


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n" + b"0" * 60, b"%!PS-Adobe-3.0 EPSF-3.0"])
def test_an_upload_that_is_no_picture_is_refused(refusing: Server, content: bytes) -> None:
    answer = refusing.client.post("/v1/videos", data=VIDEO, files={"input_reference": ("x.png", content)})
    assert "no picture" in fault_of(answer, 400)["message"]


def test_a_picture_that_unpacks_to_too_much_is_refused_before_it_is_unpacked(refusing: Server) -> None:
    bomb = picture((6000, 6000))
    assert len(bomb) < 2**20
    answer = refusing.client.post("/v1/videos", data=VIDEO, files={"input_reference": ("x.png", bomb)})
    assert "6000x6000" in fault_of(answer, 413)["message"]
    head = bomb[:16] + struct.pack(">II", 60_000, 60_000) + bomb[24:29]
    worse = head + struct.pack(">I", zlib.crc32(head[12:])) + bomb[33:]
    answer = refusing.client.post("/v1/videos", data=VIDEO, files={"input_reference": ("x.png", worse)})
    assert "many more pixels" in fault_of(answer, 413)["message"]


def test_an_upload_is_bounded_while_it_is_read(refusing: Server) -> None:
    told = refusing.client.post("/v1/videos", content=b"x" * (2**20 + 1), headers={"content-type": "application/json"})
    assert fault_of(told, 413)["code"] == "request_too_large"
    read = 0

    def chunks() -> Any:  # of no length that is told
        nonlocal read
        yield b'--x\r\nContent-Disposition: form-data; name="input_reference"; filename="x"\r\n\r\n'
        for _ in range(100):
            read += 2**16
            yield b"0" * 2**16

    answer = refusing.client.post(
        "/v1/videos", content=chunks(), headers={"content-type": "multipart/form-data; boundary=x"}
    )
    assert fault_of(answer, 413)["code"] == "request_too_large"
    assert refusing.serving.store.ids() == set()


def test_a_data_address_in_a_form_may_be_as_large_as_the_body(server: Server) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (256, 256, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "PNG")
    address = f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
    assert 2**16 < len(address) < 2**20
    for field, value in (("input_reference", address), ("image_reference", json.dumps({"image_url": address}))):
        answer = server.client.post("/v1/videos", data={**VIDEO, field: value}, files={"x": ("", b"")})
        assert answer.status_code == 200, answer.text
        server.finished(answer.json()["id"])
        assert server.model.made[-1].picture is not None
    told = server.client.post("/v1/videos", data={**VIDEO, "input_reference": "0" * 2**20}, files={"x": ("", b"")})
    assert fault_of(told, 413)["code"] == "request_too_large"
