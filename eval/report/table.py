"""One table: a row for each tag or dimension and each total; ours, and what is published."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from eval.report.published import Published, published
from eval.report.scores import Score, Scores

ABSENT = "-"
TOTAL_NAMES = {"quality": "Quality score", "semantic": "Semantic score", "i2v": "I2V score", "total": "Total score"}


@dataclass(frozen=True, kw_only=True)
class Table:
    """Cells as text; the first column names the row, the second is ours."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]
    """What a reader must know of it: sources, remarks, and why there is no total."""
    first_total: int
    """Index of the first row that is a total."""


def table_of(scores: Scores, *, name: str = "here") -> Table:
    """The table of an evaluation; `name` heads our column.

    Published numbers stand beside only if the prompts are the benchmark's own. A total that may not be made is "-".
    """
    peers = published(scores.benchmark) if scores.official else []
    totals = ["overall"] if scores.benchmark == "geneval" else _total_names(scores.benchmark)
    rows = [(_title(part.name), _ours(part, scores), *_theirs(part.name, peers, scores)) for part in scores.parts]
    rows += [
        (_title(total), _number(scores.totals.get(total), scores), *_theirs(total, peers, scores)) for total in totals
    ]
    return Table(
        head=("Tag" if scores.benchmark == "geneval" else "Dimension", name, *(peer.model for peer in peers)),
        rows=tuple(rows),
        notes=tuple(_notes(scores, peers)),
        first_total=len(scores.parts),
    )


def markdown(table: Table) -> str:
    """The table in Markdown, its notes below."""
    lines = [_line(table.head), _line(["---", *["---:"] * (len(table.head) - 1)]), *map(_line, table.rows), ""]
    return "\n".join([*lines, *(f"- {note}" for note in table.notes)]) + "\n"


def _total_names(benchmark: str) -> list[str]:
    return ["quality", "semantic" if benchmark == "vbench" else "i2v", "total"]


def _title(name: str) -> str:
    return TOTAL_NAMES.get(name) or name.replace("_", " ").capitalize().replace("I2v", "I2V")


def _ours(part: Score, scores: Scores) -> str:
    text = _number(part.value, scores)
    return f"({text})" if part.problem and part.value is not None else text


def _theirs(name: str, peers: Sequence[Published], scores: Scores) -> Iterator[str]:
    for peer in peers:
        value = peer.values.get(name)
        yield ABSENT if value is None else f"{value:.2f}" if scores.benchmark == "geneval" else f"{100 * value:.1f}"


def _number(value: float | None, scores: Scores) -> str:
    """GenEval as a fraction, VBench in per cent, as their papers print them, with one digit more."""
    if value is None:
        return ABSENT
    return f"{value:.3f}" if scores.benchmark == "geneval" else f"{100 * value:.2f}"


def _notes(scores: Scores, peers: Sequence[Published]) -> Iterator[str]:
    if scores.missing:
        yield "No total: " + "; ".join(scores.missing)
        if any(part.problem and part.value is not None for part in scores.parts):
            yield "Scores in brackets are not the benchmark's: not all of its samples were scored as they should be"
    yield from scores.remarks
    if scores.benchmark != "geneval":
        yield "Dimensions are as the scorer gives them, in per cent; the totals are of normalised dimensions"
    if not scores.official:
        yield "These are not the benchmark's own prompts: published numbers do not compare and are left out"
    for url in dict.fromkeys(peer.url for peer in peers):
        ours = [peer for peer in peers if peer.url == url]
        names = ", ".join(peer.model + (f" ({peer.note})" if peer.note else "") for peer in ours)
        yield f"Published: {names}: {ours[0].source}, {url}"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
