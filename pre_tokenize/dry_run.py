"""A pre-tokenisation without the network: which rows would give clips, and why not the others. Nothing is made.

Rows are read as a pre-tokenisation reads them, by the same code: decoded, their frames chosen, cropped. What only the
network finds (latents that are not finite) is not found here.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from lumos.look.places import spread_places
from lumos.look.sheet import Card, Strip, strip_of, write_sheet
from lumos.look.words import columns, line, plural, printable, spread, tail
from pre_tokenize.bookkeeping.ledger import Skip
from pre_tokenize.lists.table import Item, Table
from pre_tokenize.products.encode import Reader, read_items
from pre_tokenize.products.pixels import Pixels

_EXAMPLES = 3
"""Rows that are named of each reason, where many were skipped."""
_ALL_NAMED = 20


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A row that would give a clip."""

    item: Item
    size: tuple[int, int, int]
    """Width and height in pixels, number of frames."""
    strip: Strip


@dataclass(kw_only=True)
class DryRun:
    """What was found so far."""

    num_rows: int
    """Rows that are looked at in all."""
    most_shown: int
    """Kept rows of which pictures are wanted."""
    sizes: Counter[tuple[int, int, int]] = field(default_factory=Counter)
    """Kept rows by width, height and number of frames."""
    captions: list[int] = field(default_factory=list)
    """Letters of the caption of each kept row."""
    skipped: list[Skip] = field(default_factory=list)
    _shown: list[Kept] = field(default_factory=list)
    _step: int = 1

    @property
    def num_kept(self) -> int:
        """Rows that would give a clip."""
        return len(self.captions)

    @property
    def num_done(self) -> int:
        """Rows looked at."""
        return len(self.captions) + len(self.skipped)

    def add(self, item: Item, outcome: Pixels | Skip) -> None:
        """Take the fate of a row."""
        if isinstance(outcome, Skip):
            self.skipped.append(outcome)
            return
        num_frames, height, width, _ = outcome.frames.shape
        if self.most_shown and self.num_kept % self._step == 0:
            strip = strip_of(outcome.frames)
            self._shown.append(Kept(item=item, size=(width, height, num_frames), strip=strip))
            if len(self._shown) >= 2 * self.most_shown:  # every other one goes: what stays is spread over all rows
                self._shown, self._step = self._shown[::2], 2 * self._step
        self.sizes[width, height, num_frames] += 1
        self.captions.append(len(item.text))

    def shown(self) -> list[Kept]:
        """At most `most_shown` kept rows, spread from the first to the last."""
        return [self._shown[place] for place in spread_places(len(self._shown), self.most_shown)]

    def report(self) -> dict[str, Any]:
        """The counts that a pre-tokenisation of these rows would report (`Ledger.report`)."""
        counts = Counter(skip.reason for skip in self.skipped)
        items = [asdict(skip) for skip in self.skipped]
        return {"done": self.num_done, "clips": self.num_kept, "skipped": dict(counts), "skipped_items": items}


def look_at(found: DryRun, table: Table, reader: Reader, *, rows: Sequence[int], num_workers: int) -> None:
    """Add the fate of each of `rows` to `found`; a bar on a terminal shows how far it is."""
    items = read_items(table, reader, rows, num_workers=num_workers)
    for item, outcome in tqdm(items, total=len(rows), unit="row", disable=None):
        found.add(item, outcome)


def in_words(found: DryRun, table: Table, *, what: str) -> str:
    """Lines for a person; `what` says into what the rows would be made."""
    done = plural(found.num_done, "row") + (f" of {found.num_rows:,}" if found.num_done < found.num_rows else "")
    lines = [f"{printable(table.file, 200)}: {done}, {what}", "", f"would be kept: {found.num_kept:,}"]
    if found.num_kept:
        sizes = sorted(found.sizes.items(), key=lambda one: (-one[1], one[0]))
        rows = [(f"{width}x{height}", frames, count) for (width, height, frames), count in sizes]
        lines += [*columns(("size", "frames", "clips"), rows), line("captions", spread(found.captions, "letters"))]
    lines += ["", f"would be skipped: {len(found.skipped):,}"]
    of_reason: dict[str, list[Skip]] = {}
    for skip in found.skipped:
        of_reason.setdefault(skip.reason, []).append(skip)
    most = _ALL_NAMED if len(found.skipped) <= _ALL_NAMED else _EXAMPLES
    for reason, skips in sorted(of_reason.items(), key=lambda one: -len(one[1])):
        lines.append(f"  {reason}: {len(skips):,}")
        lines += [f"    row {skip.row}  {tail(skip.path, 100)}{_detail(skip)}" for skip in skips[:most]]
        lines += [f"    and {len(skips) - most:,} more"] if len(skips) > most else []
    return "\n".join([*lines, "", "nothing was made: this was a dry run"])


def write_kept(path: Path, found: DryRun, *, title: str) -> int:
    """Write a sheet of kept rows as they would be cut; return how many are on it."""
    shown = found.shown()
    write_sheet(path, [_card(kept) for kept in shown], title=title)
    return len(shown)


def _card(kept: Kept) -> Card:
    width, height, frames = kept.size
    note = f"row {kept.item.row} · {width}x{height} · {plural(frames, 'frame')} · {tail(kept.item.path, 60)}"
    return Card(strips=[kept.strip], text=kept.item.text, note=note)


def _detail(skip: Skip) -> str:
    return f"  ({printable(skip.detail, 200)})" if skip.detail else ""
