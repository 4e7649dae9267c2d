"""What a check found, for a person and for a program."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing that is wrong."""

    what: str
    """missing, unexpected, unreadable, size, frames or metadata."""
    path: str
    """Relative to the folder."""
    detail: str = ""


@dataclass(kw_only=True)
class Findings:
    """The result of a check: the folder may be scored if there are no problems."""

    benchmark: str
    folder: str
    num_expected: int
    """Outputs that the benchmark asks for."""
    num_good: int
    """Outputs with no problem."""
    media: str
    """What the good outputs are, e.g. `448x256` or `672x384, 25 frames`."""
    problems: list[Problem] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    """What changes no score, or may be meant so."""

    @property
    def ok(self) -> bool:
        """Whether the folder is complete and right."""
        return not self.problems

    def to_dict(self) -> dict[str, Any]:
        """A json-able record."""
        return {**asdict(self), "ok": self.ok}

    def lines(self, most: int = 50) -> Iterator[str]:
        """Yields lines for a person: every problem, of each sort at most `most` (0: all)."""
        good = f"{self.num_good} of {self.num_expected} outputs are good"
        yield f"{self.benchmark} in {self.folder}: {good} ({self.media})"
        for what, count in Counter(problem.what for problem in self.problems).items():
            yield f"{what}: {count}"
            found = [problem for problem in self.problems if problem.what == what]
            for problem in found[: most or None]:
                yield f"  {problem.path}" + (f": {problem.detail}" if problem.detail else "")
            if most and count > most:
                yield f"  ... and {count - most} more (--most 0 shows all)"
        yield from (f"remark: {remark}" for remark in self.remarks)
        yield "complete: the scorer may have it" if self.ok else "not to be scored like this"
