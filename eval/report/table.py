"""One table: a row for each tag or dimension and each total; ours, and what is published."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from eval.benchmark import Benchmark
from eval.report.published import Published, published
from eval.report.scores import Score, Scores

ABSENT = "-"


@dataclass(frozen=True, kw_only=True)
class Table:
    """Cells as text; the first column names the row, the second is ours."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]
    """What a reader must know of it: sources, remarks, and why there is no total."""
    first_total: int
    """Index of the first row that is a total."""


def table_of(scores: Scores, benchmark: Benchmark, *, name: str = "here") -> Table:
    """The table of an evaluation; `name` heads our column.

    Published numbers stand beside only if the prompts are the benchmark's own. A total that may not be made is "-".
    """
    peers = published(benchmark) if scores.official and not scores.scorer else []
    rows = [(_title(part.name), _ours(part, benchmark), *_theirs(part.name, peers, benchmark)) for part in scores.parts]
    rows += [
        (title, _number(scores.totals.get(total), benchmark), *_theirs(total, peers, benchmark))
        for total, title in benchmark.totals.items()
    ]
    return Table(
        head=(
            benchmark.part,
            f"{name} (not the official scorer)" if scores.scorer else name,
            *(p.model for p in peers),
        ),
        rows=tuple(rows),
        notes=tuple(_notes(scores, benchmark, peers)),
        first_total=len(scores.parts),
    )


def markdown(table: Table) -> str:
    """The table in Markdown, its notes below."""
    lines = [_line(table.head), _line(["---", *["---:"] * (len(table.head) - 1)]), *map(_line, table.rows), ""]
    return "\n".join([*lines, *(f"- {note}" for note in table.notes)]) + "\n"


def _title(name: str) -> str:
    return name.replace("_", " ").capitalize().replace("I2v", "I2V")


def _ours(part: Score, benchmark: Benchmark) -> str:
    text = _number(part.value, benchmark)
    return f"({text})" if part.problem and part.value is not None else text


def _theirs(name: str, peers: Sequence[Published], benchmark: Benchmark) -> Iterator[str]:
    for peer in peers:
        value = peer.values.get(name)
        yield ABSENT if value is None else f"{100 * value:.1f}" if benchmark.per_cent else f"{value:.2f}"


def _number(value: float | None, benchmark: Benchmark) -> str:
    """As the benchmark's paper prints it, in per cent or as a fraction, with one digit more."""
    if value is None:
        return ABSENT
    return f"{100 * value:.2f}" if benchmark.per_cent else f"{value:.3f}"


def _notes(scores: Scores, benchmark: Benchmark, peers: Sequence[Published]) -> Iterator[str]:
    if scores.missing:
        yield "No total: " + "; ".join(scores.missing)
        if any(part.problem and part.value is not None for part in scores.parts):
            yield "Scores in brackets are not the benchmark's: not all of its outputs were scored as they should be"
    yield from scores.remarks
    if benchmark.note:
        yield benchmark.note
    if scores.scorer:
        yield f"Scored by {scores.scorer}: published numbers do not compare and are left out"
    if not scores.official:
        yield "These are not the benchmark's own prompts: published numbers do not compare and are left out"
    for url in dict.fromkeys(peer.url for peer in peers):
        ours = [peer for peer in peers if peer.url == url]
        names = ", ".join(peer.model + (f" ({peer.note})" if peer.note else "") for peer in ours)
        yield f"Published: {names}: {ours[0].source}, {url}"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
