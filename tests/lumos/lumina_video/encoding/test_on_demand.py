"""A part is there only while it works, unless it is kept."""

import weakref

import pytest

from lumos.lumina_video.encoding.on_demand import OnDemand


class Part:
    """It holds itself, as networks may: only the collector frees it."""

    def __init__(self) -> None:
        self.name = "vae"
        self.itself = self


@pytest.mark.parametrize(("keep", "loads"), [(False, 2), (True, 1)])
def test_a_part_is_loaded_for_each_work_or_once(keep: bool, loads: int) -> None:
    loaded: list[weakref.ref[Part]] = []

    def load() -> Part:
        part = Part()
        loaded.append(weakref.ref(part))
        return part

    part = OnDemand(load, keep=keep)
    assert loaded == []
    assert [part.use(lambda found: found.name) for _ in range(2)] == ["vae", "vae"]
    assert len(loaded) == loads
    assert [reference() is not None for reference in loaded] == [keep] * loads


def test_a_part_is_given_up_when_its_work_fails() -> None:
    loads = []

    def fail(part: object) -> None:
        raise ValueError("no")

    part = OnDemand(lambda: loads.append(1) or object())
    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            part.use(fail)
    assert len(loads) == 2


def test_a_part_that_is_kept_later_stays() -> None:
    part = OnDemand(Part)
    first = part.keep()
    assert part.keep() is first
    assert part.use(lambda found: found) is first
