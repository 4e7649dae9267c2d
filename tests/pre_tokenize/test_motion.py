"""`python -m pre_tokenize.motion`: scores in a CSV or a record, once a row, whoever shares the work."""

import csv
import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from lumos.media.writing import write_video
from pre_tokenize.lists.table import read_table
from pre_tokenize.motion import main
from pre_tokenize.products import motion_scores
from tests.lumos.lumina_video.data.texture import expected_score, moving_texture
from tests.lumos.media.clips import Form, write_clip
from xllmx.store.address import Address

STEPS = {"slow.mp4": (0.5, 0.0), "still.mp4": (0.0, 0.0), "fast.mp4": (1.5, 1.0)}
FPS = 8
"""Half a second is 4 frames."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Videos that move by known pixels, among a missing and a short one, in a CSV and in a record."""
    folder = tmp_path_factory.mktemp("moving")
    for name, step in STEPS.items():
        write_video(folder / name, moving_texture(10, step, height=90, width=160), fps=FPS)
    write_clip(folder / "short.mp4", 3, Form(fps=Fraction(FPS)))
    names = ["slow.mp4", "none.mp4", "still.mp4", "short.mp4", "fast.mp4"]
    lines = [f'{name},"words, of {name}",x{number}' for number, name in enumerate(names)]
    (folder / "clips.csv").write_text("\n".join(["path,text,more", *lines]) + "\n")
    rows = [
        {"path": str(folder / name), "prompt": f"é {name}", "pkl": f"{number}.pkl", "ori_id": 10 + number}
        for number, name in enumerate(names)
    ]
    (folder / "record.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def words(source: Path, target: Path, *more: str) -> list[str]:
    return ["--input_file", str(source), "--output_file", str(target), "--shard_rows", "2", *more]


def assert_scored(scores: dict[str, float]) -> None:
    assert list(scores) == ["slow.mp4", "still.mp4", "fast.mp4"]
    assert scores["still.mp4"] < 0.05
    for name in ("slow.mp4", "fast.mp4"):
        assert scores[name] == pytest.approx(expected_score(STEPS[name], FPS // 2), rel=0.05)


def test_a_csv_gets_a_column_that_latents_take(folder: Path, tmp_path: Path, capsys) -> None:
    assert main(words(folder / "clips.csv", tmp_path / "scored.csv")) == 0
    said = capsys.readouterr().out
    assert "5 of 5 rows done, 3 clips, 2 skipped (missing file: 1, too short: 1)" in said
    assert "scored.csv: 3 of 5 rows have a score" in said
    with (tmp_path / "scored.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["path", "text", "more", "unimatch_flow", "motion_estimator"]
    assert [(row["text"], row["more"]) for row in rows] == [
        ("words, of slow.mp4", "x0"), ("words, of still.mp4", "x2"), ("words, of fast.mp4", "x4")
    ]  # fmt: skip
    assert {row["motion_estimator"] for row in rows} == {"dis"}
    assert_scored({item.path: item.motion for item in read_table(tmp_path / "scored.csv").items})


@pytest.mark.parametrize("ending", ["jsonl", "json"])
def test_a_record_keeps_its_fields(folder: Path, tmp_path: Path, ending: str) -> None:
    target = tmp_path / f"scored.{ending}"
    assert main(words(folder / "record.jsonl", target, "--estimator", "dis-fast")) == 0
    text = target.read_text()
    rows = json.loads(text) if ending == "json" else [json.loads(line) for line in text.splitlines()]
    assert [row["ori_id"] for row in rows] == [10, 12, 14]
    assert rows[1]["prompt"] == "é still.mp4"
    assert "é" in text
    assert {row["motion_estimator"] for row in rows} == {"dis-fast"}
    assert_scored({Path(row["path"]).name: row["unimatch_flow"] for row in rows})


def test_rows_without_an_id_get_that_of_their_place_and_need_no_prompt(folder: Path, tmp_path: Path) -> None:
    rows = [{"path": "none.mp4"}, {"path": str(folder / "still.mp4")}]
    (tmp_path / "a.json").write_text(json.dumps(rows))
    assert main(words(tmp_path / "a.json", tmp_path / "b.json")) == 0
    (row,) = json.loads((tmp_path / "b.json").read_text())
    assert (row["ori_id"], row["path"]) == (1, rows[1]["path"])


def test_the_last_of_several_processes_writes_the_same_file(folder: Path, tmp_path: Path, capsys) -> None:
    assert main(words(folder / "clips.csv", tmp_path / "alone.csv")) == 0
    for rank in (2, 0, 1):
        assert not (tmp_path / "shared.csv").exists()
        share = ["--splits", "3", "--rank", str(rank)]
        assert main(words(folder / "clips.csv", tmp_path / "shared.csv", *share)) == 0
    assert "shared.csv: 1 of 3 processes are not finished" in capsys.readouterr().out
    assert (tmp_path / "shared.csv").read_bytes() == (tmp_path / "alone.csv").read_bytes()


def test_what_was_stopped_goes_on_and_does_nothing_twice(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(words(folder / "clips.csv", tmp_path / "straight.csv")) == 0
    score, calls = motion_scores.score_clips, []

    def counting(clips, estimator):
        if len(calls) == 2:
            calls.append("killed")
            raise KeyboardInterrupt
        calls.append(len(clips))
        return score(clips, estimator)

    monkeypatch.setattr(motion_scores, "score_clips", counting)
    arguments = words(folder / "clips.csv", tmp_path / "stopped.csv", "--num_workers", "1")
    assert main(arguments) == 130
    assert not (tmp_path / "stopped.csv").exists()
    assert main(arguments) == 0
    assert calls == [1, 1, "killed", 1]  # rows 0 to 3 were kept
    assert (tmp_path / "stopped.csv").read_bytes() == (tmp_path / "straight.csv").read_bytes()
    assert main(arguments) == 0
    assert calls == [1, 1, "killed", 1]


def test_in_a_store_the_file_is_the_same_and_what_was_stopped_goes_on(
    folder: Path, bucket: Address, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for file in folder.iterdir():
        (bucket / "in" / file.name).put(file)
    score, calls = motion_scores.score_clips, []

    def stopped_once(clips, estimator):
        calls.append(len(clips))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return score(clips, estimator)

    monkeypatch.setattr(motion_scores, "score_clips", stopped_once)
    arguments = ["--input_file", f"{bucket}/in/clips.csv", "--output_file", f"{bucket}/scored.csv", "--shard_rows", "2"]
    assert main([*arguments, "--num_workers", "1"]) == 130
    assert not (bucket / "scored.csv").exists()
    assert main(arguments) == 0
    assert len(calls) == 4  # rows 0 to 3 were kept
    assert_scored({item.path: item.motion for item in read_table(bucket / "scored.csv").items})
    capsys.readouterr()
    assert main([*arguments, "--output_file", f"{bucket}/in/clips.csv"]) == 2
    assert "clips.csv is --input_file, and would be written over" in capsys.readouterr().err


def test_a_record_in_a_store_names_media_of_this_disk_only_where_it_may(
    folder: Path, bucket: Address, capsys: pytest.CaptureFixture[str]
) -> None:
    (bucket / "record.jsonl").write_bytes(json.dumps({"path": str(folder / "still.mp4"), "ori_id": 7}).encode())
    arguments = ["--input_file", f"{bucket}/record.jsonl", "--output_file", f"{bucket}/scored.jsonl"]
    assert main(arguments) == 1
    assert "1 skipped (an address that is not allowed: 1)" in capsys.readouterr().out
    (bucket / "record.jsonl").write_bytes(json.dumps({"path": f"file://{folder}/still.mp4", "ori_id": 7}).encode())
    arguments = ["--input_file", f"{bucket}/record.jsonl", "--output_file", f"{bucket}/other.jsonl"]
    assert main([*arguments, "--media_from", f"file://{folder}"]) == 0
    assert json.loads((bucket / "other.jsonl").read_text())["ori_id"] == 7


def test_a_list_of_which_no_row_has_a_score_is_no_success(tmp_path: Path, capsys) -> None:
    (tmp_path / "a.csv").write_text("path,text\nnone.mp4,a\nother.mp4,b\n")
    target, share = tmp_path / "b.csv", ["--splits", "2", "--rank"]
    assert main(words(tmp_path / "a.csv", target, *share, "0")) == 0  # the other one may have some
    capsys.readouterr()
    assert main(words(tmp_path / "a.csv", target, *share, "1")) == 1
    said = capsys.readouterr()
    assert "b.csv: 0 of 2 rows have a score" in said.out
    assert f"pre_tokenize.motion: no row has a score; {target}.parts has the reason of each" in said.err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--estimator", "unimatch"], "--estimator unimatch needs --weights"),
        (["--weights", "a.pth"], "dis needs none; leave it out"),
        (["--estimator", "foo"], "--estimator: invalid choice: 'foo'"),
        (["--splits", "0"], "--splits is 0"),
        (["--rank", "1"], "--rank is 1; it must be one of 0..0"),
        (["--output_file", "a.jsonl"], "--output_file a.jsonl: of a .csv give a name that ends in .csv"),
        (["--input_file", "none.csv"], "none.csv: no such file"),
        (["--output_file", "hf://datasets/org/name/a.csv"], "hf:// is only read here"),
        (["--input_file", "a.txt"], "a.txt: give a .csv, .json or .jsonl"),
    ],
)
def test_a_wrong_setting_is_one_clear_line(folder: Path, tmp_path: Path, capsys, more: list[str], message: str) -> None:
    assert main(words(folder / "clips.csv", tmp_path / "out.csv", *more)) == 2
    error = capsys.readouterr().err
    assert (message in error, error.count("\n")) == (True, 1), error
    assert not list(tmp_path.iterdir())


def test_another_estimator_does_not_go_on(folder: Path, tmp_path: Path, capsys) -> None:
    assert main(words(folder / "clips.csv", tmp_path / "out.csv")) == 0
    assert main(words(folder / "clips.csv", tmp_path / "out.csv", "--estimator", "dis-fast")) == 2
    assert "--estimator is 'dis-fast', was 'dis'" in capsys.readouterr().err


def test_frames_are_half_a_second_apart_whatever_the_rate(tmp_path: Path) -> None:
    frames = moving_texture(25, (0.5, 0.0))
    for choice in ("time", "released"):
        write_video(tmp_path / "a.mp4", np.ascontiguousarray(frames), fps=24)
        (tmp_path / "a.csv").write_text("path,text\na.mp4,\n")
        target = tmp_path / f"{choice}.csv"
        assert main(words(tmp_path / "a.csv", target, "--frame_choice", choice)) == 0
        (item,) = read_table(target).items
        assert item.motion == pytest.approx(expected_score((0.5, 0.0), 12), rel=0.05)
