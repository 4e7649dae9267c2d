"""Named data sets, their batches and their epochs."""

from typing import Any

import numpy as np
import pytest
import torch

from xllmx.data import streams as streams_module
from xllmx.data.streams import Streams


class Numbers:
    def __init__(self, size: int) -> None:
        self.lengths = [1] * size

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: int) -> int:
        return index


class Keyed(Numbers):
    bucket_keys = ("wide", "tall") * 5


class Rare(Numbers):
    bucket_keys = ("wide",) * 9 + ("tall",)


class Sharded(Numbers):
    shard_starts = np.arange(0, 41, 2)


def streams_of(**settings: Any) -> Streams:
    return Streams({"image": Numbers(13), "video": Keyed(10)}, **{"batch_size": {"image": 3}, **settings})


def test_steps_of_an_epoch_count_the_turns_of_the_others() -> None:
    assert streams_of().steps_per_epoch("image") == 4 * 2
    assert streams_of(schedule={"image": 1, "video": 2}).steps_per_epoch() == 10 * 1.5
    assert streams_of(schedule={"image": 1, "video": 0}).steps_per_epoch("image") == 4
    assert streams_of(accumulation={"image": 2}).steps_per_epoch("image") == 2 * 2


def test_held_out_streams_have_the_batch_of_their_first_name() -> None:
    streams = Streams({"image/a": Numbers(9), "image/b": Numbers(9), "video": Numbers(9)}, batch_size={"image": 3})
    assert [order.batch_size for order in streams.orders.values()] == [3, 3, 1]


def test_a_stream_may_have_a_slash_in_its_name() -> None:
    streams = Streams({"images/hd": Numbers(9), "images/sd": Numbers(9)}, batch_size={"images/hd": 8, "images": 2})
    assert [order.batch_size for order in streams.orders.values()] == [8, 2]


def test_keys_of_a_data_set_are_kept_apart() -> None:
    order = streams_of(batch_size={"video": 5}).orders["video"]
    assert sorted(order.batch(0) + order.batch(1)) == list(range(10))
    assert len({index % 2 for index in order.batch(0)}) == 1


def test_a_stream_never_drawn_from_is_not_loaded() -> None:
    loader = streams_of(schedule={"video": 1}).loader(step=0, collate=torch.tensor, num_workers=0)
    assert {stream for _ in range(5) for stream, _ in next(loader)} == {"video"}


def test_bad_settings_are_named() -> None:
    with pytest.raises(ValueError, match="names no data set"):
        Streams({}, batch_size={})
    with pytest.raises(ValueError, match="names 'audio'; the task's streams are image, video"):
        streams_of(schedule={"audio": 1})
    with pytest.raises(ValueError, match="epoch_stream is 'image'; the schedule has video"):
        streams_of(schedule={"video": 1}).steps_per_epoch("image")


def test_too_few_samples_are_an_error_that_names_the_setting_and_few_of_a_kind_are_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with pytest.raises(ValueError, match=r"stream 'video': too few samples: a step takes 6 .* batch \(my\.video\)$"):
        streams_of(batch_size={"image": 13, "video": 6}).check_counts("my.{}".format)
    streams_of(schedule={"image": 1}, batch_size={"video": 6}).check_counts("my.{}".format)  # none is drawn of it
    assert not caplog.records
    streams = Streams({"video": Rare(10)}, batch_size={"video": 2})
    streams.check_counts("my.{}".format)
    assert "stream video: 1 of 10 samples are in no batch" in caplog.text
    assert "smaller global batch (my.video)" in caplog.text
    streams = Streams({"video": Rare(10)}, batch_size={"video": 20})
    streams.orders["video"].repeats = True
    streams.check_counts("my.{}".format)
    assert "stream video: 10 of 10 samples fill batches again and again: of their size or type" in caplog.text


def test_a_set_of_very_many_samples_is_gone_through_by_its_files(monkeypatch: pytest.MonkeyPatch) -> None:
    def by_files(shuffle: Any, size: int = 40) -> list[bool]:
        streams = Streams({"a": Sharded(size), "b": Numbers(size)}, batch_size={"a": 2}, shuffle=shuffle)
        return [order.shard_starts is not None for order in streams.orders.values()]

    assert [by_files(shuffle) for shuffle in ("auto", "whole", "shards")] == [[False, False]] * 2 + [[True, False]]
    monkeypatch.setattr(streams_module, "MOST_WHOLE", 39)
    assert [by_files(shuffle) for shuffle in ("auto", "whole")] == [[True, False], [False, False]]
