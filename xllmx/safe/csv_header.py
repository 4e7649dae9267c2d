"""What is wrong with the first line of a CSV that lacks a column, in words."""

from collections.abc import Sequence

_SHOWN = 200
"""Characters of a header that an error repeats."""
_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}


def lacking(found: Sequence[str], wanted: Sequence[str]) -> str | None:
    """Return which of the wanted columns a header lacks, what it has instead and what to do; None: it has them all."""
    missing = [column for column in wanted if column not in found]
    if not missing:
        return None
    said = f"lacks the column(s) {', '.join(missing)} (it has: {listed(found)})"
    separator = next((one for one in _SEPARATORS if any(one in name for name in found)), None)
    if separator is not None:
        return f"{said}; its fields stand between {_SEPARATORS[separator]}, write it with commas"
    names = {name.strip().lower() for name in found}
    as_written = " in small letters and without spaces" if names.issuperset(wanted) else ""
    return f"{said}; its first line must name {','.join(wanted)}{as_written}"


def listed(names: Sequence[str]) -> str:
    """Names of columns in one line."""
    text = " ".join(", ".join(names).split())
    return f"{text[:_SHOWN]}..." if len(text) > _SHOWN else text or "nothing"
