"""Prompt files: the released formats are read, and what is wrong with one is said by entry."""

import json
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
        ("a.jsonl", '{"tag": "a"}', "entry 1 has no prompt"),
        ("a.json", '[{"prompt": "a", "seed": "x"}]', "seed is 'x'"),
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
    with pytest.raises(ValueError, match=r"entry 1.*--image-folder") as caught:
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


def test_names_are_safe_for_files() -> None:
    assert name_of("../A red/Circle?  ") == "a-red-circle"
    assert name_of("🟥") == "prompt"
    assert len(name_of("é" * 200).encode()) <= 60
