"""The parts fit their time, and each is there."""

from importlib.util import find_spec

from benchmarks.device.parts import PARTS


def test_all_parts_end_within_eight_minutes_and_the_first_table_within_three() -> None:
    limits = [part.limit_s for part in PARTS.values()]
    assert sum(limits) <= 475  # and some seconds to start
    assert sum(limits[:2]) <= 175


def test_every_part_has_its_module() -> None:
    assert [part.module for part in PARTS.values() if find_spec(f"benchmarks.device.{part.module}") is None] == []
