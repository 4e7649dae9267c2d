"""How fast a process makes clips, and how much of its time is the network's."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Pace:
    """Clips made since the start, and where the time went."""

    clips: int = 0
    """Made so far."""
    network_s: float = 0.0
    """Seconds in the visual tokenizer, to the codes being in memory."""
    networks: int = 1
    """That were at work at the same time, at most."""
    _start: float = field(default_factory=time.perf_counter)

    @contextmanager
    def network(self, clips: int) -> Iterator[None]:
        """A context in which so many clips go through the visual tokenizer."""
        start = time.perf_counter()
        yield
        self.network_s += time.perf_counter() - start
        self.clips += clips

    def report(self) -> dict[str, float]:
        """Return `clips`, `seconds` since the start, `clips_per_s`, and `network_share` of these seconds a network."""
        seconds = time.perf_counter() - self._start
        return {
            "clips": self.clips,
            "seconds": round(seconds, 3),
            "clips_per_s": round(self.clips / seconds, 3),
            "network_share": round(self.network_s / seconds / self.networks, 3),
        }
