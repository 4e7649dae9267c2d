"""`/v1/images/generations`."""

import base64
import io

from PIL import Image

from tests.lumos.serve.standin import Server

ASKED = {"prompt": "a red circle", "seed": 4}


def test_images_are_made_and_answered(server: Server) -> None:
    answer = server.client.post("/v1/images/generations", json={**ASKED, "n": 2, "size": "64x64", "user": "me"})
    assert answer.status_code == 200, answer.text
    data = answer.json()["data"]
    images = [Image.open(io.BytesIO(base64.b64decode(one["b64_json"]))) for one in data]
    assert [(image.format, image.size) for image in images] == [("PNG", (64, 64))] * 2
    assert [one["seed"] for one in data] == [4, 5]
    assert [image.getpixel((0, 0)) for image in images] == [(4, 0, 0), (5, 0, 0)]
    assert server.serving.store.ids() == set()  # what was answered is not kept
    assert [path for path in server.serving.files.root.iterdir() if path.is_dir()] == []


def test_an_image_may_be_fetched_by_its_address(server: Server) -> None:
    answer = server.client.post("/v1/images/generations", json={**ASKED, "response_format": "url", "size": "auto"})
    found = server.client.get(answer.json()["data"][0]["url"])
    assert (found.status_code, found.headers["content-type"]) == (200, "image/png")
    assert Image.open(io.BytesIO(found.content)).size == (64, 32)
    assert server.client.get("/v1/videos").json()["data"] == []


def test_an_image_that_cannot_be_made_is_an_error(server: Server) -> None:
    other = server.client.post("/v1/images/generations", json={**ASKED, "model": "flow"})
    assert (other.status_code, "makes t2v" in other.json()["error"]["message"]) == (400, True)
    many = server.client.post("/v1/images/generations", json={**ASKED, "n": 9})  # more than may wait
    assert many.status_code == 429
    assert 'status="deleted"' not in server.client.get("/metrics").text  # what was not accepted is not counted
    for field in ({"num_frames": 5}, {"duration": 2}):
        video = server.client.post("/v1/images/generations", json={**ASKED, **field})
        assert (video.status_code, "leave" in video.json()["error"]["message"]) == (400, True)
    wrong = server.client.post("/v1/images/generations", json={**ASKED, "response_format": "file"})
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "response_format")
    for path in ("../x", "image_x", "image_" + "0" * 32):
        assert server.client.get(f"/v1/images/{path}/content").status_code == 404
    assert server.serving.store.ids() == set()
