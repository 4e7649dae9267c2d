"""What is refused before the work: names, folders, texts, and outputs that are inputs."""

import os
from pathlib import Path

import pytest

from xllmx.disk import place
from xllmx.disk.place import check_file, check_folder, check_new_folder, check_text, inputs_of, require_folder


def test_what_can_be_written_passes_and_nothing_is_made(tmp_path: Path) -> None:
    check_file(tmp_path / "new" / "deep" / ("n" * 246 + ".png"), beside=(".json",))
    check_folder(tmp_path / "new")
    check_folder(Path())
    check_new_folder(tmp_path / "model", inputs={}, marks=("config.json",))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("n" * 252 + ".png", r"'n{40}\.\.\.n{11}\.png' is longer than a file name can be \(256 bytes, 261 with .json"),
        ("n" * 247 + ".png", r"\(251 bytes, 256 with .json; at most 255\); give a shorter one"),
        ("é" * 124 + ".png", r"\(252 bytes, 257 with .json"),
        ("f" * 256 + "/a.png", r"'f{40}\.\.\.f{15}' is longer than a file name can be \(256 bytes; at most 255\)"),
        ("/".join(["d" * 200] * 20) + "/a.png", r"has 4\d\d\d bytes; at most 4095: choose another folder"),
        ("a\ud83d.png", r"the name 'a\\ud83d.png' has half a character \(U\+D83D\)"),
        ("a\udcff/b.png", r"half a character \(U\+DCFF\)"),
        ("a\0.png", "has a character that no file name can have"),
        ("folder", "is a folder; choose another name"),
        ("pipe", "is no ordinary file; choose another name"),
        ("recorded.png", "recorded.png.json is a folder"),
        ("file/a.png", "cannot write to .*file: Not a directory; a file stands where a folder is needed"),
        ("nowhere/a.png", "nowhere is a link to nothing; remove it"),
    ],
)
def test_what_cannot_be_written_is_refused_with_the_remedy(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "recorded.png.json").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match=message) as caught:
        check_file(tmp_path / name, beside=(".json",))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["a.png", "hard.png", "soft.png", "../{}/a.png", "b.png"])
def test_an_input_is_known_under_all_its_names(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.png").touch()
    os.link(tmp_path / "a.png", tmp_path / "hard.png")
    (tmp_path / "soft.png").symlink_to("a.png")
    (tmp_path / "b.png.json").symlink_to("a.png")
    with pytest.raises(ValueError, match="is --image, and would be written over; choose another place"):
        check_file(
            tmp_path / name.format(tmp_path.name), beside=(".json",), inputs=inputs_of({"--image": tmp_path / "a.png"})
        )


def test_a_folder_that_may_not_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place.os, "access", lambda path, mode: False)
    with pytest.raises(ValueError, match=r"cannot write to .*new: Permission denied; choose a folder you may write to"):
        check_file(tmp_path / "new" / "a.png")


def test_a_folder_is_not_replaced_with_an_input_in_it_or_with_a_stranger_in_it(tmp_path: Path) -> None:
    (tmp_path / "model" / "deep").mkdir(parents=True)
    inner = tmp_path / "model" / "deep" / "encoder.jit"
    inner.touch()
    with pytest.raises(ValueError, match=r"holds task.init_from, which would be removed"):
        check_new_folder(tmp_path / "model", inputs={"task.init_from": inner}, marks=("deep",))
    with pytest.raises(ValueError, match=r"is not written over: it has no config.json, and something else"):
        check_new_folder(tmp_path / "model", inputs={}, marks=("config.json",))
    (tmp_path / "model" / "config.json").touch()
    check_new_folder(tmp_path / "model", inputs={}, marks=("config.json",))
    with pytest.raises(ValueError, match="is the model, and would be written over"):
        check_new_folder(tmp_path / "model" / "new", inputs={"the model": tmp_path / "model"}, marks=())


def test_half_a_character_is_named_with_its_place() -> None:
    check_text("a \U0001f534 circle\u2028", what="the prompt")
    with pytest.raises(ValueError, match=r"the prompt has half a character \(U\+D83D\) at position 3: a cut emoji"):
        check_text("a \ud83d circle", what="the prompt")


def test_a_folder_is_made_where_one_can_be(tmp_path: Path) -> None:
    require_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"cannot write to .*file/more: Not a directory"):
        require_folder(tmp_path / "file" / "more")
