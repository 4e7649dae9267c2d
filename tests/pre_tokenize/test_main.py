"""`python -m pre_tokenize` and concat_record, from CSV to dataset: nothing lost, nothing doubled, whatever happens."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from lumos.lumos1.data.clips import ClipDataset
from lumos.media.crop import crop_to_bucket
from lumos.media.frames import to_tensor
from lumos.media.reading import read_clip, read_image
from lumos.tokenizer.text import TextTokenizer
from lumos.tokenizer.visual import VisualTokenizer
from pre_tokenize import __main__ as program
from pre_tokenize import concat_record, job
from pre_tokenize.products import codes, encode
from tests.lumos.media.clips import Form, write_clip
from tests.pre_tokenize.conftest import write_csv

Command = Callable[..., list[str]]
Start = Callable[[list[str]], "subprocess.Popen[str]"]


def contents(folder: Path) -> dict[str, bytes]:
    """Every shard and index below a folder."""
    paths = [
        path for path in folder.rglob("*") if path.suffix == ".parquet" or path.name in ("index.json", "report.json")
    ]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def assert_is_whole(output: Path, world: object) -> None:
    dataset = ClipDataset(output)
    assert {clip.source: clip.caption for clip in dataset} == world.kept
    assert len(dataset) == len(world.kept)
    report = json.loads((output / "report.json").read_text())
    assert {item["path"]: item["reason"] for item in report["skipped_items"]} == world.skipped
    assert (report["rows"], report["clips"]) == (len(world.kept) + len(world.skipped), len(world.kept))


def test_videos_become_clips_and_skips(videos, tokenizers: Path, tmp_path: Path, command: Command, capsys) -> None:
    assert program.main(command(videos.file, tmp_path)) == 0
    out, err = capsys.readouterr()
    assert "14 of 14 rows done, 9 clips, 5 skipped (empty caption: 1, missing file: 1" in out
    assert "of skipped rows report.json has the reasons; they are not tried again here" in err
    assert concat_record.main(["--output_dir", str(tmp_path)]) == 0
    assert_is_whole(tmp_path, videos)
    text = TextTokenizer.from_file(tokenizers / "text_tokenizer.json")
    visual = VisualTokenizer.from_pretrained(tokenizers / "visual_tokenizer")
    for clip in ClipDataset(tmp_path):
        frames = read_clip(videos.file.parent / clip.source, fps=4, duration=2, size=64)
        height, width = frames.shape[1:3]
        assert clip.codes.shape == (3, height // 8, width // 8)
        assert (clip.fps, clip.duration) == (4, 2)
        np.testing.assert_array_equal(clip.codes, visual.encode(to_tensor(frames)[None])[0].numpy())
        prompt_ids = text.prompt_ids(clip.caption, width=width, height=height)
        assert clip.prompt_ids.tolist() == prompt_ids
        assert {text.vocab.frames_placeholder, text.vocab.fps_placeholder} < set(prompt_ids)


def test_images_are_clips_of_one_frame(images, tokenizers: Path, tmp_path: Path, command: Command) -> None:
    assert program.main(command(images.file, tmp_path, "--batch_size", "2", modality="image")) == 0
    assert concat_record.main(["--output_dir", str(tmp_path)]) == 0
    assert_is_whole(tmp_path, images)
    visual = VisualTokenizer.from_pretrained(tokenizers / "visual_tokenizer")
    for clip in ClipDataset(tmp_path):
        image = crop_to_bucket(read_image(images.file.parent / clip.source)[None], 64)
        assert (clip.fps, clip.duration) == (1, 1)
        np.testing.assert_array_equal(clip.codes, visual.encode(to_tensor(image)[None])[0].numpy())


def test_a_finished_output_is_not_touched(
    images, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = command(images.file, tmp_path, modality="image")
    assert program.main(arguments) == 0
    before = contents(tmp_path)
    monkeypatch.setattr(job, "VisualTokenizer", None)  # not even loaded
    assert program.main(arguments) == 0
    assert contents(tmp_path) == before


def test_tasks_and_ranks_share_the_rows(videos, tmp_path: Path, command: Command, capsys) -> None:
    for task in (1, 2):
        for rank in range(3):
            place = f"--all_tasks 2 --task_id {task} --splits 3 --rank {rank}".split()
            assert concat_record.main(["--output_dir", str(tmp_path)]) == 2
            assert program.main(command(videos.file, tmp_path, *place)) == 0
    assert "not begun: 2-in-2" in capsys.readouterr().err
    assert concat_record.main(["--output_dir", str(tmp_path)]) == 0
    assert_is_whole(tmp_path, videos)
    assert [clip.source for clip in ClipDataset(tmp_path)] == list(videos.kept)


def test_an_unfinished_rank_is_not_merged(videos, tmp_path: Path, command: Command, capsys) -> None:
    arguments = command(videos.file, tmp_path)
    assert program.main(arguments) == 0
    assert concat_record.main(["--output_dir", str(tmp_path)]) == 0
    whole = contents(tmp_path)
    (tmp_path / "1-in-1" / "0-of-1" / "rows-000000004-000000006.parquet").unlink()
    assert concat_record.main(["--output_dir", str(tmp_path)]) == 2
    assert "0-of-1 (12 of 14 rows)" in capsys.readouterr().err
    assert program.main(arguments) == 0
    assert concat_record.main(["--output_dir", str(tmp_path)]) == 0
    assert contents(tmp_path) == whole


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_at_any_point_nothing_is_lost_or_doubled(videos, tmp_path: Path, command: Command, start: Start) -> None:
    straight = command(videos.file, tmp_path / "straight")
    assert program.main(straight) == 0
    output = tmp_path / "killed"
    shards = output / "1-in-1" / "0-of-1"
    rng = random.Random(0)
    kills = 0
    for attempt in range(60):
        process = start(command(videos.file, output))
        had = len(list(shards.glob("rows-*.parquet")))
        while process.poll() is None and len(list(shards.glob("rows-*.parquet"))) <= had:
            time.sleep(0.001)
        time.sleep(rng.random() * 0.02)
        if attempt < 3 and process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.communicate()
        if process.returncode == 0:
            break
    assert kills >= 2
    assert process.returncode == 0
    for folder in (tmp_path / "straight", output):
        assert concat_record.main(["--output_dir", str(folder)]) == 0
    assert contents(output) == contents(tmp_path / "straight")
    assert_is_whole(output, videos)
    assert not [path for path in output.rglob(".*") if path.name != ".lock"]


def test_a_write_that_is_cut_short_is_done_again(
    images, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = command(images.file, tmp_path / "a", modality="image")
    replace = Path.replace
    calls = []

    def die_at_the_third(self: Path, target: Path) -> Path:
        calls.append(target)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", die_at_the_third)
    assert program.main(arguments) == 130
    assert program.main(arguments) == 0
    assert program.main(command(images.file, tmp_path / "b", modality="image")) == 0
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_run_tokenization_starts_every_rank_and_writes_the_index(
    videos, tmp_path: Path, repo: Path, command: Command, environment: dict[str, str]
) -> None:
    script = [
        str(repo / "pre_tokenize" / "run_tokenization.sh"),
        *command(videos.file, tmp_path / "out", "--splits", "2"),
    ]
    run = subprocess.run(["bash", *script], env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert_is_whole(tmp_path / "out", videos)
    failing = subprocess.run(["bash", *script, "--target_fps", "5"], env=environment, capture_output=True, text=True)
    assert failing.returncode == 2
    assert "--target_fps is 5, was 4" in failing.stderr


@pytest.mark.parametrize(
    ("more", "given"),
    [
        (["--splits", "two"], "two"),
        (["--splits=0"], "0"),
        (["--splits", "02"], "02"),
        (["--splits", "+2"], "+2"),
        (["--splits"], ""),
    ],
)
def test_run_tokenization_says_what_is_wrong_with_its_splits(
    images, tmp_path: Path, repo: Path, command: Command, environment: dict[str, str], more: list[str], given: str
) -> None:
    script = ["bash", str(repo / "pre_tokenize" / "run_tokenization.sh")]
    words = command(images.file, tmp_path / "out", *more, modality="image")
    environment |= {"LUMOS_PYTHON": sys.executable}
    run = subprocess.run([*script, *words], env=environment, capture_output=True, text=True, check=False)
    message = f"run_tokenization: error: --splits is '{given}'; give a whole number of at least 1\n"
    assert (run.returncode, run.stderr) == (2, message)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("left", "said"), [([], "nothing was pre-tokenised here"), (["index.json"], "has its index.json, and no parts")]
)
def test_concat_record_runs_as_a_file(left: list[str], said: str, tmp_path: Path, repo: Path) -> None:
    for name in left:
        (tmp_path / name).write_text("{}")
    script = [sys.executable, str(repo / "pre_tokenize" / "concat_record.py"), "--output_dir", str(tmp_path)]
    run = subprocess.run(script, cwd=repo, env=os.environ, capture_output=True, text=True)
    assert run.returncode == 2
    assert run.stderr.startswith("concat_record: error:")
    assert said in run.stderr


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--input_file", "none.csv"], "none.csv: no such file"),
        (["--target_size", "20"], "--target_size is 20"),
        (["--target_fps", "0"], "--target_fps is 0"),
        (["--target_fps", "500"], "--target_fps is 500, more than the text tokenizer has a token for; give at most"),
        (["--target_duration", "500"], "--target_duration is 500, more than"),
        (["--target_size", "60000"], "--target_size is 60000, more than"),
        (["--task_id", "0"], "--task_id is 0; it must be one of 1..1"),
        (["--all_tasks", "0"], "--all_tasks is 0"),
        (["--splits", "0"], "--splits is 0"),
        (["--splits", "2", "--rank", "2"], "--rank is 2; it must be one of 0..1"),
        (["--splits", "two"], "--splits: invalid int value: 'two'; see python -m pre_tokenize --help"),
        (["--batch_size", "-1"], "--batch_size is -1"),
        (["--batch_size", "0"], "--batch_size is 0"),
        (["--shard_rows", "0"], "--shard_rows is 0"),
        (["--device", "foo"], "--device is 'foo'; it must be cpu, cuda, cuda:N, mps or xpu"),
        (["--device", "meta"], "--device is 'meta'"),
        (["--cosmos_dtype", "foo"], "--cosmos_dtype: invalid choice: 'foo'"),
        (["--visual_tokenizer", "no/such/model"], "no/such/model"),
        (["--text_tokenizer", "none.json"], "none.json"),
    ],
)
def test_a_wrong_setting_is_one_clear_line(
    videos, tmp_path: Path, command: Command, capsys, more: list[str], message: str
) -> None:
    assert program.main(command(videos.file, tmp_path / "out", *more)) == 2
    error = capsys.readouterr().err
    assert error.startswith("pre_tokenize: error:")
    assert (message in error, error.count("\n")) == (True, 1), error
    assert not list(tmp_path.iterdir())


def test_an_output_that_is_a_file_is_named(videos, tmp_path: Path, command: Command, capsys) -> None:
    (tmp_path / "file").touch()
    assert program.main(command(videos.file, tmp_path / "file")) == 2
    error = capsys.readouterr().err
    assert f"--output_dir: cannot write to {tmp_path / 'file'}" in error
    assert "a file stands where a folder is needed" in error


def test_a_run_killed_before_its_first_shard_does_not_stand_in_the_way(
    images, tmp_path: Path, command: Command, capsys
) -> None:
    for place in ("1-in-1/0-of-2", "1-in-3/2-of-4"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "manifest.json").write_text('{"target_size": 352, "rows": [0, 3]}')
    assert program.main(command(images.file, tmp_path, modality="image")) == 0
    capsys.readouterr()
    assert concat_record.main(["--output_dir", str(tmp_path)]) == 0
    said = "".join(
        f"concat_record: left out, without a shard: {tmp_path / name}\n" for name in ("1-in-3", "1-in-1/0-of-2")
    )
    assert capsys.readouterr().err.startswith(said)
    assert_is_whole(tmp_path, images)


def test_a_changed_csv_does_not_go_on(images, tmp_path: Path, command: Command, capsys) -> None:
    file = images.file.with_name("changed.csv")
    file.write_bytes(images.file.read_bytes())
    arguments = command(file, tmp_path, modality="image")
    assert program.main(arguments) == 0
    file.write_text(file.read_text() + "more.png,more\n")
    assert program.main(arguments) == 2
    assert "the CSV has changed" in capsys.readouterr().err


def test_codes_the_text_tokenizer_does_not_know_are_refused(images, tmp_path: Path, command: Command, capsys) -> None:
    from lumos.tokenizer.text_training import save_text_tokenizer, train_text_tokenizer

    save_text_tokenizer(train_text_tokenizer(["a"], num_merges=1, num_codes=5), tmp_path / "few.json")
    arguments = command(images.file, tmp_path / "out", "--text_tokenizer", str(tmp_path / "few.json"), modality="image")
    assert program.main(arguments) == 2
    assert "the text tokenizer knows codes 0..4" in capsys.readouterr().err


def test_frames_are_chosen_by_time_unless_the_released_rule_is_asked_for(
    tmp_path: Path, command: Command, tokenizers: Path, capsys
) -> None:
    write_clip(tmp_path / "a.mp4", 72, Form(fps=Fraction(24000, 1001)))
    (tmp_path / "a.csv").write_text("path,text\na.mp4,a\n")
    visual = VisualTokenizer.from_pretrained(tokenizers / "visual_tokenizer")
    for name, more, choice in (("t", [], "time"), ("r", ["--frame_choice", "released"], "released")):
        arguments = command(tmp_path / "a.csv", tmp_path / name, "--target_fps", "12", *more)
        assert program.main(arguments) == 0
        assert concat_record.main(["--output_dir", str(tmp_path / name)]) == 0
        frames = read_clip(tmp_path / "a.mp4", fps=12, duration=2, size=64, frame_choice=choice)
        (clip,) = ClipDataset(tmp_path / name)
        np.testing.assert_array_equal(clip.codes, visual.encode(to_tensor(frames)[None])[0].numpy())
    assert contents(tmp_path / "t") != contents(tmp_path / "r")
    capsys.readouterr()
    assert program.main(command(tmp_path / "a.csv", tmp_path / "r", "--target_fps", "12")) == 2
    assert "--frame_choice is 'time', was 'released'" in capsys.readouterr().err


def test_an_output_of_before_there_was_a_choice_goes_on_as_released(
    videos, images, tmp_path: Path, command: Command, capsys
) -> None:
    arguments = command(videos.file, tmp_path / "v", "--splits", "2", "--frame_choice", "released")
    for rank in ("0", "1"):
        assert program.main([*arguments, "--rank", rank]) == 0
    manifest = tmp_path / "v" / "1-in-1" / "0-of-2" / "manifest.json"
    begun = json.loads(manifest.read_text())
    assert begun.pop("frame_choice") == "released"
    manifest.write_text(json.dumps(begun))
    (manifest.parent / "rows-000000002-000000004.parquet").unlink()
    assert program.main([*arguments, "--rank", "0"]) == 0
    assert concat_record.main(["--output_dir", str(tmp_path / "v")]) == 0
    assert_is_whole(tmp_path / "v", videos)
    assert program.main(command(videos.file, tmp_path / "v", "--splits", "2")) == 2
    assert "--frame_choice is 'time', was 'released'" in capsys.readouterr().err
    assert program.main(command(images.file, tmp_path / "i", modality="image")) == 0
    assert "frame_choice" not in json.loads((tmp_path / "i" / "1-in-1" / "0-of-1" / "manifest.json").read_text())


def test_no_row_stops_a_run_whatever_its_file_is(tmp_path: Path, command: Command, capsys) -> None:
    write_clip(tmp_path / "fine.mp4", 20, Form(fps=Fraction(4)))
    (tmp_path / "12:30:05.mp4").write_bytes((tmp_path / "fine.mp4").read_bytes())
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "half.mp4").write_bytes((tmp_path / "fine.mp4").read_bytes()[:2000])
    (tmp_path / "folder.mp4").mkdir()
    skipped = {
        "n" * 300 + ".mp4": "missing file",
        "a caption that stands where the path should, " * 9: "missing file",
        "empty.mp4": "undecodable",
        "half.mp4": "undecodable",
        "folder.mp4": "missing file",
        "fine.mp4/x": "missing file",
        "": "missing file",
    }
    rows = [(name, "a") for name in skipped]
    rows[2:2] = [("fine.mp4", "fine"), ("12:30:05.mp4", "by time")]
    write_csv(tmp_path / "a.csv", rows)
    assert program.main(command(tmp_path / "a.csv", tmp_path / "out")) == 0
    assert concat_record.main(["--output_dir", str(tmp_path / "out")]) == 0
    assert [clip.caption for clip in ClipDataset(tmp_path / "out")] == ["fine", "by time"]
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert {item["path"]: item["reason"] for item in report["skipped_items"]} == {
        name.strip(): reason for name, reason in skipped.items()
    }
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("stumbling", ["locate", "crop"])
def test_what_no_one_foresaw_is_a_skip_too(
    images, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch, stumbling: str
) -> None:
    where, name = {"locate": (encode.Table, "locate"), "crop": (codes, "crop_to_bucket")}[stumbling]
    original = getattr(where, name)
    calls: list[int] = []

    def stumble(*arguments: object) -> object:
        calls.append(0)
        if len(calls) == 2:
            raise ZeroDivisionError("division by zero")
        return original(*arguments)

    monkeypatch.setattr(where, name, stumble)
    assert program.main(command(images.file, tmp_path, "--num_workers", "1", modality="image")) == 0
    report = json.loads(next(tmp_path.rglob("report.json")).read_text())
    skips = [(item["reason"], item["detail"]) for item in report["skipped_items"] if item["path"] != "text.png"]
    assert skips == [("undecodable", "ZeroDivisionError: division by zero")]


def test_released_media_pre_tokenise(shared_data: Path, tmp_path: Path, command: Command) -> None:
    names = ["clip_281022623.mp4", "duckling.mp4", "hawk.mp4"]
    lines = [f"{shared_data / 'media' / name},{name}" for name in names]
    (tmp_path / "videos.csv").write_text("\n".join(["path,text", *lines]) + "\n")
    (tmp_path / "images.csv").write_text(f"path,text\n{shared_data / 'media' / 'red_bus.jpg'},a red bus\n")
    size = ["--target_size", "352", "--target_fps", "12"]
    assert program.main(command(tmp_path / "videos.csv", tmp_path / "v", *size)) == 0
    assert program.main(command(tmp_path / "images.csv", tmp_path / "i", *size, modality="image")) == 0
    for output in ("v", "i"):
        assert concat_record.main(["--output_dir", str(tmp_path / output)]) == 0
    videos, images = ClipDataset(tmp_path / "v"), ClipDataset(tmp_path / "i")
    assert [clip.caption for clip in videos] == names
    assert {clip.codes.shape for clip in videos} == {(7, 32, 56)}
    assert [clip.codes.shape for clip in images] == [(1, 32, 56)]
