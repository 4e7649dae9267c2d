"""A long sequence of texts gives the texts that were put into it."""

import pickle
from collections.abc import Sequence

import pytest

from xllmx.data.texts import Texts

WORDS = ["a ball", "", "ein Bällchen", "球 ⚽", "a name that is no UTF-8: \udcff", "a ball"]


def test_texts_come_back_as_they_were() -> None:
    texts: Sequence[str] = Texts(WORDS)
    assert (len(texts), list(texts)) == (6, WORDS)
    assert (texts[-1], texts[3], list(texts[1:4])) == ("a ball", "球 ⚽", WORDS[1:4])
    assert list(pickle.loads(pickle.dumps(texts))) == WORDS
    with pytest.raises(IndexError):
        texts[6]
    assert list(Texts()) == []
