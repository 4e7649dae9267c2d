"""The files of the page, and what it asks for beside the other routes."""

import io
import re

import pytest
from PIL import Image

from lumos.serve.routes.page import FOLDER
from tests.lumos.serve.standin import Server


def test_the_page_brings_all_that_it_names_and_nothing_inline(refusing: Server) -> None:
    index = refusing.client.get("/")
    assert (index.status_code, index.headers["content-type"]) == (200, "text/html; charset=utf-8")
    policy = index.headers["content-security-policy"].split("; ")
    assert {"default-src 'self'", "media-src 'self' blob:", "frame-ancestors 'none'"} <= set(policy)
    assert "unsafe" not in index.headers["content-security-policy"]
    named = set(re.findall(r'(?:href|src)="([^"]+)"', index.text))
    for script in FOLDER.glob("*.js"):
        text = script.read_text(encoding="utf-8")
        named |= {f"page/{name}" for name in re.findall(r'from "\./([^"]+)"', text)}
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", text)
    assert named == {f"page/{path.name}" for path in FOLDER.iterdir()} - {"page/index.html", "page/examples.json"}
    for name in named:
        answer = refusing.client.get(f"/{name}")
        assert (answer.status_code, answer.headers["x-content-type-options"]) == (200, "nosniff")
    assert not re.search(r"<script>|<style|\son\w+=|\sstyle=", index.text)


@pytest.mark.parametrize("path", ["/page/", "/page/nothing.js", "/page/..%2Fapp.py", "/page/%2e%2e/app.py"])
def test_no_other_file_is_given(refusing: Server, path: str) -> None:
    assert refusing.client.get(path).status_code == 404


def test_a_record_holds_all_that_makes_the_video_again(server: Server) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (64, 32), "blue").save(picture, "PNG")
    asked = {"prompt": "a circle", "seed": str(2**62 + 1), "size": "64x32", "top_k": "50"}
    video = server.client.post("/v1/videos", data=asked, files={"input_reference": picture.getvalue()}).json()
    server.finished(video["id"])
    record = server.client.get(f"/v1/videos/{video['id']}/record").json()
    assert (record["prompt"], record["seed"], record["model"]) == ("a circle", 2**62 + 1, "red")
    assert record["settings"] == {"width": 64, "height": 32, "top_k": 50}
    assert record["model_calls"] == 11
    shown = server.client.get(f"/v1/videos/{video['id']}/picture")
    assert Image.open(io.BytesIO(shown.content)).getpixel((5, 5)) == (0, 0, 255)
    without = server.create()["id"]
    for part in ("picture", "before"):
        assert server.client.get(f"/v1/videos/{without}/{part}").status_code == 404
    assert server.client.get(f"/v1/videos/{'video_' + '0' * 32}/record").status_code == 404


def test_a_record_of_an_extension_has_what_changes_and_the_clip_before_it(server: Server) -> None:
    source = server.create()["id"]
    server.finished(source)
    clip = server.client.get(f"/v1/videos/{source}/content").content
    asked = {"prompt": "b", "num_frames": 4, "then": [[5, "it moves up"]], "video": {"id": source}}
    video = server.client.post("/v1/videos/extensions", json=asked).json()["id"]
    assert server.finished(video)["status"] == "completed"
    record = server.client.get(f"/v1/videos/{video}/record").json()
    assert (record["then"], record["num_before"], record["num_frames"]) == ([[5, "it moves up"]], 5, 9)
    server.client.delete(f"/v1/videos/{source}")
    before = server.client.get(f"/v1/videos/{video}/before")
    assert (before.headers["content-type"], before.content) == ("video/mp4", clip)
