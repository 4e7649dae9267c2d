"""What of a request is refused before anything is made of it, and how it is said."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.lumos.serve.standin import VIDEO, Server, fault_of


@pytest.mark.parametrize(
    ("fields", "status", "param", "said"),
    [
        ({"promt": "x"}, 400, "promt", "did you mean prompt?"),
        ({"prompt": ""}, 400, "prompt", "at least 1 character"),
        ({"prompt": "  "}, 400, "prompt", "empty"),
        ({"prompt": 3}, 400, "prompt", "string"),
        ({"prompt": None}, 400, "prompt", "string"),
        ({"prompt": "x" * 10_001}, 400, "prompt", "10000"),
        ({"prompt": "a\0b"}, 400, "'prompt'", "NUL"),
        ({"model": "sora-2"}, 404, "model", "there is no model 'sora-2'"),
        ({"model": "../red"}, 404, "model", "no model"),
        ({"seconds": 0}, 400, "seconds", "greater than 0"),
        ({"seconds": -4}, 400, "seconds", "greater than 0"),
        ({"seconds": 1e300}, 400, "seconds", "at most"),
        ({"seconds": "four"}, 400, "seconds", "number"),
        ({"seconds": True}, 400, "seconds", "number"),
        ({"seconds": 1000}, 413, "seconds", "at most 40"),
        ({"size": "big"}, 400, "size", "width x height"),
        ({"size": "33x32"}, 400, "size", "multiple of 32"),
        ({"size": "99999x99999"}, 400, "size", "at most"),
        ({"size": "6400x6400"}, 413, "size", "at most 4096"),
        ({"size": "64x32", "width": 64}, 400, "size", "leave these out"),
        ({"seed": -1}, 400, "seed", "greater than or equal to 0"),
        ({"seed": 2**63}, 400, "seed", "less than"),
        ({"seed": 1.5}, 400, "seed", "integer"),
        ({"num_inference_steps": 10**9}, 400, "num_inference_steps", "at most"),
        ({"num_inference_steps": 5000}, 413, "num_inference_steps", "at most 200"),
        ({"guidance_scale": "NaN"}, 400, "guidance_scale", "finite"),
        ({"n": 2}, 400, "n", "must be 1, since a job is one video: send the request 2 times"),
        ({"num_outputs_per_prompt": 3}, 400, "num_outputs_per_prompt", "send the request 3 times"),
        ({"output_path": "/tmp/x.mp4"}, 400, "output_path", "no client chooses a path"),
        ({"lora": "x"}, 400, "lora", "not taken"),
        ({"preset": "/etc/passwd"}, 400, "preset", "no field"),
        ({"then": "it moves up"}, 400, "then", "give a list of [frame, text]"),
        ({"then": 0}, 400, "then", "give a list of [frame, text]"),
        ({"then": False}, 400, "then", "give a list of [frame, text]"),
        ({"then": {}}, 400, "then", "give a list of [frame, text]"),
        ({"then": [[1, 2]]}, 400, "then", "give a list of [frame, text]"),
        ({"then": [["1", "it moves up"]]}, 400, "then", "give the number of a frame"),
        ({"then": [[1, "\0"]]}, 400, "then", "characters"),
        ({"then": [[5, "it moves up"]]}, 400, "then", "change it before"),
        ({"then": [[1, "it moves up"]], "model": "flow"}, 400, "then", "leave then out"),
        ({"temperature": []}, 400, "temperature", "number"),
        ({"temperature": "9" * 10_001}, 400, "temperature", "more than 10000 characters"),
        ({"extra_body": {"tempratur": 1}}, 400, "tempratur", "did you mean temperature?"),
        ({"extra_params": "[1]"}, 400, None, "no object"),
        ({"extra_body": {"negative_prompt": "a\0b"}}, 400, "'negative_prompt'", "NUL"),
        ({"num_frames": 25, "then": [[4 * n + 1, "x" * 9999] for n in range(6)]}, 400, "then", "together"),
        ({"input_reference": {"file_id": "file-1"}}, 400, "input_reference", "no files by id"),
        ({"model": "flow", "input_reference": "data:image/png;base64,AA=="}, 400, "input_reference", "no picture"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_bad_fields_are_named(
    refusing: Server, fields: Mapping[str, Any], status: int, param: str | None, said: str
) -> None:
    answer = refusing.client.post("/v1/videos", json={**VIDEO, **fields})
    error = fault_of(answer, status)
    assert (error["param"], said in error["message"]) == ((param or "").strip("'") or None, True), error
    assert refusing.serving.store.ids() == set()
    assert [path for path in refusing.serving.files.root.iterdir() if path.is_dir()] == []


@pytest.mark.parametrize(
    ("body", "kind", "status", "said"),
    [
        (b"{", "application/json", 400, "not valid JSON"),
        (b"[]", "application/json", 400, "no object"),
        (b'{"prompt": "a", "seed": NaN}', "application/json", 400, "NaN"),
        (b'{"prompt": "a", "prompt": "b"}', "application/json", 400, "twice"),
        (b'{"prompt": "\xff"}', "application/json", 400, "not UTF-8"),
        (b'{"prompt": "\\ud800"}', "application/json", 400, "half a character"),
        (b"[" * 10_000, "application/json", 400, "levels"),
        (b'{"then": [' + b"[]," * 60_000 + b"0]}", "application/json", 413, "commas and brackets"),
        (b"prompt=a", "text/plain", 415, "application/json"),
        (b"a", "", 415, "application/json"),
        (b"--x\r\nnonsense", "multipart/form-data; boundary=x", 400, "cut off"),
        (b"", "multipart/form-data", 400, "boundary"),
        (
            b'--x\r\nContent-Disposition: form-data; name="prompt"\r\n\r\n\xff\r\n--x--\r\n',
            "multipart/form-data; boundary=x", 400, "not UTF-8",
        ),
        (
            b'--x\r\nContent-Disposition: form-data; name="\\ud800"\r\n\r\na\r\n--x--\r\n',
            "multipart/form-data; boundary=x; charset=unicode_escape", 415, "send UTF-8",
        ),
        (b"prompt=%ff", "application/x-www-form-urlencoded", 400, "not UTF-8"),
        (b"prompt=\xff", "application/x-www-form-urlencoded", 400, "not UTF-8"),
        (b"a&" * 100, "application/x-www-form-urlencoded", 400, "more than 64 fields"),
        (b"video%5Bid%5D=a&video[id]=b", "application/x-www-form-urlencoded", 400, "given twice"),
    ],
)  # fmt: skip
def test_bodies_that_are_none_are_refused(refusing: Server, body: bytes, kind: str, status: int, said: str) -> None:
    answer = refusing.client.post("/v1/videos", content=body, headers={"content-type": kind})
    assert said in fault_of(answer, status)["message"]


def test_a_form_may_have_its_text_as_it_is_or_escaped(server: Server) -> None:
    kind = {"content-type": "application/x-www-form-urlencoded"}
    for sent in ("prompt=n\u00e9; a+b&seed=1".encode(), b"prompt=n%C3%A9%3B+a%20b&seed=1"):
        answer = server.client.post("/v1/videos", content=sent, headers=kind)
        assert answer.json()["prompt"] == "n\u00e9; a b"


@pytest.mark.parametrize("is_multipart", [False, True])
def test_a_field_of_a_form_that_was_not_filled_in_is_left_out(server: Server, is_multipart: bool) -> None:
    names = ("seed", "model", "size", "fast", "n", "seconds", "then", "temperature", "input_reference", "output_path")
    form = {"prompt": "a red circle", **dict.fromkeys(names, "")}
    files = {"image_reference": ("", b"", "application/octet-stream")} if is_multipart else None
    answer = server.client.post("/v1/videos", data=form, files=files)
    assert answer.status_code == 200, answer.text
    assert (answer.json()["model"], answer.json()["num_frames"]) == ("red", 5)
    unsaid = server.client.post("/v1/videos", data={**form, "prompt": ""}, files=files)
    assert fault_of(unsaid, 400)["param"] == "prompt"


def test_null_in_json_is_as_good_as_nothing(server: Server) -> None:
    names = ("seconds", "guidance_scale", "num_frames", "size", "model", "then", "temperature", "input_reference")
    for empty in (dict.fromkeys(names), {"seconds": "", "guidance_scale": "", "num_frames": ""}):
        server.finished(server.create(**empty)["id"])
        assert server.model.made[-1].given == {}


def test_null_of_images_is_as_good_as_nothing_and_a_file_is_no_text(server: Server) -> None:
    asked = {"prompt": "a", "n": None, "response_format": None, "output_format": None}
    assert len(server.client.post("/v1/images/generations", json=asked).json()["data"]) == 1
    for name in ("prompt", "seed", "temperature"):
        form = {} if name == "prompt" else {"prompt": "a"}
        answer = server.client.post("/v1/videos", data=form, files={name: ("a.txt", b"a")})
        error = fault_of(answer, 400)
        assert (error["param"], error["message"]) == (name, f"{name} is a file; send it as a text")


def test_a_text_of_a_form_is_counted_before_it_is_read_as_values(refusing: Server) -> None:
    form = {"prompt": "a red circle", "then": "[" + "[]," * 60_000 + "0]"}
    answer = refusing.client.post("/v1/videos", data=form, files={"input_reference": ("", b"")})
    assert "commas and brackets" in fault_of(answer, 413)["message"]


def test_what_is_wrong_is_said_shortly_however_much_was_sent(refusing: Server) -> None:
    asked: dict[str, Any]
    for asked in ({"ab cd" * 150_000: 1}, {"temperature": "9" * 9_000}):
        answer = refusing.client.post("/v1/videos", json={**VIDEO, **asked})
        assert (answer.status_code, len(answer.content) < 1000) == (400, True)
