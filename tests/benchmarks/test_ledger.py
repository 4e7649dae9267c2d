"""The made-up ledger of `benchmarks.ledger`, small: what is missing of it is found."""

from benchmarks.ledger import measure


def test_what_is_missing_of_a_made_up_ledger_is_found() -> None:
    found = measure(160, 160)
    assert (found["shards"], found["folders"], found["outstanding"]) == (160, 160, "10,20")
    assert found["files a folder"] == 1
