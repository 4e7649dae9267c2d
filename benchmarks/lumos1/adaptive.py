"""`python -m benchmarks.lumos1.adaptive`: score on the shapes benchmark against model calls, for each adaptive setting.

Every variant makes the same prompts with the same seeds as exact sampling. The json grows variant by variant; run again
after a stop, or with more variants, it makes only what is missing. Fewer plain steps are the curve to beat.
"""

import argparse
import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.measure import seconds_of
from benchmarks.report import machine_facts, output_file
from eval.shapes.prompts import KINDS, Record, make_prompts
from eval.shapes.run import PipelineGenerator, evaluate, write_json
from eval.shapes.score import Result, summarise
from lumos.cli.jobs.record import model_hash
from lumos.hub.models import DEFAULT_MODEL, resolve
from lumos.lumos1.pipeline import LumosOutput, LumosPipeline
from lumos.lumos1.sampling.settings import resolve_settings
from xllmx.disk.files import atomic_path
from xllmx.run.exit_status import status_of
from xllmx.run.option_parser import OptionParser
from xllmx.safe.json_text import parse_json, read_object

ALLOWED_LOSS = 0.01
"""Of the overall score, for a variant to be proposed as `fast`."""

EXACT = "exact"
SINGLE: Mapping[str, Sequence[float]] = {
    "entropy_bound": (0.005, 0.02, 0.1, 0.5),
    "guidance_tolerance": (0.0016, 0.003, 0.016),
    "later_steps": (0.5, 0.25, 0.125),
}
"""Adaptive setting -> values, tried one by one."""
JOINT: Sequence[Mapping[str, float]] = (
    {"entropy_bound": 0.02, "guidance_tolerance": 0.003},
    {"entropy_bound": 0.1, "guidance_tolerance": 0.003},
    {"entropy_bound": 0.02, "guidance_tolerance": 0.016},
    {"entropy_bound": 0.02, "guidance_tolerance": 0.003, "later_steps": 0.5},
)
"""Settings tried together."""


class Counting:
    """A pipeline that remembers the model calls of all clips it made."""

    def __init__(self, pipeline: LumosPipeline) -> None:
        self._pipeline, self.settings_for = pipeline, pipeline.settings_for
        self.calls: list[int] = []

    def __call__(self, *arguments: Any, **settings: Any) -> LumosOutput:
        """Return the pipeline's output."""
        output = self._pipeline(*arguments, **settings)
        self.calls += output.model_calls
        return output


