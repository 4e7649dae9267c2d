"""The clips that a model is made for, as its `generation_config.json` says them, and how those of a data set differ."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class MadeFor:
    """What a model expects of clips."""

    model: str
    """Its name or folder, for messages."""
    sizes: Sequence[tuple[int, int]]
    """Width and height in pixels of its pictures and videos."""
    target_size: int | None = None
    """What `crop_sizes` made the sizes of, if it did."""
    fps: int | None = None
    """Frames a second; None of a model of pictures."""
    duration: int | None = None
    """Whole seconds; None of a model of pictures, and where it takes any length."""

    def differences(self, sizes: Mapping[tuple[int, int], int], fps: Mapping[float, int]) -> str | None:
        """What is to be said of clips, counted by size and (of videos) by rate; None where they are as expected."""
        said = []
        if other := {size: count for size, count in sizes.items() if size not in set(self.sizes)}:
            remedy = f"--size {_sizes(self.sizes)}" if self.target_size is None else f"--target_size {self.target_size}"
            said.append(
                f"{sum(other.values())} of {sum(sizes.values())} clips are {_counted(other)}, {self.model} is made for "
                f"{_sizes(self.sizes)}: pre-tokenise with {remedy}"
            )
        slow = {rate: count for rate, count in fps.items() if self.fps not in (None, rate)}
        if slow:
            rates = ", ".join(f"{rate:g}" for rate in sorted(slow)[:_SHOWN])
            said.append(
                f"{sum(slow.values())} of {sum(fps.values())} videos have {rates} frames a second, {self.model} is "
                f"made for {self.fps}: pre-tokenise with --target_fps {self.fps}"
            )
        return f"{'; '.join(said)}; or go on, where it is to learn these" if said else None


def buckets(sizes: Mapping[tuple[int, int], int]) -> dict[str, int]:
    """The same counts by `448x256`, the commonest first."""
    order = sorted(sizes.items(), key=lambda item: (-item[1], item[0]))
    return {f"{width}x{height}": count for (width, height), count in order}


def _counted(sizes: Mapping[tuple[int, int], int]) -> str:
    common = Counter(buckets(sizes)).most_common(_SHOWN)
    more = f" and {len(sizes) - _SHOWN} other sizes" if len(sizes) > _SHOWN else ""
    return ", ".join(name for name, _ in common) + more


def _sizes(sizes: Sequence[tuple[int, int]]) -> str:
    named = [f"{width}x{height}" for width, height in sizes]
    return ",".join(named) if len(named) <= _SHOWN else f"{','.join(named[:_SHOWN])},..."
