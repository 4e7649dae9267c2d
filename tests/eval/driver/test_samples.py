"""Seeds, batches and shares: functions of the list alone, whoever works on it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch.distributed.run import get_args_parser

from eval.driver.command import Driver, parser_of
from eval.driver.samples import Sample, Worker, batches_of, parse_part, seed_of, share_of, worker_of
from eval.geneval import __main__ as geneval
from eval.vbench import i2v as vbench_i2v
from eval.vbench import t2v as vbench_t2v


def samples(number: int) -> list[Sample]:
    return [Sample(name=f"{n}.mp4", prompt=str(n), index=0, text=str(n)) for n in range(number)]


@given(number=st.integers(0, 40), size=st.integers(1, 7), parts=st.integers(1, 4), data=st.data())
def test_every_sample_is_made_once_whatever_the_machines_and_always_in_the_same_batch(
    number: int, size: int, parts: int, data: st.DataObject
) -> None:
    batches = batches_of(samples(number), size)
    made = []
    for part in range(1, parts + 1):
        world = data.draw(st.integers(1, 3))  # machines need not be alike
        for rank in range(world):
            worker = worker_of((part, parts), {"RANK": str(rank), "WORLD_SIZE": str(world)})
            made += share_of(batches, worker)
    assert sorted(batch[0].name for batch in made) == sorted(batch[0].name for batch in batches)
    assert all(batch in batches for batch in made)


def test_shares_are_even() -> None:
    batches = batches_of(samples(23), 2)
    assert [len(share_of(batches, Worker(index=index, count=5))) for index in range(5)] == [3, 3, 2, 2, 2]


def test_a_seed_depends_on_base_prompt_and_index_and_nothing_else() -> None:
    seeds = {
        seed_of(base, prompt, index) for base in (0, 1, 11) for prompt in ("a", "A", "1\na") for index in (0, 1, 11)
    }
    assert len(seeds) == 27
    assert all(0 <= seed < 2**48 for seed in seeds)
    assert seed_of(3, "a cat", 2) == 165574813268818  # printf '3\n2\na cat' | sha256sum, the first 12 digits


@pytest.mark.parametrize(("text", "part"), [("[1,1]", (1, 1)), ("[3,8]", (3, 8)), ("[ 2, 2 ]", (2, 2))])
def test_parts_count_from_1(text: str, part: tuple[int, int]) -> None:
    assert parse_part(text) == part


@pytest.mark.parametrize("text", ["[0,2]", "[3,2]", "1,2", "[1]", "[1,2,3]", "[-1,2]", "[a,b]", "", "[1.0,2]", "[1,0]"])
def test_what_is_no_part_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"it must be \[i,n\] with 1 <= i <= n"):
        parse_part(text)


def test_a_worker_knows_its_place() -> None:
    assert worker_of((1, 1), {}) == Worker(index=0, count=1, local_rank=0)
    environment = {"RANK": "2", "LOCAL_RANK": "1", "WORLD_SIZE": "3"}
    assert worker_of((2, 4), environment) == Worker(index=9, count=12, local_rank=1)


@pytest.mark.parametrize(
    "driver", [geneval.DRIVER, vbench_t2v.DRIVER, vbench_i2v.DRIVER], ids=lambda driver: driver.name
)
def test_torchrun_takes_no_option_for_one_of_its_own(driver: Driver) -> None:
    options = [name for action in parser_of(driver)._actions for name in action.option_strings if name.startswith("--")]
    words = [word for name in options if name != "--help" for word in (name, "1")]
    parsed = get_args_parser().parse_args(["-m", f"eval.{driver.name}", *words])  # it takes beginnings of its own names
    assert parsed.training_script_args == words
