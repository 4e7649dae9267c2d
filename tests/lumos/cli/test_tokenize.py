"""`lumos tokenize` is `python -m pre_tokenize`."""

import pytest

import pre_tokenize.__main__
from tests.lumos.cli.console import Lumos


def test_tokenize_runs_pre_tokenize_with_its_own_words(lumos: Lumos, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    monkeypatch.setattr(pre_tokenize.__main__, "main", lambda words: seen.extend(words) or 3)
    assert lumos("tokenize", "--input_file", "x.csv", "--help")[0] == 3
    assert seen == ["--input_file", "x.csv", "--help"]


def test_a_mistake_is_said_once_and_under_its_own_name(lumos: Lumos) -> None:
    status, _, error = lumos("tokenize", "--input_file", "gone.csv", "--output_dir", "out")
    assert status == 2
    assert len(error.splitlines()) == 1
    assert error.startswith("pre_tokenize: error: ")
