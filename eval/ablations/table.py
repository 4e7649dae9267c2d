"""The tables of the ablations in Markdown: means over seeds, and half of the way from the lowest to the highest."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from eval.ablations.crossed import MASKS, read_losses
from eval.ablations.jobs import CHANCE, scores_in
from eval.ablations.plan import BASE, BUNDLED, COMPARED, MASKED, SWEEPS, VARIANTS, Point, Run, value_of
from eval.marked_section import MarkedSection
from xllmx.run.reporting.metrics import read_metrics

NOT_RUN = "not run yet"
SECTION = MarkedSection(
    begin="<!-- tables: written by `bash exps/ablations.sh --report --into exps/ABLATIONS.md` -->",
    end="<!-- end of tables -->",
)
"""The place of the tables in a page."""


def spread(values: Sequence[float], *, digits: int = 3) -> str:
    """Return `mean ± half of the range` of a quantity over seeds, its mean alone where there is one seed.

    >>> spread([0.5, 0.7]), spread([0.5]), spread([])
    ('0.600 ± 0.100', '0.500', '-')
    """
    if not values:
        return "-"
    mean = f"{sum(values) / len(values):.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ± {(max(values) - min(values)) / 2:.{digits}f}"


def tables(folder: Path, *, seeds: int) -> str:
    """Return all tables of what is there, those that are not yet run said so."""
    parts = [_losses(folder, seeds), _crossed(folder, seeds), _variants(folder, seeds)]
    parts += [_sweep(folder, seeds, what) for what in SWEEPS]
    return "\n\n".join(parts) + "\n"


def frame_losses(run: Path) -> list[float]:
    """Return the loss of the last evaluation of a finished or unfinished run, of each frame; empty before there is one.

    The first number is that of all frames together.
    """
    rows = read_metrics(run, "eval") if (run / "metrics.jsonl").is_file() else []
    if not rows:
        return []
    last = rows[-1]
    names = sorted((name for name in last if "/frame_" in name), key=lambda name: int(name.rpartition("_")[2]))
    return [last["video/loss"], *(last[name] for name in names)]


def _losses(folder: Path, seeds: int) -> str:
    """Return the held-out loss of each frame, under the masks that a variant is trained with."""
    rows = []
    for variant, what in VARIANTS.items():
        found = [losses for run in _finished(folder, variant, seeds) if (losses := frame_losses(folder / "runs" / run))]
        columns = [spread(column) for column in zip(*found, strict=True)]
        falls = spread([losses[1] - losses[-1] for losses in found])
        rows.append([what, str(len(found)), *columns, falls] if found else [what, NOT_RUN])
    width = max(map(len, rows))
    frames = [f"frame {index}" for index in range(max(0, width - 4))]
    head = ["held-out loss", "seeds", "all", *frames, "first less last"] if frames else ["held-out loss", "seeds"]
    return _markdown(head, rows)


def _crossed(folder: Path, seeds: int) -> str:
    """Return the held-out loss of the variants that differ in their masks, under the masks of each."""
    rows = []
    for variant in MASKED:
        paths = [folder / "crossed" / f"{run}.json" for run in _finished(folder, variant, seeds)]
        found = [read_losses(path) for path in paths if path.is_file()]
        columns = [spread([losses[masks] for losses in found]) for masks in MASKS]
        rows.append([VARIANTS[variant], str(len(found)), *columns] if found else [VARIANTS[variant], NOT_RUN])
    return _markdown(["held-out loss, trained with", "seeds", *(f"under {what}" for what in MASKS.values())], rows)


def _variants(folder: Path, seeds: int) -> str:
    """Return what share of clips is as asked, of every variant at some shares of masked history."""
    head = ["clips as asked", "seeds", *(f"history {share:g} masked" for share in COMPARED), "looks, at the best"]
    rows = []
    for variant, what in VARIANTS.items():
        found = [scores_in(folder, run) for run in _finished(folder, variant, seeds)]
        points = [Point(share=share) for share in COMPARED]
        whole = [scores for scores in found if all(point in scores for point in points)]
        if not whole:
            rows.append([what, NOT_RUN])
            continue
        columns = [spread([scores[point].correct for scores in whole]) for point in points]
        best = [max((scores[point] for point in points), key=lambda one: one.correct).looks for scores in whole]
        rows.append([what, str(len(whole)), *columns, spread(best)])
    for scores in scores_in(folder, CHANCE).values():
        rows.append(
            ["chance: clips of other prompts", "", *[spread([scores.correct])] * len(COMPARED), spread([scores.looks])]
        )
    return _markdown(head, rows)


def _sweep(folder: Path, seeds: int, what: str) -> str:
    """Return what share of clips is as asked, as one setting varies, of base and the bundled model."""
    points = SWEEPS[what]
    columns = [f"`{BUNDLED}`", f"{BASE}, {VARIANTS[BASE]}"]
    ours = [scores_in(folder, run) for run in _finished(folder, BASE, seeds)]
    rows = []
    for point in points:
        cells = [_of(point, [scores_in(folder, BUNDLED)]), _of(point, ours)]
        rows.append([f"{value_of(point, what):g}", *cells])
    return _markdown([what, *columns], rows)


def _of(point: Point, found: Sequence[Mapping]) -> str:
    values = [scores[point].correct for scores in found if point in scores]
    return spread(values) if values else NOT_RUN


def _finished(folder: Path, variant: str, seeds: int) -> list[str]:
    """Return the runs of a variant whose model is there."""
    names = [Run(variant=variant, seed=seed).name for seed in range(seeds)]
    return [name for name in names if (folder / "models" / name / "config.json").is_file()]


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table; rows that are shorter than the head are filled with nothing."""
    filled = [[*row, *[""] * (len(head) - len(row))] for row in rows]
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *filled]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
