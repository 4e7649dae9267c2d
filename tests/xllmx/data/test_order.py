"""Every batch is a pure function of its number; ranks share an epoch out among them."""

from itertools import chain, islice
from typing import Any

import numpy as np
import pytest

from xllmx.data.order import BatchOrder
from xllmx.subset import Subset

LENGTHS = np.random.default_rng(0).integers(10, 90, size=101).tolist()


def order_of(**settings: Any) -> BatchOrder:
    return BatchOrder(**{"lengths": LENGTHS, "batch_size": 4, "seed": 3, **settings})


def test_one_integer_resumes() -> None:
    whole = list(islice(order_of(), 70))  # 25 batches an epoch: this runs into the third
    for start in (0, 1, 24, 25, 60):
        assert list(islice(order_of(start=start), 70 - start)) == whole[start:]
        assert order_of().batch(start) == whole[start]


def test_an_epoch_holds_each_sample_at_most_once_and_epochs_differ() -> None:
    order = order_of()
    assert order.batches_per_epoch == 25
    epochs = [list(chain.from_iterable(islice(order_of(start=25 * epoch), 25))) for epoch in range(3)]
    assert all(len(set(epoch)) == 100 for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    assert len({index for epoch in epochs for index in epoch}) == 101  # what waits is not always the same


def test_another_seed_is_another_order() -> None:
    assert order_of(seed=4).batch(0) != order_of(seed=3).batch(0)


def test_ranks_and_accumulation_only_cut_the_batch_of_a_step() -> None:
    def step(number: int, *, batch_size: int, num_ranks: int, accumulation: int) -> list[int]:
        orders = [
            order_of(batch_size=batch_size, rank=rank, num_ranks=num_ranks, accumulation=accumulation)
            for rank in range(num_ranks)
        ]
        slots: dict[int, int] = {}
        for order in orders:
            for micro in range(accumulation):
                for place, index in enumerate(order.batch(number * accumulation + micro)):
                    slots[order.slot(micro) + place] = index
        return [slots[place] for place in range(12)]  # each place of the global batch exactly once

    for number in (0, 7, 8, 20):
        whole = step(number, batch_size=12, num_ranks=1, accumulation=1)
        assert len(set(whole)) == 12
        assert step(number, batch_size=2, num_ranks=3, accumulation=2) == whole
        assert step(number, batch_size=3, num_ranks=1, accumulation=4) == whole
        assert step(number, batch_size=6, num_ranks=2, accumulation=1) == whole


def test_batches_hold_similar_lengths() -> None:
    batches = list(islice(order_of(), 25))
    spread = np.mean([np.ptp([LENGTHS[index] for index in batch]) for batch in batches])
    assert spread < 0.1 * np.ptp(LENGTHS)


def test_batches_never_mix_keys() -> None:
    keys = ["wide" if index % 3 else "tall" for index in range(101)]  # 67 wide, 34 tall
    order = order_of(bucket_keys=keys)
    assert order.batches_per_epoch == 16 + 8
    for batch in islice(order, 50):
        assert len({keys[index] for index in batch}) == 1


def test_a_data_set_smaller_than_a_batch_is_an_error_unless_it_is_to_be_repeated() -> None:
    with pytest.raises(ValueError, match=r"too few samples: a step takes 4 that may share a batch, and there are 2$"):
        BatchOrder(lengths=[5, 6], batch_size=2, num_ranks=2).batch(9)
    assert sorted(BatchOrder(lengths=[5, 6], batch_size=4, repeats=True).batch(9)) == [0, 0, 1, 1]


def test_samples_of_a_key_that_fills_no_batch_are_left_out_and_counted() -> None:
    keys = ["rare" if index < 3 else "wide" for index in range(101)]
    order = order_of(bucket_keys=keys)
    assert (order.batches_per_epoch, order.num_too_few) == (98 // 4, 3)
    assert set(chain.from_iterable(islice(order, 72))) == set(range(3, 101))
    again = order_of(bucket_keys=keys, repeats=True)
    assert (again.batches_per_epoch, again.num_too_few) == (98 // 4 + 1, 3)
    with pytest.raises(ValueError, match="a step takes 99 that may share a batch, and there are at most 98 of 101 of"):
        order_of(bucket_keys=keys, batch_size=99).batch(0)
    part = order_of(bucket_keys=keys, subsets=[Subset(start=3, stop=101, share=0.03)], batch_size=3)
    assert (part.batches_per_epoch, part.num_too_few) == (2, 0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lengths": []}, "empty"),
        ({"batch_size": 0}, "batch_size 0"),
        ({"bucket_keys": [1, 2]}, "2 bucket_keys for 101 samples"),
    ],
)
def test_bad_settings_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        order_of(**settings)


def test_each_epoch_draws_its_part_of_a_subset_and_one_integer_resumes() -> None:
    """Of samples 20..99 a quarter is seen, another one each time; a resumed run sees the same."""
    subsets = [Subset(start=20, stop=100, share=0.25)]
    order = order_of(subsets=subsets)
    assert order.batches_per_epoch == (101 - 60) // 4
    size = order.batches_per_epoch
    whole = list(islice(order_of(subsets=subsets), 3 * size))
    for start in (1, size, 2 * size + 3):
        assert list(islice(order_of(subsets=subsets, start=start), 3 * size - start)) == whole[start:]
    epochs = [set(chain.from_iterable(whole[size * epoch : size * (epoch + 1)])) for epoch in range(3)]
    assert all(19 <= len(epoch & set(range(20, 100))) <= 20 for epoch in epochs)
    assert len((epochs[0] | epochs[1] | epochs[2]) & set(range(20, 100))) > 30


def test_of_each_bucket_the_same_share_is_drawn_so_that_epochs_are_of_one_length() -> None:
    keys = [index % 3 for index in range(101)]
    subsets = [Subset(start=0, stop=101, share=0.5)]
    order = order_of(subsets=subsets, bucket_keys=keys)
    assert order.batches_per_epoch == 3 * (17 // 4)
    for epoch in range(4):
        numbers = range(epoch * order.batches_per_epoch, (epoch + 1) * order.batches_per_epoch)
        assert all(len({index % 3 for index in order.batch(number)}) == 1 for number in numbers)


def test_a_set_without_subsets_has_the_order_it_had() -> None:
    assert order_of().batch(0) == order_of(subsets=[Subset(start=0, stop=101, share=1.0)]).batch(0)
