"""The tables: means, spread, frames, and what is not run yet; and where they go in a page."""

import json
import shutil
from pathlib import Path

import pytest

from eval.ablations.crossed import MASKS, read_losses
from eval.ablations.jobs import CHANCE, jobs, scores_in
from eval.ablations.kept import keep
from eval.ablations.pictures import sweep_curves
from eval.ablations.plan import COMPARED, SWEEPS, Point
from eval.ablations.sampling import Scores, scores_of, single_prompts
from eval.ablations.table import spread, tables
from eval.shapes.score import Result, Verdict
from lumos.shapes import MOTIONS, is_reserved
from xllmx.plot import panels_of


def write_run(folder: Path, name: str, *, correct: float, losses: tuple[float, ...]) -> None:
    """A finished run, with its last evaluation and its scores at the compared shares."""
    for part in ("runs", "models", "scores"):
        (folder / part / name).mkdir(parents=True)
    (folder / "models" / name / "config.json").write_text("{}")
    frames = {f"video/frame_{index}": loss for index, loss in enumerate(losses)}
    rows = [{"kind": "train", "step": 1, "video/loss": 9.0}, {"kind": "eval", "step": 1, "video/loss": 8.0}]
    rows.append({"kind": "eval", "step": 2, "video/loss": sum(losses) / len(losses), **frames})
    (folder / "runs" / name / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for place, share in enumerate(COMPARED):
        write_scores(folder, name, Point(share=share), correct - 0.1 * place)


def write_scores(folder: Path, name: str, point: Point | None, correct: float) -> None:
    path = folder / "scores" / name / (f"{point.name}.json" if point else "chance.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    said = {"share": point.share, "guidance": point.guidance, "steps": point.steps} if point else None
    content = {"point": said, "scores": {"num": 8, "correct": correct, "looks": 0.9, "seconds": 1.5}}
    path.write_text(json.dumps(content))


def write_crossed(folder: Path, name: str, loss: float) -> None:
    path = folder / "crossed" / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({masks: loss + 0.1 * place for place, masks in enumerate(MASKS)}))


def cells(text: str, first: str) -> list[str]:
    """The cells after the first of the row that begins so."""
    row = next(line for line in text.splitlines() if line.startswith(f"| {first} |"))
    return [cell.strip() for cell in row.split("|")[2:-1]]


def test_spread_is_the_mean_and_half_of_the_range() -> None:
    assert spread([0.25, 0.75, 0.5]) == "0.500 ± 0.250"
    assert spread([0.25]) == "0.250"


def test_tables_hold_means_over_seeds_and_say_what_is_not_run(tmp_path: Path) -> None:
    write_run(tmp_path, "base-0", correct=0.6, losses=(3.0, 2.0))
    write_run(tmp_path, "base-1", correct=0.8, losses=(3.5, 2.0))
    write_scores(tmp_path, CHANCE, None, 0.015)
    losses, _, clips, shares, *_ = tables(tmp_path, seeds=2).split("\n\n")
    assert cells(losses, "tube masks, MM-RoPE") == [
        "2",
        "2.625 ± 0.125",
        "3.250 ± 0.250",
        "2.000 ± 0.000",
        "1.250 ± 0.250",
    ]
    assert cells(losses, "random masks")[0] == "not run yet"
    assert cells(clips, "tube masks, MM-RoPE")[:3] == ["2", "0.700 ± 0.100", "0.600 ± 0.100"]
    assert cells(clips, "plain 3-D RoPE")[0] == "not run yet"
    assert cells(clips, "chance: clips of other prompts")[1] == "0.015"
    assert cells(shares, "0.5") == ["not run yet", "0.600 ± 0.100"]


def test_losses_under_all_masks_are_of_the_variants_that_differ_in_masks(tmp_path: Path) -> None:
    for name, loss in (("base-0", 0.8), ("base-1", 0.6), ("random-0", 0.7)):
        write_run(tmp_path, name, correct=0.6, losses=(3.0, 2.0))
        write_crossed(tmp_path, name, loss)
    _, crossed, *_ = tables(tmp_path, seeds=2).split("\n\n")
    assert cells(crossed, "tube masks, MM-RoPE") == ["2", "0.700 ± 0.100", "0.800 ± 0.100", "0.900 ± 0.100"]
    assert cells(crossed, "random masks") == ["1", "0.700", "0.800", "0.900"]
    assert cells(crossed, "diffusion forcing")[0] == "not run yet"
    assert "RoPE |" not in crossed.replace("MM-RoPE |", "")


@pytest.mark.parametrize("text", ["[]", "{", '{"tube": 1.0}', '{"tube": 1.0, "random": "x", "diffusion_forcing": 1.0}'])
def test_losses_that_are_damaged_are_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "base-0.json").write_text(text)
    with pytest.raises(ValueError, match=r"base-0\.json.*delete it, and give the same command again"):
        read_losses(tmp_path / "base-0.json")


