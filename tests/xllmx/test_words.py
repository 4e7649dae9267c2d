"""Counts in messages: one thing is not several."""

import doctest

from xllmx import words


def test_counts_are_said_as_the_examples_say() -> None:
    found = doctest.testmod(words)
    assert (found.attempted, found.failed) == (2, 0)
