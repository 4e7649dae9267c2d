"""`lumos look` from its words to its last line."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lumos.cli import look
from lumos.lumos1.data.writing import ClipWriter
from lumos.media.writing import write_image
from tests.lumos.cli.console import Lumos
from tests.tiny_data import make_clip


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    with ClipWriter(tmp_path / "clips") as writer:
        for number in range(3):
            writer.add(make_clip(number, 3))
    return tmp_path / "clips"


def test_a_set_is_described_and_nothing_is_written(lumos: Lumos, clips: Path, ckpts: Path) -> None:
    before = sorted(clips.parent.rglob("*"))
    status, said, _ = lumos("look", str(clips), "--ckpts", str(ckpts))
    assert status == 0
    assert said.startswith(f"{clips}: 3 clips of codes")
    assert sorted(clips.parent.rglob("*")) == before


def test_a_sheet_is_written_where_it_is_asked_for(lumos: Lumos, clips: Path, ckpts: Path, tmp_path: Path) -> None:
    status, said, _ = lumos("look", str(clips), "--ckpts", str(ckpts), "--out", "sheets/a.png", "--num", "2")
    assert status == 0
    assert said.endswith("sheets/a.png: 2 of them in pictures\n")
    with Image.open(tmp_path / "sheets" / "a.png") as picture:
        assert picture.width > 200


@pytest.mark.parametrize(("words", "message"), [
    (["nowhere"], "nowhere: no such file or folder; give a folder of shards"),
    (["clips", "--num", "-1"], "--num is -1"),
    (["clips", "--read", "0"], "--read is 0"),
    (["clips", "--out", "a.mp4"], "a sheet is a picture"),
    (["clips", "--out", "a.png", "--num", "0"], "--num is 0, and --out wants pictures"),
    (["clips", "--media", "nowhere"], "--media nowhere is no folder"),
    (["clips", "--model", "nothing"], "nothing"),
    (["clips", "--device", "tpu"], "--device is 'tpu'"),
    (["clips", "--target_size", "64"], "unrecognized arguments: --target_size 64"),
    ([], "required: PATH"),
    (["a.csv", "--num", "0"], "--num is 0; it must be a whole number of at least 1"),
    (["a.csv", "--media", "clips"], "--media is for sets and outputs, and a.csv is a CSV"),
])  # fmt: skip
def test_what_is_wrong_is_said_in_one_line(lumos: Lumos, clips: Path, words: list[str], message: str) -> None:
    status, _, said = lumos("look", *words)
    assert status == 2
    (line,) = [one for one in said.splitlines() if one.startswith("lumos: error: ")]
    assert message in line


def test_outputs_that_cannot_be_shown_leave_no_sheet(lumos: Lumos, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no video")
    status, said, error = lumos("look", "a.mp4", "--out", "b.png")
    assert status == 1
    assert "undecodable" in said
    assert "no picture of these can be shown" in error
    assert not (tmp_path / "b.png").exists()


def test_an_output_may_not_be_written_over(lumos: Lumos, tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", np.zeros((8, 16, 3), np.uint8))
    (tmp_path / "a.png.json").write_text(json.dumps({"prompt": "mine"}))
    for path in ("a.png", "."):
        status, _, error = lumos("look", path, "--out", "a.png")
        assert status == 2
        assert "a.png" in error
    assert lumos("look", ".", "--out", "sheet.png")[0] == 0
    assert lumos("look", ".", "--out", "sheet.png")[0] == 0  # it has no record, and is none of the outputs


def test_a_csv_goes_to_the_dry_run_of_pre_tokenisation(lumos: Lumos, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []
    monkeypatch.setattr("lumos.cli.tokenize.run", lambda words: seen.append(list(words)) or 1)
    rest = ["--target_size", "64", "--to", "codes"]
    assert lumos("look", "a.csv", "--out", "b.png", "--num", "3", *rest, "--model=m")[0] == 1
    assert lumos("look", *rest, "b.csv", "--num", "4")[0] == 1
    assert lumos("look", "c.csv", "--to=latents", "--model", "m")[0] == 1
    made = ["--dry_run", "--sheet_clips=3", "--sheet=b.png", "--visual_tokenizer=m"]
    assert seen[:2] == [["--input_file=a.csv", *made, *rest], ["--input_file=b.csv", "--dry_run", *rest]]
    assert seen[2] == ["--input_file=c.csv", "--dry_run", "--vae=m", "--to=latents"]


def test_the_model_of_a_csv_decides_what_would_be_made(lumos: Lumos, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []
    monkeypatch.setattr("lumos.cli.tokenize.run", lambda words: seen.append(list(words)) or 0)
    assert lumos("look", "a.csv", "--model", "lumina-tiny", "--size", "64x64")[0] == 0
    assert lumos("look", "a.csv", "--model", "lumos-tiny")[0] == 0
    assert lumos("look", "a.csv", "--model", "lumina-tiny", "--to", "codes")[0] == 0
    assert [words[2:] for words in seen] == [
        ["--vae=lumina-tiny", "--to=latents", "--size", "64x64"],
        ["--visual_tokenizer=lumos-tiny"],
        ["--visual_tokenizer=lumina-tiny", "--to", "codes"],
    ]


def test_words_before_and_after_a_csv_are_told_apart() -> None:
    for words in (["set", "--num", "2"], ["set", "--out", "a.csv"]):
        assert look.split_words(words) == (words, [])
    mine, theirs = ["A.CSV", "--debug"], ["--target_size", "64"]
    assert look.split_words([*theirs, *mine]) == (mine, [*theirs, "--debug"])
