"""What is said in the same words of every set of clips."""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from lumos.look.clips.provenance import Provenance
from lumos.look.words import counted, line, plural, printable

_MOST_REASONS = 50


def head_lines(path: Path, num: int, *, what: str, is_unfinished: bool) -> list[str]:
    """The first line, and an empty one."""
    state = " (no index yet: concat_record writes it when all rows are done)" if is_unfinished else ""
    return [f"{printable(path, 300)}: {plural(num, 'clip')} of {what}{state}", ""]


def read_line(num: int, num_read: int) -> list[str]:
    """How many clips stand behind what follows, where those are not all."""
    if num_read >= num:
        return []
    return [line("read", f"{plural(num_read, 'clip')} spread over all stand for the rest below; --read N reads more")]


def damaged_lines(faults: Sequence[str]) -> list[str]:
    """How many clips could not be read, and why the first one."""
    if not faults:
        return []
    return [line("damaged", f"{plural(len(faults), 'clip')} could not be read: {printable(faults[0], 200)}")]


def made_lines(made: Provenance) -> list[str]:
    """What was recorded as the set was made: the PSNR of decoded clips, and rows that were skipped."""
    lines = []
    if made.psnr_db is not None:
        said = f"{made.psnr_db:.1f} dB, mean of {plural(made.num_decoded, 'clip')} decoded as the set was made"
        lines.append(line("recorded", said))
    if made.fault is not None:
        lines.append(line("recorded", printable(made.fault, 300)))
    reasons = {printable(reason, 60): count for reason, count in islice(made.skipped.items(), _MOST_REASONS)}
    if reasons:
        num = plural(sum(made.skipped.values()), "row")
        lines.append(line("skipped", f"{num} gave no clip: {counted(reasons)}"))
    return lines
