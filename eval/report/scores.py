"""What a scorer found: a score for each tag or dimension, and the totals if nothing is missing."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Score:
    """One tag or dimension."""

    name: str
    value: float | None
    """A fraction; None while it is missing."""
    num: int | None = None
    """Outputs that were scored, if that is known."""
    num_expected: int | None = None
    problem: str = ""
    """Why the score is not the benchmark's; empty if it is."""


@dataclass(frozen=True, kw_only=True)
class Scores:
    """One evaluation. Without `totals` it is not complete, and `missing` says why."""

    benchmark: str
    parts: tuple[Score, ...]
    totals: Mapping[str, float] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    """What stands in the way of the totals."""
    remarks: tuple[str, ...] = ()
    official: bool = True
    """Whether the prompts are the benchmark's own, so that published numbers may stand beside."""
    scorer: str = ""
    """What scored, where it was not the benchmark's own scorer; published numbers then do not compare."""
    verdicts: Mapping[str, tuple[bool, str]] = field(default_factory=dict)
    """GenEval: image (`00012/samples/00003.png`) -> whether it is correct, and why not."""

    def to_dict(self) -> dict[str, Any]:
        """A json-able record, without the verdicts."""
        record = asdict(self)
        del record["verdicts"]
        return record
