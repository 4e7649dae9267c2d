"""The bench of lists, small."""

import pytest

from benchmarks import lists


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_list_is_made_and_read(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert lists.main(["--rows", "5000", "--kind", kind]) == 0
    told = capsys.readouterr().out
    assert f"{kind} of 5,000 rows" in told
    assert "MiB at most" in told
