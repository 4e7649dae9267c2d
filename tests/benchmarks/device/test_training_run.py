"""The check of memory can fail in both directions."""

import pytest

from benchmarks.device.training_run import memory_check


@pytest.mark.parametrize(("peak", "passed"), [(80.0, True), (120.0, True), (130.0, False), (70.0, False)])
def test_memory_that_is_not_as_reckoned_fails(peak: float, passed: bool) -> None:
    assert memory_check("memory", peak=peak, predicted=100.0).passed == passed
