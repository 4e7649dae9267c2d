"""`python -m pre_tokenize --dry_run` keeps and skips what a pre-tokenisation does, and makes nothing."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pre_tokenize import __main__ as program
from pre_tokenize.bookkeeping.share import complete_share
from pre_tokenize.dry_run import DryRun
from pre_tokenize.lists.table import Item
from pre_tokenize.products import codes, encode
from pre_tokenize.products.encode import Pixels
from tests.pre_tokenize.conftest import World, write_csv
from xllmx.store.address import Address

Command = Callable[..., list[str]]


@pytest.mark.parametrize("to", ["codes", "latents"])
def test_a_dry_run_finds_what_a_pre_tokenisation_finds(
    to: str, videos: World, command: Command, latents_command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = command if to == "codes" else latents_command
    options = program.option_parser().parse_args([*build(videos.file, tmp_path / "out"), "--dry_run"])
    complete_share(options, {}, program="pre_tokenize")
    dry = program.look(options)
    assert list(tmp_path.iterdir()) == []
    assert program.main(build(videos.file, tmp_path / "out")) == 0
    made = json.loads((tmp_path / "out" / "1-in-1" / "0-of-1" / "report.json").read_text())
    assert dry["clips"] > 0
    assert {name: made[name] for name in ("done", "clips", "skipped", "skipped_items")} == dry


def test_rows_are_said_with_their_reasons_and_no_network_is_loaded(
    videos: World, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("lumos.tokenizer.visual.VisualTokenizer.from_pretrained", None)
    sheet = tmp_path / "sheet.png"
    words = [*command(videos.file, tmp_path / "out"), "--dry-run", "--sheet", str(sheet), "--sheet_clips", "5"]
    assert program.main(words) == 0
    said = capsys.readouterr().out
    assert "14 rows, to be codes of videos, --target_size 64, --target_fps 4, --target_duration 2" in said
    assert "would be kept: 9\n" in said
    assert "would be skipped: 5\n" in said
    assert "  too short: 1\n    row 2  short.mp4  (1.75 s, asked for 2 s)" in said
    assert said.endswith(f"nothing was made: this was a dry run\n{sheet}: 5 of them in pictures\n")
    assert [path.name for path in tmp_path.iterdir()] == ["sheet.png"]
    with Image.open(sheet) as picture:
        assert min(picture.size) > 300


def test_rows_of_a_list_in_a_store_are_shown_on_a_sheet(
    images: World, command: Command, tmp_path: Path, bucket: Address, capsys: pytest.CaptureFixture[str]
) -> None:
    for file in images.file.parent.iterdir():
        (bucket / file.name).put(file)
    words = command(bucket / "images.csv", tmp_path / "out", modality="image")
    assert program.main([*words, "--dry_run", "--sheet", str(tmp_path / "sheet.png")]) == 0
    assert capsys.readouterr().out.endswith(f"{tmp_path}/sheet.png: 5 of them in pictures\n")


def test_a_csv_that_gives_nothing_ends_with_status_1_and_the_likely_cause(
    command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = write_csv(tmp_path / "a.csv", [("none.mp4", "a"), ("nor.mp4", "b")])
    assert program.main([*command(table, tmp_path / "out"), "--dry_run", "--sheet", str(tmp_path / "s.png")]) == 1
    said = capsys.readouterr()
    assert "would be kept: 0" in said.out
    assert "missing file; 'none.mp4': paths count from the CSV's folder" in said.err
    assert not (tmp_path / "s.png").exists()


@pytest.mark.parametrize(("words", "message"), [
    (["--sheet", "a.png"], "--sheet goes with --dry_run"),
    (["--sheet_clips", "3"], "--sheet_clips goes with --dry_run"),
    (["--dry_run", "--sheet", "a.mp4"], "a sheet is a picture; give a name that ends in .png"),
    (["--dry_run", "--sheet_clips", "0"], "sheet_clips is 0"),
])  # fmt: skip
def test_what_is_wrong_is_said_in_one_line(
    words: list[str], message: str, videos: World, command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.main([*command(videos.file, tmp_path / "out"), *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_without_an_output_folder_nothing_is_made(
    videos: World, command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = command(videos.file, tmp_path / "out")
    place = words.index("--output_dir")
    assert program.main([*words[:place], *words[place + 2 :]]) == 2
    assert "--output_dir is missing; say where the shards go, or --dry_run" in capsys.readouterr().err


def test_after_ctrl_c_what_was_found_is_said(
    videos: World, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    read, seen = codes.ClipFrames.read, []

    def stopped(self: codes.ClipFrames, path: Path) -> Pixels:
        seen.append(path)
        if len(seen) > 3:
            raise KeyboardInterrupt
        return read(self, path)

    monkeypatch.setattr(codes.ClipFrames, "read", stopped)
    monkeypatch.setattr(encode, "ahead", lambda pool, work, inputs, depth: map(work, inputs))
    assert program.main([*command(videos.file, tmp_path / "out"), "--dry_run"]) == 130
    said = capsys.readouterr()
    assert "3 rows of 14, to be codes" in said.out
    assert said.err.endswith("pre_tokenize: stopped\n")  # the same command would begin anew


def test_rows_that_are_all_too_small_say_what_to_type(
    videos: World, latents_command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = latents_command(videos.file, tmp_path / "out")
    words[words.index("--target_size") + 1] = "512"
    assert program.main([*words, "--dry_run"]) == 1
    assert "none is ever scaled up, give a smaller --size or --target_size\n" in capsys.readouterr().err


def test_pictures_are_spread_over_the_kept_rows_and_few_are_held() -> None:
    found = DryRun(num_rows=1000, most_shown=4)
    for row in range(1000):
        frames = np.zeros((3, 32, 64, 3), np.uint8)
        found.add(Item(row=row, path=f"{row}.mp4", text="abc"), Pixels(frames=frames))
    assert len(found._shown) < 8
    rows = [kept.item.row for kept in found.shown()]
    assert len(rows) == 4
    assert rows[0] == 0
    assert rows[-1] >= 700
    assert found.sizes == {(64, 32, 3): 1000}
