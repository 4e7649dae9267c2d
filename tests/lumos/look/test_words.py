"""Counts and texts as a person reads them."""

import doctest

import pytest

from lumos.look import places, words


@pytest.mark.parametrize("module", [words, places])
def test_the_examples_hold(module: object) -> None:
    found = doctest.testmod(module)
    assert found.attempted >= 1
    assert found.failed == 0


def test_one_value_has_no_spread() -> None:
    assert words.spread([4, 4], "words") == "4 words"
    assert words.spread([1, 1], "words") == "1 word"
    assert words.spread([]) == "none"


def test_what_is_no_count_is_not_written_out() -> None:
    assert [words.number(value) for value in (1e308, -1e308, float("inf"), 10.0**14)] == [
        "1e+308", "-1e+308", "inf", "100,000,000,000,000",
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["\x1b]0;title\x07", "a\u202eb", "a\x00b", "\ud800", None, 7, "x" * 10**6])
def test_a_strangers_text_is_one_short_printable_line(text: object) -> None:
    shown = words.printable(text, 50)
    assert shown.isprintable()
    assert len(shown) <= 51
    assert len(words.tail(text, 50)) <= 50
