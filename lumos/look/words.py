"""Counts and texts as a person reads them: aligned columns, spreads, and a stranger's text on one line."""

from collections.abc import Mapping, Sequence

import numpy as np

from xllmx.words import plural

_INDENT = "  "
_NAME_WIDTH = 12
_MOST_WHOLE = 10**15
"""Larger numbers are no counts, and are not written out."""


def line(name: str, text: str) -> str:
    """A named line of a report.

    >>> line("captions", "9 different")
    '  captions    9 different'
    """
    return f"{_INDENT}{name:<{_NAME_WIDTH}}{text}"


def spread(values: Sequence[int] | Sequence[float] | np.ndarray, unit: str = "") -> str:
    """The least, the middle and the largest of some values, or that there are none; `unit` is a plural.

    >>> spread([3, 9, 4], "tokens")
    '3 to 9 tokens, median 4'
    """
    if not len(values):
        return "none"
    least, middle, most = np.min(values), np.median(values), np.max(values)
    unit = f" {unit.removesuffix('s') if least == most == 1 else unit}" if unit else ""
    return (
        f"{number(least)}{unit}"
        if least == most
        else f"{number(least)} to {number(most)}{unit}, median {number(middle)}"
    )


def number(value: int | float | np.number) -> str:
    """A count with commas, or a number with as many digits as are of use.

    >>> [number(value) for value in (12345, 2.5, 0.03125)]
    ['12,345', '2.5', '0.0312']
    """
    return f"{int(value):,}" if float(value).is_integer() and abs(float(value)) < _MOST_WHOLE else f"{value:.3g}"


def counted(counts: Mapping[str, int]) -> str:
    """Names with their counts, the commonest first.

    >>> counted({"too short": 1, "missing file": 4})
    'missing file 4, too short 1'
    """
    return ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items(), key=lambda one: (-one[1], one[0])))


def columns(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """The lines of a table, its columns right-aligned.

    >>> columns(["size", "clips"], [["64x64", 12], ["96x64", 3]])
    ['   size  clips', '  64x64     12', '  96x64      3']
    """
    cells = [list(heads), *([f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[place]) for row in cells) for place in range(len(heads))]
    joined = ("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in cells)
    return [_INDENT + row for row in joined]


def counts_table(heads: Sequence[str], rows: Sequence[Sequence[object]], *, most: int = 12) -> list[str]:
    """A table of kinds, whose last column counts: the first of them, and in one line how many there are of the others.

    >>> counts_table(["size", "clips"], [["64x64", 9], ["96x64", 3], ["64x96", 2]], most=1)
    ['   size  clips', '  64x64      9', '              and 5 clips of 2 other kinds']
    """
    rest = rows[most:]
    others = f"and {plural(sum(int(str(row[-1])) for row in rest), heads[-1].removesuffix('s'))}"
    more = [line("", f"{others} of {plural(len(rest), 'other kind')}")] if rest else []
    return [*columns(heads, rows[:most]), *more]


def share(part: float) -> str:
    """A share in percent.

    >>> share(0.396), share(0.0002)
    ('39.6%', 'less than 0.1%')
    """
    return f"{part:.1%}" if part >= 1e-3 else "less than 0.1%"


def tail(text: object, most: int) -> str:
    """The end of a stranger's text, of a path the part that tells.

    >>> tail("/somewhere/clips/a.mp4", 12)
    '…clips/a.mp4'
    """
    shown = printable(text, 4096)
    return shown if len(shown) <= most else f"…{shown[1 - most :]}"


def printable(text: object, most: int = 100) -> str:
    r"""A stranger's text in one line, cut to `most` characters; what a terminal would obey is a question mark.

    >>> printable("red\n  ball\x1b[2J", 9)
    'red ball?…'
    """
    words = " ".join(str(text)[: 8 * most].split())
    shown = "".join(character if character.isprintable() else "?" for character in words)
    return shown if len(shown) <= most else shown[:most] + "…"
