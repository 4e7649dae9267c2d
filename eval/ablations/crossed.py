"""One model's held-out loss under every kind of masks, so that models trained with different ones can be compared."""

import json
from dataclasses import replace
from pathlib import Path

import torch

from eval.ablations.plan import BASE, MASKED, VARIANTS
from lumos.cli.training.training_run import RunConfig, load_run
from lumos.hub.bundled import bundled
from lumos.lumos1.training.task import LumosTask
from xllmx.optimisation.precision import resolve_precision
from xllmx.ranks.engine import build_engine
from xllmx.run.reporting.held_out import HeldOut
from xllmx.safe.json_text import read_object

MASKS = {masks: VARIANTS[variant].partition(",")[0] for variant, masks in MASKED.items()}
"""Kind of masks -> what a table calls it."""


def losses_under(model: Path, clips: Path, masks: str) -> float:
    """Return the mean cross entropy over the codes that masks of one kind hide in held-out clips, in nats.

    The clips and the ratios' distribution are those of the trainings' own evaluation; masks are drawn with seed 0 for
    every run, so that all see the same ones. It is measured on the CPU.

    Args:
        model: a trained model of Lumos-1.
        clips: folder of the coded clips.
        masks: one of `MASKS`.
    """
    given = {"task.init_from": model, "task.eval_data.video": clips, "task.data.video": clips}
    words = [f"{key}={value}" for key, value in {**given, "task.ardf.mask_type": masks}.items()]
    config = load_run(bundled() / "configs" / "ablations" / f"{BASE}.yaml", words)
    assert isinstance(config, RunConfig)
    task, device = LumosTask(replace(config.task, model={})), torch.device("cpu")  # the sizes are the model's own
    trainer = replace(config.trainer, precision=resolve_precision(config.trainer.precision, device))
    engine = build_engine(task, trainer, optim=config.optim, parallel=config.parallel, device=device)
    return HeldOut(task, trainer, device=device).means(engine)["video/loss"]


def all_losses(model: Path, clips: Path) -> str:
    """Return the losses under each of `MASKS`, as the text of a JSON file that `read_losses` reads."""
    return json.dumps({masks: losses_under(model, clips, masks) for masks in MASKS}, indent=1) + "\n"


def read_losses(path: Path) -> dict[str, float]:
    """Return the losses that a file of `all_losses` holds.

    Raises:
        ValueError: it holds something else; names it.
    """
    remedy = "delete it, and give the same command again"
    content = read_object(path, remedy=remedy)
    if set(content) != set(MASKS) or not all(isinstance(value, float) for value in content.values()):
        raise ValueError(f"{path} does not hold one loss of each of {', '.join(MASKS)}; {remedy}")
    return content
