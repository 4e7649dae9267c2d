"""Which frames before a frame sees, and when they are written into the cache anew (README 10.8)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated

from xllmx.settings.number_range import COUNT, check_numbers
from xllmx.settings.setting import SettingError


@dataclass(frozen=True, kw_only=True)
class Window:
    """Latent frames that go through the model together.

    A window of 4 frames that keeps 2::

        frame  0 1 2 3 4 5 6 7 8
        first  0 0 0 0 2 2 4 4 6     the first frame that it sees

    Raises:
        ValueError: a window that keeps all of its frames, so that it cannot move on.
    """

    num_frames: Annotated[int, COUNT]
    """How many they are at most."""
    num_kept: Annotated[int, COUNT]
    """How many of the last ones the next window begins with."""

    def __post_init__(self) -> None:
        check_numbers(self)
        if self.num_kept >= self.num_frames:
            rule = f"a window is {self.num_frames} latent frames, of which one at least must be new"
            remedy = f"give {self.num_frames - 1} at most" if self.num_frames > 1 else "leave it out"
            raise SettingError("history_frames", f"is {self.num_kept}, and {rule}; {remedy}")

    def first(self, frame: int) -> int:
        """Return the first frame of the window in which a frame is made."""
        if frame < self.num_frames:
            return 0
        step = self.num_frames - self.num_kept
        return step * ((frame - self.num_frames) // step + 1)


def window_of(num_frames: int | None, *, history_frames: int | str | None) -> Window | None:
    """Return the window of so many latent frames that keeps `history_frames`; None: every frame sees all before it."""
    if num_frames is None or not isinstance(history_frames, int):
        return None
    return Window(num_frames=num_frames, num_kept=history_frames)


@dataclass(frozen=True, kw_only=True)
class Sight:
    """What one frame sees."""

    frame: int
    """The latent frame."""
    first: int
    """The first frame that it sees; it sees all from there on."""
    since: int
    """The frame since which its text is in force."""
    written: range
    """The frames that are written into the cache just before it. They begin with `first` where the cache begins anew,
    because the window has moved on or the text has changed; else it is the frame before."""


def sights(frames: Iterable[int], *, window: Window | None, changes: Iterable[int] = ()) -> Iterator[Sight]:
    """Yield the sight of each of these frames, which follow each other; `changes` are the frames with a new text."""
    starts = sorted({0, *changes})
    before: Sight | None = None
    for frame in frames:
        first = 0 if window is None else window.first(frame)
        since = max(start for start in starts if start <= frame)
        is_anew = before is None or (before.first, before.since) != (first, since)
        before = Sight(frame=frame, first=first, since=since, written=range(first if is_anew else frame - 1, frame))
        yield before
