"""What clips of the released models take, as `lumos generate --dry-run` reckons it: the table of README.md.

No weights are read; the published shapes are enough.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lumos.cli.generation.estimate import Estimate, estimate
from lumos.cli.jobs.outputs import PlainFolder
from lumos.cli.jobs.runner import Job, plan_jobs
from lumos.cli.models.door import find_model
from lumos.hub.models import LUMINA_REPO
from lumos.lumina_video.settings import MADE_FOR
from xllmx.ranks.machines import Machines

GPUS = ("H200", "A100", "RTX 4090")
NUM_GPUS = 8
"""Of the first kind, for a whole benchmark."""
LISTS = {True: ("GenEval", 553 * 4), False: ("VBench", (944 - 75) * 5 + 75 * 25)}
"""Whether images are made -> a benchmark and its outputs."""

ROWS: tuple[tuple[str, Mapping[str, Any]], ...] = (
    *((f"{size}/stage-1-image", {}) for size in ("1B", "3B")),
    *((f"{size}/stage-2-joint", {}) for size in ("1B", "3B")),
    *((f"{size}/stage-2-joint-384p", {}) for size in ("1B", "3B")),
    *(
        (LUMINA_REPO, {**MADE_FOR[name], "preset": name})
        for name in ("f16F64R512-MultiScale", "f24F96R960", "f24F96R960-MultiScale")
    ),
)
"""Model -> settings other than its own."""


def table() -> str:
    """Return the table in Markdown."""
    seconds = " | ".join(f"s on one {gpu}" for gpu in GPUS)
    lines = [
        f"| model | makes | passes | TFLOP | GiB | {seconds} | a benchmark on {NUM_GPUS} {GPUS[0]} |",
        f"|{'---|' * (6 + len(GPUS))}",
    ]
    return "\n".join([*lines, *(_row(name, given) for name, given in ROWS)])


def reckoned(name: str, given: Mapping[str, Any], *, gpu: str) -> Estimate:
    """Return what one clip of a released model takes, whether the model is here or not."""
    model = find_model(name, Path("no-checkpoints"), device="cpu", dtype="bfloat16", absent=True)
    recipe = model.recipe(given)
    suffix = "png" if recipe.settings_for(given, image=None).num_output_frames == 1 else "mp4"
    plan = plan_jobs([Job(name=f"clip.{suffix}", prompt="A kite")], PlainFolder(Path("no-outputs")), recipe)
    return estimate(model, plan, machines=Machines(gpu=gpu))


def _row(name: str, given: Mapping[str, Any]) -> str:
    found = {gpu: reckoned(name, given, gpu=gpu) for gpu in GPUS}
    one, settings = found[GPUS[0]], found[GPUS[0]].clips[0].settings
    is_image = settings.num_output_frames == 1
    makes = f"{settings.width}x{settings.height}" + ("" if is_image else f", {settings.num_output_frames} frames")
    numbers = [f"{one.costs[0].passes}", f"{one.costs[0].flops / 1e12:,.0f}", f"{one.memory.peak / 2**30:.1f}"]
    numbers += [_number(each.seconds or 0.0) for each in found.values()]
    benchmark, outputs = LISTS[is_image]
    hours = (one.seconds or 0) * outputs / NUM_GPUS / 3600
    model = f"{name}, {given['preset']}" if given else name
    return f"| {model} | {makes} | {' | '.join(numbers)} | {benchmark}, {outputs:,}: {_number(hours)} h |"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}" if value < 10 else f"{value:.0f}"
