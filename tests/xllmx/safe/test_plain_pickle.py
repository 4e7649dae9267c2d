"""Pickles of a stranger: plain values come out, and whatever else stands there is refused before it costs anything."""

import os
import pickle
import resource
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xllmx.safe.plain_pickle import check_pickle, read_pickle, read_plain

PLAIN: list[Any] = [
    {"token": [0, 1, 255, 256, 65535, 65536, -1, 2**31, -(2**31)], "label": [], "id": 7},
    [None, True, False, 1.5, "", "a" * 300, "\u00e4\U0001f600", (), (1,), (1, 2), (1, 2, 3), tuple(range(9)), {}],
    2**63,
    -(2**63),
    {"a": {"b": [[[1]]]}},
]


def nested(depth: int, width: int) -> Any:
    found: Any = [1] * width
    for _ in range(depth):
        found = [found] * width
    return found


def cyclic() -> Any:
    found: list[Any] = []
    found.append(found)
    return found


class Evil:
    def __init__(self, marker: str) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.marker}",)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("value", PLAIN, ids=range(len(PLAIN)))
def test_plain_values_of_every_protocol_come_back(value: Any, protocol: int) -> None:
    content = pickle.dumps(value, protocol=protocol)
    assert read_plain(content) == value
    assert check_pickle(b"before" + content + b"behind", 6).end == 6 + len(content)


def test_the_same_list_in_two_places_is_plain() -> None:
    ids = list(range(100))
    assert read_plain(pickle.dumps({"token": ids, "label": ids})) == {"token": ids, "label": ids}


BAD = {
    "memo index": (b"\x80\x02K\x01r" + struct.pack("<I", 0x18000000) + b".", "place 402653184 of a memory"),
    "memo index in digits": (b"K\x01p400000000\n.", "place 400000000 of a memory"),
    "buffer of gigabytes": (b"\x96" + struct.pack("<Q", 2**40) + b".", "instruction BYTEARRAY8"),
    "text of gigabytes": (b"X\xff\xff\xff\xffab.", "cut short"),
    "shared lists": (pickle.dumps(nested(8, 10)), r"spells more than \d+ values"),
    "shared names": (pickle.dumps([{"a": nested(8, 10)}]), r"spells more than \d+ values"),
    "a list in itself": (pickle.dumps(cyclic()), "nested more than 64 deep"),
    "deep lists": (b"]" * 100_000 + b"a" * 99_999 + b".", "nested more than 64 deep"),
    "deep tuples": (b")" + b"\x85" * 100_000 + b".", "nested more than 64 deep"),
    "number of 9000 digits": (pickle.dumps(10**9000), "too many digits"),
    "number in 9000 digits": (b"I" + b"9" * 9000 + b"\n.", "too many digits"),
    "long in 9000 digits": (b"L" + b"9" * 9000 + b"L\n.", "too many digits"),
    "old instance": (b"(ios\nsystem\n.", "instruction INST"),
    "set": (pickle.dumps({1, 2}), "instruction EMPTY_SET"),
    "bytes": (pickle.dumps(b"abc"), "it holds a bytes"),
    "registry of extensions": (b"\x82\x01.", "instruction EXT1"),
    "outside the file": (b"K\x01Q.", "outside the file"),
    "a key of tuples without end": (
        b"\x80\x02})" + b"\x85" * 200_000 + b"Ns.",
        "a key of its dicts is a tuple of tuples",
    ),
    "a key of tuples that double": (b"\x80\x02})" + b"2\x86" * 60 + b"Ns.", "a key of its dicts is a tuple"),
    "such a key among others": (b"\x80\x02}(K\x01N)" + b"2\x86" * 60 + b"Nu.", "a key of its dicts is a tuple"),
    "a dict of such a key": (b"\x80\x02()" + b"2\x86" * 60 + b"Nd.", "a key of its dicts is a tuple"),
    "keys that all hash alike": (
        pickle.dumps({(2**61 - 1) * number: None for number in range(1, 100)}),
        "a key of its dicts is a whole number",
    ),
    "no instruction": (b"\xff.", "instruction b'\\\\xff'"),
    "nothing": (b"", "cut short"),
    "only marks": (b"(((", "cut short"),
    "empty stack": (b"a.", "stack underflow"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_refused_costs_nothing_and_is_said(case: str) -> None:
    content, reason = BAD[case]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match=reason) as caught:
        read_plain(content)
    assert "\n" not in str(caught.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300 * 2**10  # KiB


def test_a_name_that_is_asked_for_is_refused_and_not_called(tmp_path: Path) -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        content = pickle.dumps([Evil(str(tmp_path / "marker"))], protocol=protocol)
        with pytest.raises(ValueError, match=r"it asks for (posix|nt)\.system"):
            read_plain(content)
        with pytest.raises(ValueError, match=r"it asks for (posix|nt)\.system"):
            read_pickle(content, {("collections", "OrderedDict"): dict})
    assert not (tmp_path / "marker").exists()
    pickle.loads(pickle.dumps([Evil(str(tmp_path / "marker"))]))
    assert (tmp_path / "marker").exists()  # the trap works


def test_names_on_the_list_are_known() -> None:
    from collections import OrderedDict

    content = pickle.dumps(OrderedDict(a=1))
    assert read_pickle(content, {("collections", "OrderedDict"): OrderedDict}) == OrderedDict(a=1)


def test_names_are_seen_without_running_anything() -> None:
    content = pickle.dumps([Evil("x")], protocol=2)
    assert (check_pickle(content).names, check_pickle(content).computed) == ({"posix.system"}, False)
    assert check_pickle(pickle.dumps([Evil("x")], protocol=4)).computed


@given(st.binary(max_size=60), st.integers(0, 200), st.sampled_from(PLAIN))
def test_no_bytes_raise_anything_but_a_value_error(noise: bytes, place: int, value: Any) -> None:
    whole = pickle.dumps(value)
    for content in (noise, whole[:place] + noise + whole[place + len(noise) :]):
        read: Any = None
        with suppress(ValueError):
            read = read_plain(content)
        assert isinstance(read, (type(None), bool, int, float, str, bytes, list, tuple, dict, set, frozenset))


def test_a_few_texts_and_numbers_are_a_key() -> None:
    """A checkpoint of others may count by (name, number)."""
    content = {("a", 1): 2, (): 3, "b": {(None, 0.5, True): 4}}
    assert read_plain(pickle.dumps(content)) == content
    with pytest.raises(ValueError, match="a key of its dicts is a tuple, and only texts, numbers or a few of them"):
        read_plain(pickle.dumps({tuple(range(9)): 0}))
