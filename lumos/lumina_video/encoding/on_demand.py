"""A part of a model that takes memory only while it works."""

import gc
from collections.abc import Callable
from typing import Generic, TypeVar

import torch

Part = TypeVar("Part")
Result = TypeVar("Result")


class OnDemand(Generic[Part]):
    """A part that is loaded when there is work for it, and given up afterwards unless it is kept."""

    def __init__(self, load: Callable[[], Part], *, keep: bool = False) -> None:
        """Load nothing yet; `keep` holds the part from its first work on."""
        self._load = load
        self._keep = keep
        self._kept: Part | None = None

    def keep(self) -> Part:
        """Return the part, which stays from now on."""
        self._keep = True
        if self._kept is None:
            self._kept = self._load()
        return self._kept

    def use(self, work: Callable[[Part], Result]) -> Result:
        """Return what `work` makes with the part, which nobody else may hold on to."""
        if self._keep:
            return work(self.keep())
        try:
            return work(self._load())
        finally:
            gc.collect()
            if torch.cuda.is_initialized():
                torch.cuda.empty_cache()
