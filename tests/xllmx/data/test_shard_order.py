"""By shards an epoch holds each sample once too, few shards are open at a time, and one integer resumes."""

from collections import Counter
from itertools import chain, islice
from typing import Any

import numpy as np
import pytest

from xllmx.data.kinds import Kinds
from xllmx.data.order import BatchOrder
from xllmx.data.shard_order import WINDOW_SHARDS
from xllmx.subset import Subset

SHARDS, SAMPLES = 50, 600
STARTS = np.sort(np.append(np.random.default_rng(1).choice(np.arange(1, SAMPLES), SHARDS - 1, False), [0, SAMPLES]))
LENGTHS = Kinds.of(np.random.default_rng(0).integers(10, 90, SAMPLES).tolist())


def order_of(**settings: Any) -> BatchOrder:
    return BatchOrder(**{"lengths": LENGTHS, "batch_size": 4, "seed": 3, "shard_starts": STARTS, **settings})


def epoch_of(order: BatchOrder, number: int = 0) -> list[list[int]]:
    size = order.batches_per_epoch
    return [order.batch(place) for place in range(number * size, (number + 1) * size)]


def test_an_epoch_holds_each_sample_once_and_the_next_goes_another_way() -> None:
    order = order_of()
    epochs = [epoch_of(order, number) for number in range(2)]
    assert order.batches_per_epoch == SAMPLES // 4
    assert all(sorted(chain.from_iterable(epoch)) == list(range(SAMPLES)) for epoch in epochs)
    assert epochs[0] != epochs[1]
    assert epoch_of(order_of(seed=4)) != epochs[0]


def test_few_shards_are_open_at_a_time() -> None:
    """Sixteen of a window, and those of the rest of the window before: no shard comes back after that."""
    seen = [set(np.searchsorted(STARTS, batch, side="right")) for batch in epoch_of(order_of())]
    for shard in set().union(*seen):
        places = [place for place, shards in enumerate(seen) if shard in shards]
        others = set().union(*seen[places[0] : places[-1] + 1])
        assert len(others) <= 2 * WINDOW_SHARDS
    assert len(set().union(*seen[: len(seen) // 4])) <= SHARDS // 2


def test_one_integer_resumes_and_ranks_only_cut_the_batch_of_a_step() -> None:
    whole = list(islice(order_of(), 320))  # 150 batches an epoch: this runs into the third
    for start in (0, 1, 149, 150, 299, 310):
        assert list(islice(order_of(start=start), 320 - start)) == whole[start:]
    cut = [order_of(batch_size=2, rank=rank, num_ranks=2) for rank in range(2)]
    for number in (0, 37, 151):
        assert list(chain.from_iterable(order.batch(number) for order in cut)) == whole[number]


def test_keys_are_not_mixed_and_what_fills_no_batch_goes_on_into_the_next_window() -> None:
    keys = Kinds.of([("wide", "tall", "rare")[0 if n % 9 else 1 + (n % 90 == 0)] for n in range(SAMPLES)])
    order = order_of(bucket_keys=keys, batch_size=8)
    epoch = epoch_of(order)
    assert all(len({keys[sample] for sample in batch}) == 1 for batch in epoch)
    counts = Counter(keys)
    found = Counter(keys[batch[0]] for batch in epoch)
    assert found == {"wide": counts["wide"] // 8, "tall": counts["tall"] // 8}
    assert order.num_too_few == counts["rare"] == 7
    assert "_by_key" not in vars(order)  # of ten million samples in many sizes the lists take seconds, and 40 MB
    epoch = epoch_of(order_of(bucket_keys=keys, batch_size=8, repeats=True))
    assert Counter(keys[batch[0]] for batch in epoch) == {**found, "rare": 1}
    often = Counter(sample for batch in epoch for sample in batch if keys[sample] != "rare")
    assert set(often.values()) == {1}
    assert {sample for batch in epoch for sample in batch if keys[sample] == "rare"} == set(range(0, SAMPLES, 90))


def test_batches_hold_similar_lengths_unless_they_are_not_to() -> None:
    def spread(order: BatchOrder) -> float:
        return float(np.mean([np.ptp([LENGTHS[sample] for sample in batch]) for batch in epoch_of(order)]))

    assert spread(order_of()) < 0.3 * spread(order_of(by_length=False))


def test_each_epoch_draws_its_part_of_a_subset_of_whole_shards() -> None:
    first = int(STARTS[20])
    order = order_of(subsets=[Subset(start=first, stop=SAMPLES, share=0.25)], batch_size=1)
    drawn = round(0.25 * (SAMPLES - first))
    epochs = [[sample for batch in epoch_of(order, number) for sample in batch] for number in range(3)]
    for epoch in epochs:
        assert len(set(epoch)) == len(epoch) == first + drawn
        assert set(range(first)) < set(epoch)
    assert len(set().union(*map(set, epochs))) > first + 2 * drawn


@pytest.mark.parametrize("size", [4, 640])
def test_a_set_smaller_than_a_batch_is_an_error_unless_it_is_to_be_repeated(size: int) -> None:
    settings = {"batch_size": size, "lengths": [5] * 3, "shard_starts": np.array([0, 2, 3])}
    with pytest.raises(ValueError, match=f"too few samples: a step takes {size} that may share a batch, and there are"):
        order_of(**settings).batch(0)
    order = order_of(**settings, repeats=True)
    assert (order.batches_per_epoch, set(order.batch(5))) == (1, {0, 1, 2})
