"""A process's share of the rows: what is typed, else what Slurm says, else all."""

from argparse import Namespace

import pytest

from pre_tokenize.bookkeeping.share import complete_share, own_gpu

STEP = {"SLURM_STEP_ID": "0", "SLURM_PROCID": "5", "SLURM_NTASKS": "8", "SLURM_LOCALID": "1"}
FIRST = {**STEP, "SLURM_PROCID": "0", "SLURM_LOCALID": "0"}
ARRAY = {"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_MIN": "1", "SLURM_ARRAY_TASK_MAX": "64",
         "SLURM_ARRAY_TASK_COUNT": "64"}  # fmt: skip
GAPS = {**ARRAY, "SLURM_ARRAY_TASK_COUNT": "9"}
NOTHING = {"all_tasks": None, "task_id": None, "splits": None, "rank": None}


def share(environment: dict[str, str], **typed: int) -> tuple[int, ...]:
    options = Namespace(**{**NOTHING, **typed})
    complete_share(options, environment, program="p")
    return options.task_id, options.all_tasks, options.rank, options.splits


@pytest.mark.parametrize(
    ("environment", "typed", "place"),
    [
        ({}, {}, (1, 1, 0, 1)),
        (ARRAY, {}, (3, 64, 0, 1)),
        (STEP, {}, (1, 1, 5, 8)),
        (ARRAY | STEP, {}, (3, 64, 5, 8)),
        (ARRAY | STEP, {"all_tasks": 1, "splits": 1}, (1, 1, 0, 1)),
        (ARRAY | STEP, {"task_id": 2, "rank": 4}, (2, 64, 4, 8)),
        (GAPS, {"all_tasks": 70}, (3, 70, 0, 1)),
        (GAPS, {"all_tasks": 70, "task_id": 4}, (4, 70, 0, 1)),
        ({**STEP, "SLURM_PROCID": "x"}, {"rank": 1, "splits": 2}, (1, 1, 1, 2)),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "8"}, {}, (1, 1, 0, 1)),
    ],
)
def test_what_is_not_typed_is_what_slurm_says(
    environment: dict[str, str], typed: dict[str, int], place: tuple[int, ...]
) -> None:
    assert share(environment, **typed) == place


def test_scores_have_one_number_for_the_array_and_its_processes() -> None:
    options = Namespace(splits=None, rank=None)
    complete_share(options, ARRAY | STEP, program="p")
    assert (options.rank, options.splits) == (2 * 8 + 5, 64 * 8)


def test_an_array_with_gaps_does_not_say_how_many_share_the_rows() -> None:
    with pytest.raises(ValueError, match=r"an array that leaves numbers out, .* give --all_tasks"):
        share(GAPS)


def test_variables_that_contradict_each_other_are_named() -> None:
    with pytest.raises(ValueError, match="SLURM_PROCID is 5 of SLURM_NTASKS=3"):
        share({**STEP, "SLURM_NTASKS": "3"})


@pytest.mark.parametrize(
    ("environment", "typed", "said"),
    [
        (ARRAY, {}, "p: --task_id 3 --all_tasks 64, as Slurm says (SLURM_ARRAY_TASK_ID)\n"),
        (GAPS, {"all_tasks": 70}, "p: --task_id 3, as Slurm says (SLURM_ARRAY_TASK_ID); --all_tasks 70 was typed\n"),
        (FIRST, {"rank": 0, "splits": 2}, "p: note: --rank 0 --splits 2 was typed, and wins over what Slurm says "
         "(SLURM_PROCID: 0 of 8)\n"),
        (FIRST, {"rank": 0, "splits": 8}, ""),
        (FIRST, {"splits": 1}, ""),
        (STEP, {}, ""),
        ({}, {}, ""),
    ],
)  # fmt: skip
def test_the_first_process_says_what_slurm_said(
    environment: dict[str, str], typed: dict[str, int], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    share(environment, **typed)
    assert capsys.readouterr().out == said


def test_processes_of_srun_that_see_all_gpus_take_one_each() -> None:
    assert (own_gpu(STEP, 8), own_gpu({**STEP, "SLURM_LOCALID": "9"}, 8)) == ("cuda:1", "cuda:1")
    assert (own_gpu(STEP, 1), own_gpu({}, 8), own_gpu(STEP, 0)) == (None, None, None)
