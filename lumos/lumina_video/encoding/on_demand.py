"""A part of a model that takes memory only while it works."""

import functools
import gc
from collections.abc import Callable
from typing import Generic, ParamSpec, TypeVar

import torch

P = ParamSpec("P")
Part = TypeVar("Part")
Result = TypeVar("Result")


class OnDemand(Generic[Part]):
    """A part that is loaded when there is work for it, and given up afterwards unless it is kept."""

    def __init__(self, load: Callable[[], Part], *, keep: bool = False) -> None:
        """Load nothing yet; `keep` holds the part from its first work on."""
        self._load = _as_usual(load)
        self._keep = keep
        self._kept: Part | None = None
        self._place: Callable[[Part, bool], object] | None = None

    @property
    def kept(self) -> Part | None:
        """The part, where it was loaded and stays."""
        return self._kept

    def replace_with(self, part: Part) -> None:
        """Take a part that is loaded already in place of loading it; it stays."""
        self._keep, self._kept = True, part

    def rest_between(self, place: Callable[[Part, bool], object]) -> None:
        """Keep the part from now on, elsewhere than where it works: `place(part, True)` before and `False` after."""
        self._keep, self._place = True, _as_usual(place)
        if self._kept is not None:
            self._place(self._kept, False)

    def keep(self) -> Part:
        """Return the part, which stays from now on."""
        self._keep = True
        if self._kept is None:
            self._kept = self._load()
            if self._place is not None:
                self._place(self._kept, False)
        return self._kept

    def use(self, work: Callable[[Part], Result]) -> Result:
        """Return what `work` makes with the part, which nobody else may hold on to."""
        if self._place is not None:
            return self._use_in_turn(work, self._place)
        if self._keep:
            return work(self.keep())
        try:
            return work(self._load())
        finally:
            _free()

    def _use_in_turn(self, work: Callable[[Part], Result], place: Callable[[Part, bool], object]) -> Result:
        part = self.keep()
        try:
            place(part, True)
            return work(part)
        finally:
            place(part, False)
            _free()


def _as_usual(work: Callable[P, Result]) -> Callable[P, Result]:
    """Return the work, done so that the tensors it makes are ordinary ones within `torch.inference_mode` too.

    What is made in that mode cannot be moved or merged into outside of it.
    """

    @functools.wraps(work)
    def usual(*args: P.args, **kwargs: P.kwargs) -> Result:
        with torch.inference_mode(False):
            return work(*args, **kwargs)

    return usual


def _free() -> None:
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
