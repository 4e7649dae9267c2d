"""A source beside what was decoded of it: how near they are, and how both are shown."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from lumos.look.sheet import Card, strip_of
from lumos.look.words import line, plural, printable

LOW_DB = 22.0
"""Below it a clip is a blotch of its source."""
_LEAST_ERROR = 1e-3
"""Of the mean square, so that equal clips have a PSNR: 78 dB."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A clip of a set, its source where it was found, and what was decoded where that could be."""

    caption: str
    facts: str
    """Size, length and rate, in words."""
    source_name: str
    source: UInt8[np.ndarray, "F H W 3"] | None = None
    decoded: UInt8[np.ndarray, "G H W 3"] | None = None
    """At least as many frames as the source has."""
    fault: str = ""
    """Why one of the two is not there."""

    @property
    def psnr_db(self) -> float | None:
        """PSNR over all pixels of the frames that both have; None where one is not there."""
        if self.source is None or self.decoded is None or self.source.shape[1:] != self.decoded.shape[1:]:
            return None
        num = min(len(self.source), len(self.decoded))
        return psnr_db(self.source[:num], self.decoded[:num])

    def card(self) -> Card:
        """How it is shown."""
        found = [("source", self.source), ("decoded", self.decoded)]
        strips = [strip_of(frames, label) for label, frames in found if frames is not None]
        facts = [
            self.facts,
            f"{self.psnr_db:.1f} dB" if self.psnr_db is not None else "",
            self.fault or self.source_name,
        ]
        return Card(strips=strips, text=self.caption or "(no caption)", note=" · ".join(filter(None, facts)))

    def line(self) -> str:
        """The same in words."""
        db = f"{self.psnr_db:5.1f} dB" if self.psnr_db is not None else " " * 8
        fault = f"  [{printable(self.fault)}]" if self.fault else ""
        return f"  {db}  {printable(self.source_name, 40):<28}  {printable(self.caption or '(no caption)', 70)}{fault}"


def psnr_db(source: UInt8[np.ndarray, "F H W 3"], decoded: UInt8[np.ndarray, "F H W 3"]) -> float:
    """PSNR in dB over all pixels, 10 log10(255^2 / mean square error); 78 of equal clips."""
    error = np.square(source.astype(np.float32) - decoded.astype(np.float32)).mean(dtype=np.float64)
    return float(10 * np.log10(255.0**2 / max(error, _LEAST_ERROR)))


def psnr_lines(pairs: Sequence[Pair]) -> list[str]:
    """What is said of the PSNR of all pairs, and what to do where it is low."""
    found = [(value, pair) for pair in pairs if (value := pair.psnr_db) is not None]
    if not found:
        without = "no source was found" if all(pair.source is None for pair in pairs) else "nothing was decoded"
        return [line("PSNR", f"not known: {without}")]
    values = [value for value, _ in found]
    lowest, pair = min(found, key=lambda one: one[0])
    mean = sum(values) / len(values)
    said = f"{mean:.1f} dB, mean of {plural(len(found), 'clip')} beside their sources"
    lines = [line("PSNR", f"{said}; lowest {lowest:.1f} ({printable(pair.source_name, 60)})")]
    if mean < LOW_DB:
        lines.append(
            line("", f"below {LOW_DB:g} dB: what comes back are blotches, and no model of these clips makes better")
        )
        lines.append(line("", "ones; take another tokenizer or VAE, one that knows such pictures"))
    return lines
