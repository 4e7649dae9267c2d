"""A few steps of the trainer itself on random clips: their time, and their memory against what --dry-run says."""

from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from benchmarks.device.findings import Check, Findings, Row
from benchmarks.device.place import Place
from benchmarks.lumos1.training import fields_of, sample_of
from benchmarks.lumos1.work import Work
from lumos.cli.training.estimate.dry_run import estimate_run
from lumos.cli.training.training_run import RunConfig, build_task
from lumos.lumos1.data.writing import ClipWriter
from lumos.lumos1.training.task import LumosTaskConfig
from xllmx.ranks.parallel import ParallelConfig
from xllmx.trainer import Trainer, TrainerConfig

_STEPS = 6
_MEMORY_MOST = 0.25
"""Of the reckoned peak: more or less than that, and --dry-run misleads."""


class Unsaved(Trainer):
    """A trainer that keeps nothing: its last checkpoint would take longer than its steps."""

    def save(self, *, wait: bool = True) -> None:
        """Do nothing."""


def training_run(place: Place) -> Findings:
    """Return time, MFU and memory of a step without and with recomputed activations."""
    found, work = Findings(), place.sizes.training
    for checkpointing in (False, True):
        with TemporaryDirectory() as folder:
            config = config_of(work, Path(folder), device=place.device, checkpointing=checkpointing)
            reckoned = estimate_run(config)
            row = _train(config, place.device)
        name = "recomputed" if checkpointing else "kept"
        best = place.best_ms(reckoned.step_flops("video") + reckoned.redone_flops("video"))
        peak, predicted = row["peak_memory_bytes"], reckoned.peak_bytes(checkpointing=checkpointing)
        text = f"training step, activations {name}"
        found.rows.append(Row(name=text, value=1e3 * row["step_time_s"], unit="ms", best=best))
        if place.is_cuda:  # elsewhere the peak is that of the whole process
            text = f"memory of it, activations {name}"
            found.rows.append(Row(name=text, value=peak / 2**30, unit="GiB", best=predicted / 2**30))
            if place.sizes.is_released:  # a small one's is all libraries' workspaces
                text = f"memory as --dry-run says, activations {name}"
                found.checks.append(memory_check(text, peak=peak, predicted=predicted))
    if not place.is_cuda:
        found.left_out.append("memory against --dry-run: it is reckoned for GPUs")
    return found


def memory_check(name: str, *, peak: float, predicted: float) -> Check:
    """Return whether the memory of a run is what was reckoned."""
    return Check(name=name, found=abs(peak / predicted - 1), most=_MEMORY_MOST)


def config_of(work: Work, folder: Path, *, device: torch.device, checkpointing: bool) -> RunConfig:
    """Return the settings of the run; its clips are written into the folder."""
    with ClipWriter(folder / "clips") as writer:
        for _ in range(4):
            writer.add(sample_of(work, work.num_latent_frames).clip)
    return RunConfig(
        trainer=TrainerConfig(
            run_dir=folder / "run", max_steps=_STEPS, log_every=2, save_every=0, progress=False, device=str(device)
        ),
        parallel=ParallelConfig(activation_checkpointing=checkpointing),
        task=LumosTaskConfig(model=fields_of(work), data={"video": str(folder / "clips")}),
    )


def _train(config: RunConfig, device: torch.device) -> dict[str, float]:
    """Return the last row of metrics; the steps of the first row, in which all is warmed up, are not in it."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    return Unsaved(build_task(config), config.trainer, config.optim, config.parallel).fit().metrics
