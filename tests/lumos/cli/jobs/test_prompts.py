"""Prompt files: the released formats are read, and what is wrong with one is said by entry."""

import json
import os
from pathlib import Path

import pytest

from lumos.cli.jobs.prompts import name_of, read_prompts


def test_the_released_formats_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"prompt": "a cow", "prompt_rewrite_x": "a brown cow"}\n\n{"prompt": "a cow"}\n')
    (tmp_path / "b.json").write_text('{"In a frame, a sign.mp4": "a stop sign"}')
    (tmp_path / "start.jpg").touch()
    (tmp_path / "c.json").write_text('{"start.jpg": "it moves"}')
    first, second = read_prompts(tmp_path / "a.jsonl")
    assert (first.text, first.name, second.text, second.name) == ("a brown cow", "a-cow", "a cow", "a-cow-2")
    (video,) = read_prompts(tmp_path / "b.json")
    assert (video.text, video.name, video.image) == ("a stop sign", "In a frame, a sign", None)
    (moving,) = read_prompts(tmp_path / "c.json")
    assert (moving.text, moving.name, moving.image) == ("it moves", "start", tmp_path / "start.jpg")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", '{"gone.png": "it moves"}', "the image 'gone.png' is not in"),
        ("a.json", "[3]", "entry 1 is neither a text nor an object"),
        ("a.jsonl", '{"prompt": "a"}\n{', "line 2 is not valid JSON"),
        ("a.jsonl", '{"tag": "a"}', "line 1 has no prompt"),
        ("a.jsonl", '{"prompt": "a"}\n{"promt": "a"}', "line 2 has an unknown key 'promt'; did you mean prompt"),
        ("a.jsonl", '{"prompt": "a", "prompt": "b"}', "line 1 is not valid JSON .*'prompt' stands twice"),
        ("a.jsonl", '{"prompt": ["a"]}', r"line 1: prompt is \['a'\]; give a text"),
        ("a.jsonl", '{"prompt_rewrite_x": 5, "prompt": "a"}', "line 1: prompt_rewrite_x is 5; give a text"),
        ("a.jsonl", '{"prompt": "a", "seed": NaN}', "line 1 is not valid JSON .*NaN"),
        ("a.json", '["a", " "]', "entry 2 has no prompt but ' '"),
        ("a.json", '["a \\ud800 star"]', "a.json is not valid JSON .*half a character"),
        ("a.json", '["a\\u0000b"]', "entry 1: the text .* holds a NUL character"),
        ("a.json", "[null]", "entry 1 is neither a text nor an object"),
        ("a.json", '{"a.mp4": 3}', "'a.mp4' has no prompt but 3; give it a text"),
        ("a.json", '[{"prompt": "a", "name": ["ä 猫"]}]', r"entry 1: name is \['ä 猫'\]"),
        ("a.json", "[" * 200_000, "more than 64 levels"),
        ("a.json", '[{"prompt": "a", "name": 5}]', "entry 1: name is 5"),
        ("a.json", '[{"prompt": "a", "image": []}]', r"entry 1: image is \[\]"),
        *[
            ("a.json", f'[{{"prompt": "a", "seed": {seed}}}]', f"entry 1: seed is {shown}; it must be a whole number")
            for seed, shown in (
                ("-1", "-1"),
                ("1.5", "1.5"),
                ("true", "True"),
                ("[]", r"\[\]"),
                (str(2**63), str(2**63)),
            )
        ],
        ("a.json", f'[{{"prompt": "a", "seed": {10**40}}}]', "does not fit into 64 bits"),
        ("a.json", '[{"prompt": "a", "seed": "x"}]', "seed is 'x'"),
        ("a.json", '[{"prompt": "a", "then": 0}]', "entry 1: then is 0; give a list"),
        ("a.json", '[{"prompt": "a", "then": false}]', "entry 1: then is False; give a list"),
        ("a.json", '[{"prompt": "a", "negative_prompt": 5}]', "entry 1: negative_prompt is 5"),
        ("a.txt", "\n", "holds no prompt"),
        ("a.csv", "a", "is no prompt file"),
    ],
)
def test_a_prompt_file_at_fault_is_named(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=message):
        read_prompts(tmp_path / name)


@pytest.mark.parametrize("place", ["../start.png", "/etc/hostname.png", "in/../../start.png", "~/start.png", "a\0.png"])
@pytest.mark.parametrize("form", ["pairs", "objects", "lines"])
def test_a_list_names_pictures_in_its_own_folder_only(tmp_path: Path, place: str, form: str) -> None:
    (tmp_path / "start.png").touch()
    (tmp_path / "lists" / "in").mkdir(parents=True)
    entry = {"prompt": "a", "image": place}
    content = {"pairs": {place: "a"}, "objects": [entry], "lines": entry}[form]
    path = tmp_path / "lists" / ("a.jsonl" if form == "lines" else "a.json")
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"a\.jsonl?, .*(--image-folder .*--images|holds a NUL)") as caught:
        read_prompts(path)
    assert "\n" not in str(caught.value)


