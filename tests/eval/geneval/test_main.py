"""GenEval's folder made with a tiny model: the same from any number of workers, resumed, mended, never half there."""

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eval.driver.command import parse, parser_of
from eval.geneval import __main__ as geneval
from eval.geneval.prompts import read_official
from eval.prompts.__main__ import bring
from lumos.cli.jobs import runner
from lumos.lumos1.sampling.settings import settings_for
from lumos.media.reading import read_image
from tests.eval.conftest import METADATA

Contents = Callable[[Path], dict[str, bytes]]


@pytest.fixture
def command(model: Path, metadata: Path) -> Callable[..., int]:
    """Runs the driver into a folder, with two images a prompt."""

    def run(out: Path, *words: str) -> int:
        paths = ["--model", str(model), "--prompts", str(metadata), "--out", str(out)]
        return geneval.main([*paths, "--short", "--samples", "2", "--batch-size", "1", *words])

    return run


def test_the_folder_is_what_the_scorer_reads(command: Callable[..., int], tmp_path: Path) -> None:
    out = tmp_path / "o"
    assert command(out, "--samples", "4") == 0
    assert sorted(path.name for path in out.iterdir()) == ["00000", "00001", "00002"]
    for number, record in enumerate(METADATA):
        folder = out / f"{number:05d}"
        names = ["00000.png", "00001.png", "00002.png", "00003.png"]
        assert sorted(path.name for path in folder.iterdir()) == ["grid.png", "metadata.jsonl", "samples"]
        assert sorted(path.name for path in (folder / "samples").iterdir()) == names
        assert json.loads((folder / "metadata.jsonl").read_text()) == record
        images = [read_image(folder / "samples" / name) for name in names]
        assert {image.shape for image in images} == {(64, 96, 3)}
        assert len({image.tobytes() for image in images}) == 4
        rows = [np.concatenate(images[:2], axis=1), np.concatenate(images[2:], axis=1)]
        assert np.array_equal(read_image(folder / "grid.png"), np.concatenate(rows))


@pytest.mark.parametrize("batch_size", ["1", "2", "4"])
def test_1_3_and_8_workers_make_the_same_files(
    batch_size: str,
    command: Callable[..., int],
    as_workers: Callable[[int, Callable[[], int]], list[int]],
    contents: Contents,
    tmp_path: Path,
) -> None:
    made = []
    for number in (1, 3, 8):
        out = tmp_path / str(number)
        assert as_workers(number, lambda out=out: command(out, "--batch-size", batch_size)) == [0] * number
        made.append(contents(out))
    assert len(made[0]) == 3 * (2 + 2)
    assert made[0] == made[1] == made[2]


