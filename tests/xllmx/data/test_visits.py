"""Readings of samples have seeds of their own, which resume and do not depend on how a global batch is cut."""

from typing import Any

import pytest

from xllmx.data.broken import Replacing
from xllmx.data.loader import build_loader
from xllmx.data.order import BatchOrder
from xllmx.data.streams import Streams
from xllmx.data.visits import Visit, Visits


class Drawing:
    """Samples are (index, seed); number 3 is broken."""

    lengths = [5] * 12

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: int) -> tuple[int, int]:
        return self.drawn(index, 0)

    def drawn(self, index: int, seed: int) -> tuple[int, int]:
        if index == 3:
            raise OSError("broken")
        return index, seed


def visits_of(num: int, **fields: Any) -> list[list[Visit]]:
    batches = iter(Visits(BatchOrder(lengths=Drawing.lengths, **fields)))
    return [next(batches) for _ in range(num)]


def test_ranks_and_accumulation_only_cut_the_visits_of_a_step() -> None:
    whole = visits_of(5, batch_size=4)
    ranks = [visits_of(10, batch_size=1, num_ranks=2, accumulation=2, rank=rank) for rank in (0, 1)]
    for step, batch in enumerate(whole):
        cut = [ranks[rank][2 * step + micro] for micro in (0, 1) for rank in (0, 1)]
        assert [visit for part in cut for visit in part] == batch


def test_each_reading_has_a_seed_of_its_own_and_one_integer_resumes() -> None:
    visits = visits_of(9, batch_size=4)
    assert len({visit.seed for batch in visits for visit in batch}) == 36
    assert visits_of(5, batch_size=4, start=4) == visits[4:]
    assert visits_of(1, batch_size=4, seed=1)[0][0].seed != visits[0][0].seed


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_loader_reads_by_visit(num_workers: int) -> None:
    order = BatchOrder(lengths=Drawing.lengths, batch_size=4)
    loader = build_loader(Replacing(Drawing(), stream="a"), order, collate=list, num_workers=num_workers)
    batch = next(iter(loader))
    for drawn, visit in zip(batch, next(iter(Visits(order))), strict=True):
        index = 4 if visit.index == 3 else visit.index
        assert drawn.content == (index, visit.seed)


def test_streams_go_on_where_they_were_and_evaluate_by_index() -> None:
    def batches(step: int, num: int) -> list[Any]:
        streams = Streams({"a": Drawing()}, batch_size={"a": 4}, seed=3)
        loader = streams.loader(step=step, collate=list, num_workers=0, max_broken=1.0)
        return [next(loader) for _ in range(num)]

    assert batches(2, 3) == batches(0, 5)[2:]
    streams = Streams({"a": Drawing()}, batch_size={"a": 4})
    drawn = streams.first_batches("a", 3, collate=list)
    assert {seed for batch in drawn for _, seed in batch.content} == {0}
