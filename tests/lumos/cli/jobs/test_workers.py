"""Parts, batches and shares: functions of the list alone, whoever works on it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lumos.cli.jobs.workers import (
    ALONE,
    Worker,
    batches_of,
    part_here,
    part_of,
    remark_on_part,
    share_of,
    worker_of,
)
from xllmx.settings.setting import SettingError


@given(number=st.integers(0, 40), size=st.integers(1, 7), parts=st.integers(1, 4), data=st.data())
def test_every_job_is_done_once_whatever_the_machines_and_always_in_the_same_batch(
    number: int, size: int, parts: int, data: st.DataObject
) -> None:
    batches = batches_of(list(range(number)), size)
    made = []
    for part in range(1, parts + 1):
        world = data.draw(st.integers(1, 3))  # machines need not be alike
        for rank in range(world):
            worker = worker_of((part, parts), {"RANK": str(rank), "WORLD_SIZE": str(world)})
            made += share_of(batches, worker)
    assert sorted(made) == batches


def test_shares_are_even() -> None:
    batches = batches_of(list(range(23)), 2)
    assert [len(share_of(batches, Worker(index=index, count=5))) for index in range(5)] == [3, 3, 2, 2, 2]


@pytest.mark.parametrize(("number", "size", "sizes"), [(5, 2, [2, 2, 1]), (3, 8, [3]), (0, 2, [])])
def test_only_the_last_batch_is_short(number: int, size: int, sizes: list[int]) -> None:
    batches = batches_of(list(range(number)), size)
    assert [len(batch) for batch in batches] == sizes
    assert [item for batch in batches for item in batch] == list(range(number))


def test_a_batch_of_none_is_refused() -> None:
    with pytest.raises(SettingError, match="batch_size is 0; it must be at least 1"):
        batches_of([1], 0)


@pytest.mark.parametrize("text", ["[3,8]", "[3, 8]", "3,8", "3/8", " [ 3 , 8 ] ", "3, 8", "3 / 8", "[3/8]"])
def test_all_ways_to_write_a_part_are_taken(text: str) -> None:
    assert part_of(text) == (3, 8)


NO_PARTS = "[0,2] [3,2] 0,2 3/2 [1] 1 [1,2,3] 1,2,3 -1,2 [a,b] 1.0,2 1,0 [1,2 1,2] 1:2 ²,3 (1,2)"


@pytest.mark.parametrize("text", [*NO_PARTS.split(), "", "1 2"])
def test_what_is_no_part_is_refused(text: str) -> None:
    with pytest.raises(SettingError, match=r"part is .*; it must be i,n \(or i/n, .*\) with 1 <= i <= n"):
        part_of(text)


def test_a_worker_knows_its_place() -> None:
    assert worker_of((1, 1), {}) == ALONE == Worker(index=0, count=1, local_rank=0)
    environment = {"RANK": "2", "LOCAL_RANK": "1", "WORLD_SIZE": "3"}
    assert worker_of((2, 4), environment) == Worker(index=9, count=12, local_rank=1)


STEP = {"SLURM_STEP_ID": "0", "SLURM_PROCID": "2", "SLURM_NTASKS": "3", "SLURM_LOCALID": "1"}
ARRAY = {"SLURM_ARRAY_TASK_ID": "2", "SLURM_ARRAY_TASK_MIN": "1", "SLURM_ARRAY_TASK_MAX": "4",
         "SLURM_ARRAY_TASK_COUNT": "4"}  # fmt: skip


def test_srun_says_a_workers_place_unless_torchrun_does() -> None:
    assert worker_of((2, 4), STEP) == Worker(index=9, count=12, local_rank=1)
    assert worker_of((2, 4), {**STEP, "WORLD_SIZE": "2", "RANK": "1"}) == Worker(index=5, count=8, local_rank=0)


def test_a_part_that_is_not_typed_is_that_of_slurms_array() -> None:
    assert [part_here(*pair) for pair in ((None, {}), (None, ARRAY), ("1,1", ARRAY), ("3,8", ARRAY))] == [
        (1, 1), (2, 4), (1, 1), (3, 8),
    ]  # fmt: skip
    with pytest.raises(SettingError, match=r"leaves numbers out, .*; give it, for example 2,64"):
        part_here(None, {**ARRAY, "SLURM_ARRAY_TASK_COUNT": "3"})


def test_what_slurm_says_of_a_part_is_said() -> None:
    assert remark_on_part(None, ARRAY) == "--part 2,4, as Slurm says (SLURM_ARRAY_TASK_ID: 2)"
    assert remark_on_part("3,8", ARRAY).startswith("note: --part 3,8 was typed, and wins over what Slurm says")
    assert [remark_on_part(*pair) for pair in (("2,4", ARRAY), ("1,1", ARRAY), (None, {}))] == ["", "", ""]
    assert remark_on_part("3,8", {**ARRAY, "SLURM_ARRAY_TASK_ID": "x"}) == ""