def test_a_whole_path_into_the_folder_of_the_list_or_of_the_pictures_is_taken(tmp_path: Path) -> None:
    for folder in ("lists", "pictures"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "start.png").touch()
    path = tmp_path / "lists" / "a.json"
    for folder, images in (("lists", None), ("pictures", tmp_path / "pictures")):
        path.write_text(json.dumps([{"prompt": "a", "image": str(tmp_path / folder / "start.png")}]))
        (prompt,) = read_prompts(path, images=images)
        assert prompt.image == tmp_path / folder / "start.png"
    with pytest.raises(ValueError, match="is not in"):
        read_prompts(path)


@pytest.mark.parametrize("image", [7, ["a"], {"a": 1}, "x" * 300 + ".png", "x" * 5000])
def test_a_picture_that_is_no_name_is_said(tmp_path: Path, image: object) -> None:
    (tmp_path / "a.json").write_text(json.dumps([{"prompt": "a", "image": image}]))
    with pytest.raises(ValueError, match="entry 1") as caught:
        read_prompts(tmp_path / "a.json")
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a cow".encode("utf-16"), "is not UTF-8 text"),
        ("a caf\xe9".encode("latin-1"), "is not UTF-8 text .* at byte 5"),
        (b"a cow\n\0\n", "line 2: the text .* holds a NUL"),
    ],
)
def test_a_text_file_of_another_encoding_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_prompts(tmp_path / "a.txt")


@pytest.mark.parametrize("break_", ["\u2028", "\u2029", "\x85", "\x0c", "\x1c"])
def test_only_newlines_end_a_line(tmp_path: Path, break_: str) -> None:
    """A caption that came from a web page may hold U+2028; `str.splitlines` would cut it."""
    text = f"a red{break_}circle"
    line = json.dumps({"prompt": text}, ensure_ascii=False)
    for name, content in (("a.jsonl", f"{line}\r\n\r\n{line}\n"), ("a.txt", f"\ufeff{text}\r\n\n{text}")):
        (tmp_path / name).write_text(content, encoding="utf-8", newline="")
        assert [one.text for one in read_prompts(tmp_path / name)] == [text, text]


def test_what_is_no_file_is_said_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "zero.jsonl").symlink_to("/dev/zero")
    for name in ("pipe.txt", "folder.json", "zero.jsonl"):
        with pytest.raises(ValueError, match=f"{name} is no file .a folder, a pipe or a device"):
            read_prompts(tmp_path / name)


def test_names_are_safe_for_files() -> None:
    assert name_of("../A red/Circle?  ") == "a-red-circle"
    assert name_of("🟥") == "prompt"
    assert len(name_of("é" * 200).encode()) <= 60


def test_long_prompts_that_begin_alike_have_names_of_their_own() -> None:
    begin = "a small red circle moves slowly to the right of a large blue "  # as a name 60 letters
    assert name_of(begin) == begin.strip().replace(" ", "-")
    one, other = (name_of(f"{begin}{shape}") for shape in ("square", "triangle"))
    assert one == name_of(f" {begin}square\n") != other
    assert all(
        len(name) == 60 and name.startswith("a-small-red-circle-moves-slowly-to-the-right-of-a")
        for name in (one, other)
    )


def test_the_released_i2v_lists_are_read(tmp_path: Path) -> None:
    """The long prompt or, asked for, the short one; VBench's own names; pictures in the released folder beside."""
    for folder in ("prompts", "custom_i2v_1_frame"):
        (tmp_path / folder).mkdir()
    entries = [
        {"image_name": "a.jpg", "prompt_en": "A dog, running", "prompt_en_qwen32b_vl": "At length", "image_type": "x"},
        {"image_name": "b.jpg", "prompt_en": "either/or", "dimension": ["i2v_subject"]},
    ]
    for entry in entries:
        (tmp_path / "custom_i2v_1_frame" / str(entry["image_name"])).touch()
    path = tmp_path / "prompts" / "list.json"
    path.write_text(json.dumps(entries))
    one, other = read_prompts(path)
    assert (one.text, one.name, one.official) == ("At length", "A dog, running", "A dog, running")
    assert one.image == tmp_path / "custom_i2v_1_frame" / "a.jpg"
    assert (other.text, other.name) == ("either/or", "either-or")
    assert [prompt.text for prompt in read_prompts(path, short=True)] == ["A dog, running", "either/or"]
