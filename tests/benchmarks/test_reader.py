"""The bench of the reader, small."""

import multiprocessing.dummy

import pytest

from benchmarks import reader


@pytest.mark.parametrize("model", reader.MODELS)
def test_a_set_is_made_opened_and_read(
    model: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(reader, "get_context", lambda kind: multiprocessing.dummy)  # a thread is made sooner
    words = ["--clips", "1400", "--shards", "70", "--batches", "2", "--shuffle", "shards", "--model", model]
    assert reader.main(words) == 0
    told = capsys.readouterr().out
    assert "1,400 clips in 70 shards, made in" in told
    assert "shards opened in 2 batches" in told
    assert "beyond the" in told


def test_clips_that_the_shards_do_not_divide_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert reader.main(["--clips", "7", "--shards", "2"]) == 2
    assert "--clips 7 is no multiple of --shards 2; change one" in capsys.readouterr().err
