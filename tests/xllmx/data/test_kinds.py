"""A long sequence of few values gives what the long sequence would."""

import numpy as np

from xllmx.data.kinds import Kinds


def test_items_are_those_of_the_sequence_it_was_made_of() -> None:
    items = ["wide", "tall", "wide", "square", "tall"]
    kinds = Kinds.of(items)
    assert kinds == items
    assert kinds != items[:4]
    assert (kinds[1], kinds[-1], kinds[np.array([3, 0])]) == ("tall", "tall", ["square", "wide"])
    assert kinds.counts().tolist() == [2, 2, 1]
    assert kinds.which.dtype == np.uint16
    assert np.asarray(kinds.given([3, 5, 7])).tolist() == [3, 5, 3, 7, 5]


def test_joined_sequences_share_equal_values_and_compact_ones_have_no_others() -> None:
    joined = Kinds.joined([Kinds.of("aab"), Kinds.of("bca")])
    assert (joined, joined.values) == (list("aabbca"), ["a", "b", "c"])
    last = joined[4:].compact()
    assert (last, last.values) == (["c", "a"], ["a", "c"])
    assert len(Kinds.joined([])) == 0


def test_items_of_two_sequences_go_in_pairs() -> None:
    sizes, types = Kinds.of([4, 9, 4, 9]), Kinds.of(["a", "a", "a", "b"])
    pairs = sizes.paired(types)
    assert list(pairs) == [(4, "a"), (9, "a"), (4, "a"), (9, "b")]
    assert len(pairs.values) == 3


def test_more_values_than_two_bytes_number_take_four() -> None:
    kinds = Kinds.of(range(70_000))
    assert (kinds.which.dtype, kinds[69_999]) == (np.uint32, 69_999)


def test_values_come_once_and_in_the_order_of_their_first_items() -> None:
    """As `of` makes them: buckets are numbered so, and their batches drawn."""
    items = ["tall", "wide", "tall", "wide", "wide"]
    kinds = Kinds(["square", "wide", "tall", "wide"], np.array([2, 1, 2, 3, 1])).by_first()
    assert (kinds, kinds.values, kinds.which.tolist()) == (items, ["tall", "wide"], Kinds.of(items).which.tolist())
    assert Kinds([], np.zeros(0, np.int64)).by_first() == []