def test_a_run_in_training_is_in_no_table(tmp_path: Path) -> None:
    write_run(tmp_path, "base-0", correct=0.6, losses=(3.0, 2.0))
    (tmp_path / "models" / "base-0" / "config.json").unlink()
    assert cells(tables(tmp_path, seeds=1), "tube masks, MM-RoPE")[0] == "not run yet"


def test_tables_of_nothing_say_so(tmp_path: Path) -> None:
    assert "not run yet" in tables(tmp_path, seeds=2)


def test_kept_results_make_the_same_tables_and_count_as_done(tmp_path: Path) -> None:
    """All but what was still in training; weights and the steps of a training stay behind."""
    folder, kept = tmp_path / "runs", tmp_path / "kept"
    write_run(folder, "base-0", correct=0.6, losses=(3.0, 2.0))
    write_run(folder, "random-0", correct=0.5, losses=(3.1, 2.1))
    write_run(folder, "rope_1d-0", correct=0.5, losses=(3.1, 2.1))
    shutil.rmtree(folder / "models" / "rope_1d-0")
    shutil.rmtree(folder / "scores" / "rope_1d-0")
    (folder / "models" / "base-0" / "model.safetensors").write_text("large")
    write_scores(folder, CHANCE, None, 0.015)
    write_crossed(folder, "base-0", 0.8)
    assert keep(folder, kept) == ["base-0", "random-0"]
    assert tables(kept, seeds=2) == tables(folder, seeds=2)
    assert not list(kept.rglob("*.safetensors"))
    assert '"train"' not in (kept / "runs" / "base-0" / "metrics.jsonl").read_text()
    done = {job.of for job in jobs(kept, seeds=1) if job.done}
    assert done == {"base-0", "random-0", CHANCE}
    sweeps = [job for job in jobs(kept, seeds=1, only=["base-0"]) if "samples" in job.what and not job.done]
    assert sweeps
    assert not any(job.ready for job in sweeps)  # without weights


def test_a_sweep_is_drawn_at_the_points_that_are_there(tmp_path: Path) -> None:
    for name, correct in (("base-0", 0.4), ("base-1", 0.6)):
        write_scores(tmp_path, name, Point(share=0.3), correct)
        write_scores(tmp_path, name, Point(share=0.0), 0.9)
    write_scores(tmp_path, "base-1", Point(share=0.5), 0.1)
    curve = next(one for one in sweep_curves(tmp_path, seeds=2) if one.across == "share of masked history")
    assert (curve.steps, curve.values) == ((0.0, 0.3), (0.9, 0.5)), "means at the points that both seeds have"
    assert curve.band == ((0.9, 0.4), (0.9, 0.6))
    assert curve.is_share
    assert set(panels_of(sweep_curves(tmp_path, seeds=2))) == {f"clips as asked over {what}" for what in SWEEPS}


def test_a_job_is_done_when_what_it_makes_is_there_and_only_some_can_be_asked_for(tmp_path: Path) -> None:
    write_run(tmp_path, "random-0", correct=0.5, losses=(2.0, 1.0))
    found = jobs(tmp_path, seeds=2, only=["random"])
    assert {job.of for job in found} == {"data", "random-0", "random-1"}
    assert {job.of for job in found if job.done} == {"random-0"}
    with pytest.raises(ValueError, match="did you mean random"):
        jobs(tmp_path, seeds=2, only=["randon"])


def test_scores_are_read_back(tmp_path: Path) -> None:
    write_scores(tmp_path, "base-0", Point(share=0.7, steps=4), 0.25)
    assert scores_in(tmp_path, "base-0")[Point(share=0.7, steps=4)].correct == 0.25


def test_looks_right_is_wrong_in_motion_at_most() -> None:
    records = single_prompts(len(MOTIONS))
    reasons = [(), ("motion: still instead of left",), ("shape: ring instead of star", "motion: up instead of down")]
    results = [
        Result(record=record, verdict=Verdict(reasons=why)) for record, why in zip(records, reasons, strict=False)
    ]
    assert scores_of(results) == Scores(num=3, correct=1 / 3, looks=2 / 3)


def test_prompts_are_of_one_shape_each_motion_equally_often_and_reserved() -> None:
    records = single_prompts(2 * len(MOTIONS))
    assert [record.spec.objects[0].motion for record in records] == [*MOTIONS, *MOTIONS]
    assert all(len(record.spec.objects) == 1 and is_reserved(record.prompt.text) for record in records)
