"""Pictures of the ablations: losses over steps and frames, by the code of `lumos plot`, and the sweeps of sampling."""

from pathlib import Path

from eval.ablations.jobs import scores_in
from eval.ablations.plan import BASE, BUNDLED, SWEEPS, VARIANTS, Point, Run, value_of
from xllmx.plot import Curve, draw, merged, read_spread
from xllmx.run.reporting.metrics import read_metrics


def draw_all(folder: Path, *, seeds: int) -> list[Path]:
    """Write `losses.png` and `sweeps.png` of what there is; return those that were written.

    Raises:
        ValueError: matplotlib is not installed.
    """
    trained = [folder / "runs" / Run(variant=name, seed=seed).name for name in VARIANTS for seed in range(seeds)]
    begun = [run for run in trained if (run / "metrics.jsonl").is_file() and read_metrics(run)]
    pictures = {"losses.png": read_spread(begun) if begun else [], "sweeps.png": sweep_curves(folder, seeds=seeds)}
    for name, curves in pictures.items():
        if curves:
            draw(curves, folder / name)
    return [folder / name for name, curves in pictures.items() if curves]


def sweep_curves(folder: Path, *, seeds: int) -> list[Curve]:
    """Return the share of clips that are as asked over each setting that is varied, of base and the bundled model."""
    models = {BUNDLED: [BUNDLED], BASE: [Run(variant=BASE, seed=seed).name for seed in range(seeds)]}
    found = []
    for what, points in SWEEPS.items():
        for label, names in models.items():
            several = [one for name in names if (one := _curve(folder, name, points, what=what, label=label)).steps]
            found += [merged(several)] if several else []
    return found


def _curve(folder: Path, name: str, points: tuple[Point, ...], *, what: str, label: str) -> Curve:
    """Return the scores of one model at those points that are there."""
    scores = scores_in(folder, name)
    there = [point for point in points if point in scores]
    return Curve(
        panel=f"clips as asked over {what}",
        label=label,
        kind="eval",
        steps=tuple(value_of(point, what) for point in there),
        values=tuple(scores[point].correct for point in there),
        across=what,
        is_share=True,
    )