def test_parts_fill_one_folder_and_say_what_is_not_there_yet(
    command: Callable[..., int], contents: Contents, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(tmp_path / "parts", "--part", "[2,2]") == 0
    assert "3 made, 0 finished before; 6 of other workers or parts are not there yet" in capsys.readouterr().out
    assert list((tmp_path / "parts").glob("*")) == []  # of every prompt an image is missing
    assert command(tmp_path / "parts", "--part", "[1,2]") == 0
    assert command(tmp_path / "whole") == 0
    assert contents(tmp_path / "parts") == contents(tmp_path / "whole")


def test_a_finished_folder_is_left_alone_and_no_model_is_loaded(
    command: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "o"
    assert command(out) == 0
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    monkeypatch.setattr(runner, "_make", None)
    assert command(out) == 0
    assert "0 made, 6 finished before\n" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before


@pytest.mark.parametrize("damage", ["cut", "no image", "no metadata", "other metadata", "no grid", "no folder"])
def test_what_was_damaged_is_made_again(
    damage: str, command: Callable[..., int], contents: Contents, tmp_path: Path
) -> None:
    out = tmp_path / "o"
    assert command(out) == 0
    before, folder = contents(out), out / "00001"
    match damage:
        case "cut":
            (folder / "samples/00001.png").write_bytes(before["00001/samples/00001.png"][:40])
        case "no image":
            (folder / "samples/00001.png").unlink()
        case "no metadata":
            (folder / "metadata.jsonl").unlink()
        case "other metadata":
            (folder / "metadata.jsonl").write_text(json.dumps(METADATA[0]))
        case "no grid":
            (folder / "grid.png").unlink()
        case "no folder":
            shutil.rmtree(folder)
    assert command(out) == 0
    assert contents(out) == before


def test_records_stand_beside_the_folder_and_make_a_sample_again(command: Callable[..., int], tmp_path: Path) -> None:
    out = tmp_path / "o"
    assert command(out, "--seed", "5") == 0
    records = tmp_path / "o_records"
    assert sorted(path.name for path in records.rglob("*") if path.is_file()) == sorted(
        ["00000.png.json", "00001.png.json"] * 3 + ["run.json"]
    )
    record = json.loads((records / "00002/00001.png.json").read_text())
    assert (record["official_prompt"], record["index"], record["prompt"]) == ("a red cup", 1, "a red cup")
    assert json.loads((records / "run.json").read_text())["seed"] == 5


def test_a_folder_made_otherwise_is_refused_and_replaced_when_asked(
    command: Callable[..., int], contents: Contents, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "o"
    assert command(out) == 0
    before = contents(out)
    assert command(out, "--seed", "1") == 2
    assert "it was made otherwise (seed: " in capsys.readouterr().err
    assert command(out, "--seed", "1", "--overwrite") == 0
    after = contents(out)
    assert after.keys() == before.keys()
    assert {name for name in after if after[name] == before[name]} == {f"0000{n}/metadata.jsonl" for n in range(3)}


@pytest.mark.parametrize("stranger", ["00003", "00001/samples/00002.png", "7"])
def test_what_the_scorer_would_count_too_is_refused(
    stranger: str, command: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "o" / stranger
    path.mkdir(parents=True)
    assert command(tmp_path / "o") == 2
    assert f"holds what the scorer would take for outputs: '{stranger}'" in capsys.readouterr().err


def test_the_model_sees_the_rewritten_prompt_and_the_folder_the_official_one(
    command: Callable[..., int], tmp_path: Path, model: Path, metadata: Path
) -> None:
    long = tmp_path / "long.json"
    long.write_text(json.dumps({record["prompt"]: f"{record['prompt']}, at length" for record in METADATA}))
    words = ["--model", str(model), "--prompts", str(metadata), "--long", str(long), "--samples", "1"]
    assert geneval.main([*words, "--out", str(tmp_path / "o")]) == 0
    record = json.loads((tmp_path / "o_records/00000/00000.png.json").read_text())
    assert (record["prompt"], record["official_prompt"]) == ("a cow, at length", "a cow")
    assert json.loads((tmp_path / "o/00000/metadata.jsonl").read_text()) == METADATA[0]
    long.write_text(json.dumps({"a cow": "a cow, at length", "a red cup": " "}))
    with pytest.raises(ValueError, match=r"no rewritten prompt for 2 of 3: 'two clocks', 'a red cup'"):
        geneval.work(geneval_options(words, tmp_path / "p"), partial(settings_for, {}))


def geneval_options(words: list[str], out: Path):
    return parse(parser_of(geneval.DRIVER), [*words, "--out", str(out)])


def test_a_prompt_file_without_exclude_is_not_the_official_one(
    command: Callable[..., int], metadata: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = metadata.read_text()
    metadata.write_text(text.replace('"exclude"', '"excluded"'))
    assert command(tmp_path / "o") == 2
    assert "line 2 asks to count and has no 'exclude'" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()
    assert not (tmp_path / "o_records").exists()


def test_settings_and_size_are_ones_own(command: Callable[..., int], tmp_path: Path) -> None:
    assert command(tmp_path / "o", "width=64", "height=32", "num_inference_steps=1", "--first", "1") == 0
    with Image.open(tmp_path / "o/00000/samples/00000.png") as image:
        assert image.size == (64, 32)
    assert [path.name for path in (tmp_path / "o").iterdir()] == ["00000"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["steps=3"], "there is no setting 'steps'"),
        (["--part", "1;2"], "--part is '1;2'; it must be i,n (or i/n"),
        (["--samples", "0"], "--samples is 0; it must be a whole number of at least 1"),
        (["--model", "nowhere"], "there is no model 'nowhere'"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(
    words: list[str], message: str, command: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(tmp_path / "o", *words) == 2
    error = capsys.readouterr().err
    assert error.startswith("eval.geneval: error: ")
    assert error.count("\n") == 1
    assert message in error
    assert not (tmp_path / "o").exists()
    assert not (tmp_path / "o_records").exists()


def test_a_dry_run_says_what_would_be_made(
    command: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(tmp_path / "o", "--dry-run") == 0
    said = capsys.readouterr()
    scoring, outputs, *cost = said.out.splitlines()
    assert [line.split()[0] for line in cost if line[0] != " "] == [
        "model",
        "clips",
        "passes",
        "compute",
        "memory",
        "time",
    ]
    assert cost[1] == "clips     6 of 96x64"
    assert scoring.startswith("eval.geneval: scoring: ")
    assert outputs == f"{tmp_path / 'o'}: 6 outputs of 3 prompts, 96x64, 2 steps, guidance 2"
    assert "GenEval's scores are of 553 with 4" in said.err
    assert not (tmp_path / "o_records").exists()


def test_a_dry_run_says_how_long_a_benchmark_takes_of_a_model_that_is_not_here(
    metadata: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--model", "3B/stage-1-image", "--prompts", str(metadata), "--short", "--out", str(tmp_path / "o")]
    ckpts = ["--ckpts", str(tmp_path / "none")]
    assert geneval.main([*words, *ckpts, "--dry-run", "--gpu", "A100", "--gpus", "2", "--batch-size", "1"]) == 0
    said = capsys.readouterr().out
    assert "clips     12 of 448x256" in said
    assert "of one A100; on 2 of them: " in said
    assert "run: lumos download 3B/stage-1-image" in said
    assert not (tmp_path / "o").exists()
    assert geneval.main([*words, *ckpts, "--gpus", "2"]) == 2
    assert "--gpus is of the --dry-run" in capsys.readouterr().err


def test_the_official_list_gives_553_prompts_of_4_images(shared_data: Path, tmp_path: Path) -> None:
    bring(["geneval"], places=[shared_data / "prompts"], folder=tmp_path, offline=True)
    words = [
        "--prompts",
        str(tmp_path / "geneval_evaluation_metadata.jsonl"),
        "--long",
        str(tmp_path / "geneval_long.json"),
    ]
    work = geneval.work(geneval_options(words, tmp_path / "o"), partial(settings_for, {}))
    assert [work.jobs[0].name, work.jobs[-1].name] == ["00000/00000.png", "00552/00003.png"]
    assert len({job.name for job in work.jobs}) == 2212
    assert work.remarks == []
    assert all(len(job.prompt) > len(job.notes["official_prompt"]) for job in work.jobs)
    for other in ("VBench_full_info.json", "lumos_vbench_t2v_long.json"):
        with pytest.raises(ValueError, match="is not GenEval's metadata"):
            read_official(shared_data / "prompts" / other)
