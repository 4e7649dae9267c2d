"""What the clients know afterwards: what was accepted, what each answer was, how long all took."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

Expected = Literal["completed", "deleted"]


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """A job that the server has taken."""

    id: str
    kind: str
    expected: Expected


@dataclass
class Book:
    """One for all clients."""

    accepted: dict[str, Accepted] = field(default_factory=dict)
    """By id."""
    wrong: list[str] = field(default_factory=list)
    """Answers that are not those that there should be, in words."""
    times: dict[tuple[str, str], list[float]] = field(default_factory=lambda: defaultdict(list))
    """(kind, "accepted", "first frame" or "done") -> seconds."""
    counted: Counter[str] = field(default_factory=Counter)
    """Connections that broke, answers of status 429, frames seen, and the like."""
    done: int = 0
    """Requests that are over."""

    def accept(self, job_id: str, *, kind: str, expected: Expected = "completed") -> None:
        """Set a job down; one that is there already under another request was given out twice."""
        if job_id in self.accepted:
            self.wrong.append(f"{job_id} was given to two requests")
        self.accepted[job_id] = Accepted(id=job_id, kind=kind, expected=expected)

    def expect(self, status: int, wanted: Iterable[int], *, what: str) -> bool:
        """Return whether an answer is of a status that it may have; one that is not is set down."""
        if status in (known := list(wanted)):
            return True
        self.wrong.append(f"{what}: answered with {status}, not {known}")
        return False

    def latencies(self) -> dict[str, dict[str, tuple[int, float, float]]]:
        """Kind -> what was waited for -> how many, median, 95th percentile, both in seconds."""
        rows: dict[str, dict[str, tuple[int, float, float]]] = defaultdict(dict)
        for (kind, what), seconds in sorted(self.times.items()):
            middle, late = np.percentile(seconds, (50, 95))
            rows[kind][what] = (len(seconds), float(middle), float(late))
        return dict(rows)