def variants(num_steps: int) -> dict[str, dict[str, Any]]:
    """Return settings by name: exact sampling, fewer plain steps, each adaptive setting by itself, some together."""
    found: dict[str, dict[str, Any]] = {EXACT: {}}
    for part in (2, 3, 4, 8):
        found[f"steps={num_steps // part}"] = {"num_inference_steps": num_steps // part}
    singles = [{name: value} for name, values in SINGLE.items() for value in values]
    for settings in [*singles, *JOINT]:
        found[" ".join(f"{name}={value:g}" for name, value in settings.items())] = dict(settings)
    return found


def asked_for(only: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return exact sampling and the variants asked for, each by its settings: `temperature=0.3 steps=16`.

    Raises ValueError for what is no setting of a generation.
    """
    found: dict[str, dict[str, Any]] = {EXACT: {}}
    for name in only:
        if name != EXACT:
            parts = [part.partition("=") for part in name.split()]
            found[name] = {"num_inference_steps" if key == "steps" else key: _value(text) for key, _, text in parts}
            resolve_settings({}, found[name])
    return found


def _value(text: str) -> Any:
    try:
        return parse_json(text, "it")
    except ValueError:
        return text


def measure(
    pipeline: LumosPipeline, records: Sequence[Record], settings: Mapping[str, Any], *, batch_size: int
) -> dict[str, Any]:
    """Return score, calls and time of one variant, with the verdict of every prompt."""
    counting = Counting(pipeline)
    results: list[Result] = []
    generator = PipelineGenerator(counting, settings=settings)
    seconds = seconds_of(lambda: results.extend(evaluate(records, generator, batch_size=batch_size)))
    return {
        "settings": dict(settings),
        "overall": summarise(results).overall,
        "calls": sum(counting.calls) / len(counting.calls),
        "seconds": round(seconds, 2),
        "correct": [int(result.verdict.correct) for result in results],
    }


def compared(row: Mapping[str, Any], exact: Mapping[str, Any]) -> dict[str, float]:
    """Return how many times fewer calls a variant makes, what it loses, and the standard error of that (paired)."""
    differences = [before - after for before, after in zip(exact["correct"], row["correct"], strict=True)]
    mean = sum(differences) / len(differences)
    variance = sum((one - mean) ** 2 for one in differences) / max(1, len(differences) - 1)
    return {
        "fewer": exact["calls"] / row["calls"],
        "loss": exact["overall"] - row["overall"],
        "error": math.sqrt(variance / len(differences)),
    }


def best(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the variant with the fewest calls of those that lose no more than `ALLOWED_LOSS`."""
    allowed = [name for name, row in rows.items() if compared(row, rows[EXACT])["loss"] <= ALLOWED_LOSS]
    return min(allowed, key=lambda name: rows[name]["calls"])


def report(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the table of all variants, by calls."""
    lines = [f"{'variant':62} {'calls':>7} {'fewer':>6} {'score':>6} {'loss':>7} {'+-':>6} {'seconds':>8}"]
    for name, row in sorted(rows.items(), key=lambda item: -item[1]["calls"]):
        found = compared(row, rows[EXACT])
        lines.append(
            f"{name:62} {row['calls']:7.1f} {found['fewer']:6.2f} {row['overall']:6.3f} {found['loss']:7.3f} "
            f"{found['error']:6.3f} {row['seconds']:8.1f}"
        )
    chosen = best(rows)
    fast = json.dumps(rows[chosen]["settings"])
    return "\n".join([*lines, f"fewest calls at a loss of at most {ALLOWED_LOSS}: {chosen}", f'"fast": {fast}'])


def draw(rows: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Draw the curve, score against calls, into the picture `path`."""
    from matplotlib.figure import Figure

    axes = (figure := Figure(figsize=(8, 5), layout="constrained")).subplots()
    for family in ("steps", *SINGLE, "together"):
        points = [(row["calls"], row["overall"]) for name, row in rows.items() if _family(name) in (family, EXACT)]
        if len(points) > 1:
            line = "none" if family == "together" else "-"
            axes.plot(*zip(*sorted(points), strict=True), marker="o", linestyle=line, label=family)
    axes.set(xlabel="model calls a clip (passes over a latent frame, each branch)", ylabel="overall score")
    axes.legend()
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format=path.suffix.removeprefix(".") or "png", dpi=120)


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status (`xllmx.run.exit_status`)."""
    return status_of("benchmarks.lumos1.adaptive", lambda: _main(_parser().parse_args(arguments)), words=arguments)


def _main(args: argparse.Namespace) -> int:
    """Make what is missing, print the table, draw the curve."""
    pipeline = LumosPipeline.from_pretrained(args.model)
    records = make_prompts(args.kind, args.num, args.seed)
    made_by = {"model": args.model, "weights": model_hash(resolve(args.model)), "kind": args.kind}
    made_by |= {"num": args.num, "seed": args.seed}
    stored = read_object(args.out, finite=False, remedy="delete it") if args.out.is_file() else {}
    rows = stored.get("rows", {}) if stored.get("made_by") == made_by else {}
    num_steps = resolve_settings(pipeline.defaults, {}).sampler.num_steps
    try:
        wanted = asked_for(args.only) if args.only else variants(num_steps)
    except ValueError as error:
        raise ValueError(f"--only: {error}") from error
    for name, settings in wanted.items():
        if name not in rows:
            rows[name] = measure(pipeline, records, settings, batch_size=args.batch_size)
            write_json(args.out, {"made_by": made_by, "machine": machine_facts(), "rows": rows})
            print(name, f"{rows[name]['overall']:.3f} at {rows[name]['calls']:.1f} calls", flush=True)
    print(report(rows))
    if args.plot:
        draw(rows, args.plot)
    return 0


def _family(name: str) -> str:
    names = [part.split("=")[0] for part in name.split()]
    return names[0] if len(names) == 1 else "together"


def _parser() -> argparse.ArgumentParser:
    parser = OptionParser(prog="python -m benchmarks.lumos1.adaptive", description=__doc__)
    parser.add_argument("--model", default=DEFAULT_MODEL, help="name, hub id or folder")
    parser.add_argument("--kind", choices=KINDS, default="t2v")
    parser.add_argument("--num", type=int, default=280, help="prompts")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch-size", type=int, default=28)
    parser.add_argument(
        "--only", nargs="+", metavar="VARIANT", help='these beside "exact", e.g. "temperature=0.3 steps=16"'
    )
    parser.add_argument("--out", type=output_file, default=Path("benchmarks/results/adaptive.json"), help="json file")
    parser.add_argument("--plot", type=output_file, help="picture of the curve (needs matplotlib)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
