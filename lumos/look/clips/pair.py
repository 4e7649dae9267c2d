"""A source beside what was decoded of it: how near they are, and how both are shown."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from lumos.look.sheet import Card, strip_of
from lumos.look.words import line, plural, printable, tail
from lumos.media.decoded import LEAST_PSNR_DB, pixel_psnr

NOT_FOUND = "source not found"
"""The fault of a clip whose source is nowhere that is known."""
_NAME_WIDTH, _NO_CAPTION = 40, "(no caption)"


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A clip of a set, its source where it was found, and what was decoded where that could be."""

    caption: str
    facts: str
    """Size, length and rate, in words."""
    source_name: str
    source: UInt8[np.ndarray, "F H W 3"] | None = None
    decoded: UInt8[np.ndarray, "G h w 3"] | None = None
    fault: str = ""
    """Why one of the two is not there."""

    @property
    def psnr_db(self) -> float | None:
        """PSNR over all pixels of both; None where one is not there, or they are not of one shape."""
        if self.source is None or self.decoded is None or self.source.shape != self.decoded.shape:
            return None
        return pixel_psnr(self.source, self.decoded)

    def card(self) -> Card:
        """How it is shown."""
        found = [("source", self.source), ("decoded", self.decoded)]
        strips = [strip_of(frames, label) for label, frames in found if frames is not None]
        db = f"{self.psnr_db:.1f} dB" if self.psnr_db is not None else ""
        note = " · ".join(filter(None, [self.facts, db, self.fault or tail(self.source_name, 60)]))
        return Card(strips=strips, text=self.caption or _NO_CAPTION, note=note)


def pair_lines(pairs: Sequence[Pair]) -> list[str]:
    """A line for each: PSNR, source, caption, and what is wrong."""
    names = [tail(pair.source_name, _NAME_WIDTH) for pair in pairs]
    width = max(map(len, names), default=0)
    lines = []
    for pair, name in zip(pairs, names, strict=True):
        db = f"{pair.psnr_db:5.1f} dB" if pair.psnr_db is not None else "    -   "
        fault = f"  [{printable(pair.fault, 160)}]" if pair.fault else ""
        lines.append(f"  {db}  {name:<{width}}  {printable(pair.caption or _NO_CAPTION, 90)}{fault}")
    return lines


def decoded_lines(pairs: Sequence[Pair], *, decoder: str, said: str) -> list[str]:
    """What is said of all pairs and of what decoded them, `tokenizer` or `VAE`; nothing where there are none."""
    if not pairs:
        return []
    return [line(decoder, printable(said, 300)), *psnr_lines(pairs), "", *pair_lines(pairs)]


def psnr_lines(pairs: Sequence[Pair]) -> list[str]:
    """What is said of the PSNR of all pairs, and what to do where it is low."""
    found = [(value, pair) for pair in pairs if (value := pair.psnr_db) is not None]
    if not found:
        if any(pair.source is not None for pair in pairs):
            without = "nothing was decoded"
        elif any(pair.fault == NOT_FOUND for pair in pairs):
            without = "no source was found; --media says where they are"
        else:
            without = "no source can be compared; below stands why"
        return [line("PSNR", f"not known: {without}")]
    lowest, pair = min(found, key=lambda one: one[0])
    mean = sum(value for value, _ in found) / len(found)
    beside = "their sources" if len(found) > 1 else "its source"
    said = f"{mean:.1f} dB, mean of {plural(len(found), 'clip')} beside {beside}"
    lines = [line("PSNR", f"{said}; lowest {lowest:.1f} ({tail(pair.source_name, 60)})")]
    if mean < LEAST_PSNR_DB:
        lines.append(
            line("", f"below {LEAST_PSNR_DB:g} dB: blotches come back, and no model of these clips makes better ones;")
        )
        lines.append(line("", "pre-tokenise with another tokenizer or VAE, one that knows such pictures"))
    return lines
