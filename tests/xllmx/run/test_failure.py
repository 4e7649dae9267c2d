"""Whatever goes wrong on whichever rank: one clear error, every process ended, what was saved still there."""

import json
import signal
import time
from pathlib import Path

import launched_ranks as ranks
import pytest

from xllmx.checkpoints.checkpoint import CheckpointManager
from xllmx.trainer_config import TrainerConfig

pytestmark = pytest.mark.timeout(600)
TWO = {"batch_size": {"image": 2}, "max_steps": 6}


def error_lines(errors: list[str]) -> list[list[str]]:
    return [[line for line in text.splitlines() if line.startswith("error: ")] for text in errors]


def steps_of(run: Path) -> list[int]:
    manager = CheckpointManager(run / "checkpoints")
    return [int(path.name[-8:]) for path in manager.valid()]


@pytest.mark.slow
def test_a_wrong_setting_is_said_once_and_ends_all(tmp_path: Path) -> None:
    trainer = {"batch_size": {"image": 1}, "global_batch_size": {"image": 4}}
    errors = ranks.run_ranks([{"run": tmp_path, "trainer": trainer}], num=3, fails=True)
    (first, *others) = error_lines(errors)
    assert first == [
        "error: trainer.global_batch_size.image is 4, which 3 processes with batches of 1 (trainer.batch_size.image) "
        "do not divide; use a multiple of 3"
    ]
    assert others == [[], []]
    assert not any("Traceback" in text for text in errors)


@pytest.mark.slow
def test_what_breaks_on_another_rank_is_said_on_the_main_one(tmp_path: Path) -> None:
    """Rank 1 cannot read its data at step 4; rank 0 waits for it in a collective."""
    entry = {"run": tmp_path, "trainer": {**TWO, "save_every": 2}, "task": {"unreadable": [1, 4]}}
    start = time.monotonic()
    errors = ranks.run_ranks([entry], num=2, fails=True)
    assert time.monotonic() - start < 120
    assert error_lines(errors) == [["error: no more rows at step 4 [process 1]"], []]
    assert steps_of(tmp_path) == [2]


@pytest.mark.slow
def test_a_loss_that_is_not_finite_on_one_rank_is_written_down_with_its_samples(tmp_path: Path) -> None:
    trainer = {**TWO, "save_every": 2, "grad_accumulation": 2}
    task = {"bad": [1, 3], "seen": tmp_path / "seen.json", "accumulation": 2}
    errors = ranks.run_ranks([{"run": tmp_path, "trainer": trainer, "task": task}], num=2, fails=True)
    ((line,), nothing) = error_lines(errors)
    assert nothing == []
    assert "not finite at step 3 (stream image)" in line
    assert "the last checkpoint, of step 2, is kept" in line
    assert str(tmp_path / "not-finite-step-00000003.json") in line
    about = json.loads((tmp_path / "not-finite-step-00000003.json").read_text())
    assert (about["step"], about["stream"]) == (3, "image")
    assert [entry["loss"] == "nan" for entry in about["ranks"]] == [False, True]
    listed = [batch for entry in about["ranks"] for batch in entry["micro_batches"]]
    assert [len(batch) for batch in listed] == [2, 2, 2, 2]
    seen = json.loads((tmp_path / "seen.json").read_text())  # by rank 1, whose loss it was
    assert about["ranks"][1]["micro_batches"] == seen
    assert steps_of(tmp_path) == [2]


@pytest.mark.slow
def test_sigterm_to_one_rank_saves_and_stops_all(tmp_path: Path) -> None:
    entry = {"run": tmp_path, "trainer": {**TWO, "max_steps": 100_000, "save_every": 0}}
    workers = ranks.start_ranks([str(ranks.HERE), json.dumps([entry], default=str)], num=2)
    deadline = time.monotonic() + 200
    while not (tmp_path / "metrics.jsonl").is_file() and time.monotonic() < deadline:
        time.sleep(0.1)
    workers[1].send_signal(signal.SIGTERM)
    errors, codes = ranks.ended(workers)
    assert codes == [0, 0], errors
    last = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])["step"]
    assert steps_of(tmp_path) == [last]


@pytest.mark.slow
def test_a_process_that_is_killed_ends_the_others_with_one_line(tmp_path: Path) -> None:
    entry = {"run": tmp_path, "trainer": {**TWO, "save_every": 2}, "kill_after": 3, "kill_rank": 1}
    errors = ranks.run_ranks([entry], num=2, fails=True)
    ((line,), nothing) = error_lines(errors)
    assert line.startswith("error: another process has died")
    assert nothing == []
    assert steps_of(tmp_path) == [2]


ONE_FAILS = """
import os, time
from pathlib import Path
from xllmx.ranks.distributed import init_distributed
from xllmx.run.failure import ended_together
with ended_together(Path("{folder}")):
    if {joined}:
        init_distributed("cpu")
    if os.environ["RANK"] == "1":
        raise {error}
    time.sleep({others_busy_s})
os._exit(0)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("error", "others_busy_s"), [("ValueError('disk full')", 0), ("RuntimeError('cannot restore it')", 60)]
)
def test_an_error_is_said_also_where_the_others_are_done_and_whatever_its_words(
    tmp_path: Path, error: str, others_busy_s: int
) -> None:
    code = ONE_FAILS.format(folder=tmp_path, joined=True, error=error, others_busy_s=others_busy_s)
    errors, codes = ranks.ended(ranks.start_ranks(["-c", code], num=2))
    ((line,), nothing) = error_lines(errors)
    assert error.partition("(")[2].strip("')") in line
    assert line.endswith("[process 1]")
    assert (nothing, codes) == ([], [1, 1])
    assert not any("Traceback" in text for text in errors)
    reports = list(tmp_path.glob("error-*-1-*.txt"))  # of rank 1, for what is no mistake of the user's
    assert len(reports) == error.startswith("Runtime")
    assert all(str(report) in line and "RuntimeError: cannot restore it" in report.read_text() for report in reports)


@pytest.mark.slow
def test_a_process_at_fault_before_there_is_a_group_speaks_for_itself(tmp_path: Path) -> None:
    code = ONE_FAILS.format(
        folder=tmp_path, joined=False, error="ValueError('no GPU on this machine')", others_busy_s=0
    )
    errors, codes = ranks.ended(ranks.start_ranks(["-c", code], num=2))
    assert error_lines(errors) == [[], ["error: no GPU on this machine [process 1]"]]
    assert codes == [0, 1]


def test_the_global_batch_says_how_often_to_accumulate(tmp_path: Path) -> None:
    def config(**settings: object) -> TrainerConfig:
        return TrainerConfig(run_dir=tmp_path, max_steps=1, **settings)  # type: ignore[arg-type]

    batches = {"batch_size": {"image": 3}, "global_batch_size": {"image": 12, "video": 4}}
    assert [config(**batches).accumulation(num) for num in (1, 2, 4)] == [4, 2, 1]
    assert config(grad_accumulation=5).accumulation(3) == 5
    with pytest.raises(ValueError, match=r"image is 12.*use a multiple of 15"):
        config(**batches).accumulation(5)
    with pytest.raises(ValueError, match=r"different numbers of batches a step \(image 4, video 8\); they must agree"):
        config(batch_size={"image": 3}, global_batch_size={"image": 12, "video": 8}).accumulation(1)
    with pytest.raises(ValueError, match="set one of"):
        config(global_batch_size={"image": 2}, grad_accumulation=2)
