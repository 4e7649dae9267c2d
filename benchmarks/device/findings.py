"""What a part of the run on a device finds: numbers beside what they are by arithmetic, and checks that can fail."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Row:
    """One number."""

    name: str
    """What was measured."""
    value: float
    """As measured."""
    unit: str
    """Of both numbers: ms, s, TFLOP/s, GB/s, GiB."""
    best: float | None = None
    """By arithmetic: what the data sheet allows at best, or what was reckoned; None where nothing is known."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """Something that is right or wrong."""

    name: str
    """What was looked at."""
    found: float
    """The error that was found."""
    most: float
    """What is allowed."""

    @property
    def passed(self) -> bool:
        """Whether the error is allowed; NaN never is."""
        return self.found <= self.most


@dataclass(kw_only=True)
class Findings:
    """Of one part."""

    rows: list[Row] = field(default_factory=list)
    """In their order."""
    checks: list[Check] = field(default_factory=list)
    """In their order."""
    left_out: list[str] = field(default_factory=list)
    """What could not be tried on this device, with the reason."""
    facts: dict[str, Any] = field(default_factory=dict)
    """What the machine is; the process that starts the parts asks no GPU, which it would hold memory of."""

    @property
    def passed(self) -> bool:
        """Whether something was found and no check failed."""
        return bool(self.rows or self.checks or self.left_out) and all(check.passed for check in self.checks)

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        checks = [{**asdict(check), "passed": check.passed} for check in self.checks]
        rows = [asdict(row) for row in self.rows]
        return {"rows": rows, "checks": checks, "left_out": self.left_out, "facts": self.facts}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "Findings":
        """Return what `to_dict` gave."""
        checks = [Check(name=one["name"], found=one["found"], most=one["most"]) for one in content["checks"]]
        rows = [Row(**row) for row in content["rows"]]
        return cls(rows=rows, checks=checks, left_out=list(content["left_out"]), facts=dict(content["facts"]))

    def lines(self) -> Iterable[str]:
        """Yield the findings as text for a terminal."""
        for row in self.rows:
            best = "" if row.best is None else f"   by arithmetic {row.best:.4g} {row.unit}"
            yield f"  {row.name:54}{row.value:11.4g} {row.unit:8}{best}"
        for check in self.checks:
            verdict = "ok" if check.passed else "FAILED"
            yield f"  {verdict:7}{check.name}: {check.found:.1e}, at most {check.most:.1e}"
        yield from (f"  left out: {reason}" for reason in self.left_out)


def relative_error(found: Tensor, expected: Tensor) -> float:
    """Return |found - expected| / |expected| over all numbers, wherever the two lie; infinite where shapes differ."""
    if found.shape != expected.shape:
        return float("inf")
    found, expected = found.double().cpu(), expected.double().cpu()
    return float((found - expected).norm() / expected.norm())
