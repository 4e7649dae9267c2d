"""Curves of training runs from their metrics.jsonl: `python -m xllmx.plot RUN [RUN ...] --out curves.png`.

One panel a quantity: the loss of every stream, that of every frame (`STREAM/frame_0`, ...) over the steps and, of the
last evaluation, over the frames, and whatever else the task measures. Training is a line, smoothed over its own faint
trace; evaluation has dots. With `--spread` runs that differ in their last number alone (tube-0, tube-1) are one curve,
their mean, in a band from the lowest to the highest. Without `--out` the losses of training are written as a table.
"""

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from xllmx.disk.files import atomic_path
from xllmx.disk.place import check_file, inputs_of
from xllmx.run.exit_status import status_of
from xllmx.run.option_parser import OptionParser
from xllmx.run.reporting.metrics import read_metrics

KINDS = ("train", "eval")
_COLUMNS = 3
_TABLE_ROWS = 12
_TABLE_COLUMNS = 5
_EACH_FRAME = "loss of each frame"


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One quantity of one run over its steps."""

    panel: str
    """The quantity: where it is drawn."""
    label: str
    """Run, stream or frame, to tell it from the other curves of its panel; the same for training and evaluation."""
    kind: str
    """train or eval."""
    steps: tuple[float | int, ...]
    """Steps at which it was measured, or what else `across` says."""
    values: tuple[float | int, ...]
    """What was measured there."""
    across: str = "step"
    """What is along the axis."""
    band: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    """Lowest and highest value at every step, where the values are means over runs."""
    is_share: bool = False
    """Whether the values are shares of a whole: drawn from 0 to 1, so that small differences look small."""


def read_curves(runs: Sequence[Path]) -> list[Curve]:
    """Return the curves of some runs' folders, labelled by run where there are several.

    Raises:
        ValueError: a folder without metrics.jsonl, or without a row in it.
    """
    return [curve for run in runs for curve in _of_run(run, prefix=f"{run.name} " if len(runs) > 1 else "")]


def read_spread(runs: Sequence[Path]) -> list[Curve]:
    """Return the curves of some runs' folders, those of one name but for its last number as one with a band.

    The losses of frames are over frames alone.

    Raises:
        ValueError: as `read_curves`.
    """
    found: dict[tuple[str, str, str], list[Curve]] = {}
    for run in runs:
        for curve in _of_run(run, prefix=f"{without_number(run.name)} "):
            if curve.across != "step" or not curve.panel.startswith(_EACH_FRAME):
                found.setdefault((curve.panel, curve.label, curve.kind), []).append(curve)
    return [merged(curves) for curves in found.values()]


def without_number(name: str) -> str:
    """Return a run's name without the number it ends with, that of its seed.

    >>> without_number("tube-0"), without_number("tube"), without_number("7")
    ('tube', 'tube', '7')
    """
    return re.sub(r"[-_]?\d+$", "", name) or name


def merged(curves: Sequence[Curve]) -> Curve:
    """Return the mean of one quantity over several runs, at the steps that all of them have, with its band."""
    points = [dict(zip(curve.steps, curve.values, strict=True)) for curve in curves]
    steps = tuple(step for step in curves[0].steps if all(step in one for one in points))
    values = [[one[step] for one in points] for step in steps]
    band = (tuple(map(min, values)), tuple(map(max, values))) if len(curves) > 1 else None
    return replace(curves[0], steps=steps, values=tuple(sum(one) / len(one) for one in values), band=band)


def _of_run(run: Path, *, prefix: str) -> list[Curve]:
    """Return the curves of one run, labels beginning with `prefix`."""
    if not (run / "metrics.jsonl").is_file():
        raise ValueError(f"{run} has no metrics.jsonl; give the trainer.run_dir of a training run")
    rows = {kind: read_metrics(run, kind) for kind in KINDS}
    if not rows["train"]:
        raise ValueError(f"{run / 'metrics.jsonl'} holds no row of training yet; wait for trainer.log_every steps")
    curves = [curve for kind in KINDS for curve in _curves_of(rows[kind], kind, prefix=prefix)]
    return [*curves, *_over_frames(rows["eval"], prefix=prefix)]


def _over_frames(rows: Sequence[dict[str, Any]], *, prefix: str) -> list[Curve]:
    """Return the loss of each frame at the last evaluation, a curve for each stream that has several frames."""
    frames: dict[str, dict[int, float]] = {}
    for name, value in rows[-1].items() if rows else ():
        if frame := re.fullmatch(r"(.*)/frame_(\d+)", name):
            frames.setdefault(frame[1], {})[int(frame[2])] = value
    return [
        Curve(
            panel=f"{_EACH_FRAME}, at the end",
            label=f"{prefix}{stream}",
            kind="eval",
            steps=tuple(sorted(losses)),
            values=tuple(losses[index] for index in sorted(losses)),
            across="frame",
        )
        for stream, losses in frames.items()
        if len(losses) > 1
    ]


def _curves_of(rows: Sequence[dict[str, Any]], kind: str, *, prefix: str) -> list[Curve]:
    """Return a curve for each quantity that `_place` gives a panel."""
    found: dict[str, dict[int, float]] = {}
    for row in rows:
        for name, value in row.items():
            if name == "loss" or "/" in name:
                found.setdefault(name, {})[row["step"]] = value
    curves = []
    for name, points in found.items():
        if place := _place(name, found):
            panel, label = place[0], prefix + place[1]
            steps, values = tuple(points), tuple(points.values())
            curves.append(Curve(panel=panel, label=label, kind=kind, steps=steps, values=values))
    return curves


def _place(name: str, found: Mapping[str, dict[int, float]]) -> tuple[str, str] | None:
    """Return panel and label of a quantity; None for what another curve shows (loss over all streams, a lone frame)."""
    stream, _, quantity = name.rpartition("/")
    if quantity == "loss":
        return ("loss", stream or "all") if stream or len(found) == 1 else None
    if frame := re.fullmatch(r"frame_(\d+)", quantity):
        return (f"{_EACH_FRAME}, {stream}", f"frame {frame[1]}") if f"{stream}/frame_1" in found else None
    return (quantity, stream) if found[name] != found.get(f"{stream}/loss") else None


def panels_of(curves: Sequence[Curve]) -> dict[str, list[Curve]]:
    """Return the curves of each panel, the loss first."""
    panels: dict[str, list[Curve]] = {"loss": []}
    for curve in curves:
        panels.setdefault(curve.panel, []).append(curve)
    return {name: members for name, members in panels.items() if members}


def smoothed(values: Sequence[float], width: int) -> list[float]:
    """Return the mean of each value and up to `width - 1` before it."""
    windows = (values[max(0, end - width) : end] for end in range(1, len(values) + 1))
    return [sum(window) / len(window) for window in windows]


def table(curves: Sequence[Curve]) -> str:
    """Return the losses as lines of text, evenly spaced steps of training and the last."""
    losses = [curve for curve in curves if curve.panel == "loss" and curve.kind == "train"][:_TABLE_COLUMNS]
    steps = sorted({step for curve in losses for step in curve.steps})
    rows = min(_TABLE_ROWS, len(steps))
    shown = sorted({steps[round(k * (len(steps) - 1) / max(1, rows - 1))] for k in range(rows)})
    widths = [max(10, len(curve.label) + 2) for curve in losses]
    lines = ["  step" + "".join(f"{curve.label:>{width}}" for curve, width in zip(losses, widths, strict=True))]
    for step in shown:
        cells = [dict(zip(curve.steps, curve.values, strict=True)).get(step) for curve in losses]
        texts = ["" if cell is None else f"{cell:.4f}" for cell in cells]
        lines.append(f"{step:6.0f}" + "".join(f"{text:>{width}}" for text, width in zip(texts, widths, strict=True)))
    return "\n".join(lines)


def draw(curves: Sequence[Curve], out: Path) -> None:
    """Write the picture; the suffix of `out` says its format.

    Raises:
        ValueError: matplotlib is not installed, or knows no format of that suffix.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ValueError("curves are drawn by matplotlib; pip install -e '.[plot]', or leave --out out") from error
    panels = panels_of(curves)
    columns = min(_COLUMNS, len(panels))
    figure = Figure(figsize=(5 * columns, 3.4 * -(-len(panels) // columns)), layout="constrained")
    for place, (name, members) in enumerate(panels.items(), 1):
        axes = figure.add_subplot(-(-len(panels) // columns), columns, place)
        labels = list(dict.fromkeys(curve.label for curve in members))
        for curve in members:
            _draw_curve(axes, curve, colour=f"C{labels.index(curve.label) % 10}")
        axes.set_title(name.replace("_", " "))
        axes.set_xlabel(members[0].across)
        if any(curve.is_share for curve in members):
            axes.set_ylim(0, 1)
        axes.grid(alpha=0.3)
        if all(isinstance(step, int) for curve in members for step in curve.steps):
            axes.xaxis.get_major_locator().set_params(integer=True)  # type: ignore[call-arg]  # a MaxNLocator
        axes.legend(fontsize="small", loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2)
    suffix = out.suffix.removeprefix(".")
    if suffix not in figure.canvas.get_supported_filetypes():
        raise ValueError(f"--out {out} has no known picture format; let it end in .png, .svg or .pdf")
    with atomic_path(out) as temporary:
        figure.savefig(temporary, format=suffix, dpi=110)


def check_picture(out: Path, *, runs: Sequence[Path]) -> None:
    """Check that the picture can be written, and is none of the files that the curves are of; ValueError otherwise."""
    check_file(out, inputs=inputs_of({f"the metrics of {run}": run / "metrics.jsonl" for run in runs}))


def _draw_curve(axes: Any, curve: Curve, *, colour: str) -> None:
    if curve.band is not None:
        axes.fill_between(curve.steps, *curve.band, color=colour, alpha=0.15, linewidth=0)
    if curve.kind == "eval":
        label = f"{curve.label} (eval)" if curve.across == "step" else curve.label
        style = {"marker": "o", "markersize": 3, "linestyle": "--"}
        axes.plot(curve.steps, curve.values, color=colour, label=label, **style)
        return
    axes.plot(curve.steps, curve.values, color=colour, alpha=0.2, linewidth=0.8)
    axes.plot(curve.steps, smoothed(curve.values, 1 + len(curve.values) // 40), color=colour, label=curve.label)


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status (`xllmx.run.exit_status`)."""
    parser = OptionParser(prog="xllmx.plot", description=__doc__)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="folder of a training run (trainer.run_dir)")
    parser.add_argument("--spread", action="store_true", help="runs that differ in their last number alone as one")
    parser.add_argument(
        "--out", type=Path, help="picture to write (.png, .svg, .pdf); a table of the losses if not given"
    )

    def plot() -> int:
        options = parser.parse_args(arguments)
        curves = read_spread(options.runs) if options.spread else read_curves(options.runs)
        if options.out is not None:
            check_picture(options.out, runs=options.runs)
            draw(curves, options.out)
        sys.stdout.write(f"{table(curves) if options.out is None else options.out}\n")
        return 0

    return status_of("xllmx.plot", plot, words=arguments)


if __name__ == "__main__":
    sys.exit(main())
