"""Broken samples: replaced the same way every time, said once, counted, and too many of them end the run."""

import logging

import pytest

from xllmx.data.broken import BrokenSampleError, Drawn, Fault, FaultCount, Replacing
from xllmx.data.streams import Streams


class Data:
    """Samples are their numbers; some of them cannot be read."""

    def __init__(self, size: int, broken: set[int], error: type[Exception] = BrokenSampleError) -> None:
        self.lengths = [1] * size
        self._broken, self._error = broken, error

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: int) -> int:
        if index in self._broken:
            raise self._error(f"file {index}\nis cut")
        return index


def collate(samples: list[int]) -> list[int]:
    return samples


def test_the_next_readable_sample_takes_the_place() -> None:
    data = Replacing(Data(5, {3, 4}), stream="video")
    assert data[2] == Drawn(2, ())
    assert data[3] == Drawn(0, (Fault(3, "file 3 is cut"), Fault(4, "file 4 is cut")))
    assert Replacing(Data(5, {1}, OSError), stream="video")[1].content == 2


def test_a_wrong_setting_is_no_broken_sample() -> None:
    with pytest.raises(ValueError, match="file 1") as caught:
        Replacing(Data(5, {1}, ValueError), stream="video")[1]
    assert not isinstance(caught.value, BrokenSampleError)


def test_a_set_in_which_nothing_can_be_read_ends_the_run() -> None:
    with pytest.raises(ValueError, match=r"3 samples of stream 'video' .* number 1 on, .* mend its data.* file 1"):
        Replacing(Data(3, {0, 1, 2}), stream="video")[1]


@pytest.mark.parametrize("num_workers", [0, 1])
def test_each_is_reported_once_and_replaced_in_every_epoch(num_workers: int, caplog: pytest.LogCaptureFixture) -> None:
    streams = Streams({"clips": Data(12, {5})}, batch_size={"clips": 3})
    batches = streams.loader(step=0, collate=collate, num_workers=num_workers, max_broken=0.1)
    with caplog.at_level(logging.WARNING):
        drawn = [sample for _ in range(3 * 4) for sample in next(batches)[0][1][0]]
    assert 5 not in drawn
    assert drawn.count(6) == 6
    assert [record.getMessage() for record in caplog.records] == ["stream clips: sample 5 is left out: file 5 is cut"]


def refusing_collate(samples: list[int]) -> list[int]:
    raise ValueError("sizes that do not go together; mend them")


@pytest.mark.parametrize("num_workers", [0, 1])
def test_what_ends_the_run_is_said_alike_whichever_process_reads(num_workers: int) -> None:
    streams = Streams({"clips": Data(3, {0, 1, 2})}, batch_size={"clips": 1})
    batches = streams.loader(step=0, collate=collate, num_workers=num_workers, max_broken=1.0)
    with pytest.raises(ValueError, match=r"^3 samples of stream 'clips' in a row.*; the first: file \d is cut$"):
        next(batches)
    whole = Streams({"clips": Data(3, set())}, batch_size={"clips": 1})
    batches = whole.loader(step=0, collate=refusing_collate, num_workers=num_workers)
    with pytest.raises(ValueError, match=r"^sizes that do not go together; mend them$"):
        next(batches)


def test_more_than_the_share_stops_the_run() -> None:
    streams = Streams({"clips": Data(40, {4, 9, 30})}, batch_size={"clips": 10})
    batches = streams.loader(step=0, collate=collate, num_workers=0, max_broken=0.05)
    with pytest.raises(ValueError, match=r"3 of 40 samples of stream 'clips' cannot be read.*max_broken=0\.05.*is cut"):
        [next(batches) for _ in range(4)]


def test_the_share_is_of_what_was_drawn() -> None:
    count = FaultCount({"clips": 100_000}, 0.001)
    assert count.note("clips", Drawn("batch", (Fault(7, "cut"),), 4)) == "batch"
    with pytest.raises(ValueError, match="2 of 1000 samples"):
        count.note("clips", Drawn("batch", (Fault(8, "cut"),), 4))
    longer = FaultCount({"clips": 100_000}, 0.001)
    longer.note("clips", Drawn(None, (Fault(7, "cut"),), 1999))
    longer.note("clips", Drawn(None, (Fault(8, "cut"), Fault(7, "cut")), 1))
    assert longer.broken("clips") == 2
