"""What a training run of Lumina-Video would take: parameters, and of each task tokens, memory and FLOPs.

The model is built on the meta device, latents are only measured; nothing is written, no GPU is needed.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from lumos.cli.training.estimate.sharded_run import (
    ShardedRun,
    StreamSize,
    cycle_of,
    memory_lines,
    num_by_muon,
    size_lines,
    size_of,
)
from lumos.cli.training.run_config import LuminaVideoRunConfig
from lumos.lumina_video.config import LuminaVideoConfig
from lumos.lumina_video.cost import TEXT_TOKENS, num_tokens, pass_flops, training_bytes, training_flops
from lumos.lumina_video.data.latent_set import LatentSet
from lumos.lumina_video.dit import MultiScaleNextDiT
from lumos.lumina_video.network.patches import Size
from lumos.lumina_video.scale import Scale
from lumos.lumina_video.sizes import Compression
from lumos.lumina_video.training.items.clip_files import ClipFiles
from lumos.lumina_video.training.items.encoders import require_vae
from lumos.lumina_video.training.items.file_lists import is_file_list
from lumos.lumina_video.training.items.image_files import ImageFiles
from lumos.lumina_video.training.items.latent_stream import LatentStream
from lumos.lumina_video.training.items.one_vae import OneVAE
from lumos.lumina_video.training.items.samples import num_frames_of, sides_of
from lumos.lumina_video.training.model_settings import read_model_config, with_parts, without_checkpoint
from lumos.lumina_video.training.stated_model import check_scales
from lumos.lumina_video.training.task import AnyData
from lumos.lumina_video.training.task_config import LuminaVideoTaskConfig, ScaleTask
from lumos.media.sets.data_yaml import MissingClipsError
from xllmx.lora import add_lora
from xllmx.ranks.parallel import ParallelConfig

_ASSUMED_PX, _ASSUMED_FRAMES = 256, 32


@dataclass(frozen=True, kw_only=True)
class TaskEstimate(StreamSize):
    """One task of a run."""

    scale: Scale
    """Its scale."""
    size: Size
    """(T, H, W) of its largest latent after the cut."""

    @property
    def tokens(self) -> int:
        """Of one item."""
        return num_tokens(self.size, self.scale)


@dataclass(frozen=True, kw_only=True)
class LuminaVideoEstimate(ShardedRun):
    """A run of Lumina-Video, measured but not begun."""

    model: LuminaVideoConfig
    """The model."""
    tasks: Mapping[str, TaskEstimate]
    """The tasks."""

    @property
    def stream_sizes(self) -> Mapping[str, TaskEstimate]:
        """The tasks."""
        return self.tasks

    def step_flops(self, name: str) -> int:
        """Return the FLOPs on one GPU that a task adds to a step it is in (what MFU counts)."""
        task, frozen = self.tasks[name], self.trainable < self.num_parameters
        one = training_flops(self.model, task.size, scale=task.scale, frozen=frozen)
        return task.batch_size * task.accumulation * one

    def redone_flops(self, name: str) -> int:
        """Return the FLOPs that checkpointing adds to such a step; 0 without it, or where it is selective."""
        task = self.tasks[name]
        one = pass_flops(self.model, task.size, scale=task.scale)
        return task.batch_size * task.accumulation * one if self.parallel.activation_checkpointing is True else 0

    def batch_bytes(self, *, checkpointing: bool) -> tuple[int, int]:
        """Return the bytes that the largest batch keeps for its backward; there is no head to speak of."""
        kept = [
            training_bytes(
                self.model,
                task.batch_size * task.tokens,
                checkpointing=checkpointing,
                text_tokens=task.batch_size * TEXT_TOKENS,
                precision=self.precision,
            )
            for task in self.tasks.values()
        ]
        return max(kept), 0


def estimate_tasks(
    config: LuminaVideoRunConfig,
    *,
    num_gpus: int = 1,
    gpus_per_machine: int | None = None,
    size: tuple[int, int] | None = None,
) -> LuminaVideoEstimate:
    """Return what a run would take on so many GPUs.

    Args:
        config: the run's settings.
        num_gpus: processes, one a GPU.
        gpus_per_machine: of one machine; None: all are of one.
        size: (width, height) in pixels to assume for every task; None measures the data, and assumes a square of
            `image_size` (or 256) for those that are not there, and for images that are no latents yet.

    Raises:
        ValueError: no model, no data or such as training refuses, batches that the GPUs do not divide, another engine,
            or Muon where weights are cut.
    """
    shards = num_shards(config.parallel, num_gpus, gpus_per_machine=gpus_per_machine)
    config.task.check_data()
    model_config = read_model_config(without_checkpoint(config.task))
    with torch.device("meta"):
        model = MultiScaleNextDiT(model_config)
    if config.lora.rank:
        add_lora(model, config.lora)
    settings = config.engine_settings.fitted(num_gpus)
    accumulation = settings.accumulation_of(config.task.tasks, num_gpus)
    check_scales(config.task, model_config)
    held_out = config.task.eval_tasks if config.trainer.evaluates else {}
    vae = _vae_of(config.task, model_config, held_out=held_out)
    compression = vae.compression
    measured = {} if size is not None else _all_measured(config.task, model_config, vae, held_out=held_out)
    return LuminaVideoEstimate(
        model=model_config,
        units=_units(model),
        trainable=sum(weight.numel() for weight in model.parameters() if weight.requires_grad),
        by_muon=num_by_muon(list(model.layers), config.optim, config.parallel, num_gpus=num_gpus),
        num_gpus=num_gpus,
        shards=shards,
        accumulates=sum(accumulation[name] for name in config.task.tasks) > 1,
        cycle=cycle_of(settings, config.task.tasks),
        trainer=settings,
        parallel=config.parallel,
        tasks={
            name: _task(
                task,
                size,
                data=measured.get(name),
                vae=compression,
                stream=size_of(
                    measured.get(name),
                    batch_size=settings.batch_size[name],
                    accumulation=accumulation[name],
                    num_gpus=num_gpus,
                    trainer=settings,
                ),
            )
            for name, task in config.task.tasks.items()
        },
    )


def _units(model: MultiScaleNextDiT) -> dict[str, int]:
    """Return the parameters of each block, and of the rest."""
    units = {
        f"block {index}": sum(weight.numel() for weight in layer.parameters())
        for index, layer in enumerate(model.layers)
    }
    return units | {"rest": sum(weight.numel() for weight in model.parameters()) - sum(units.values())}


def num_shards(parallel: ParallelConfig, num_gpus: int, *, gpus_per_machine: int | None = None) -> int:
    """Return how many GPUs share one copy of the state.

    `gpus_per_machine` None is one machine for all.

    Raises:
        ValueError: another engine than ours, or a number that the replicas do not divide.
    """
    if parallel.engine != "native":
        rule = "whose memory the dry run does not know"
        raise ValueError(f"parallel.engine is {parallel.engine}, {rule}; leave it out of the dry run")
    replicas = parallel.replicas or 1
    if num_gpus < 1 or num_gpus % replicas:
        raise ValueError(f"--gpus {num_gpus} must be a positive multiple of parallel.replicas={replicas}; change one")
    if not parallel.is_sharded(num_gpus):
        return 1
    a_machine = min(gpus_per_machine or num_gpus, num_gpus)
    return num_gpus // parallel.copies(num_gpus, a_machine=None if num_gpus % a_machine else a_machine)


def report(run: LuminaVideoEstimate) -> str:
    """The estimate as text for a person."""
    lines = [*size_lines(run, f"{run.model.n_layers} blocks"), "", *_task_lines(run), ""]
    return "\n".join([*lines, *memory_lines(run, not_counted=", the frozen text encoder (the released one: 5 GiB)")])


def _task(
    task: ScaleTask,
    size: tuple[int, int] | None,
    *,
    data: AnyData | None,
    vae: Compression,
    stream: StreamSize,
) -> TaskEstimate:
    if isinstance(data, LatentStream | ClipFiles):
        found = max(data.sizes.values, key=math.prod)
    else:
        width, height = size or (task.image_size or _ASSUMED_PX,) * 2
        frames = (task.max_frames or _ASSUMED_FRAMES) // vae.temporal
        rows, columns = height // vae.spatial, width // vae.spatial
        found = num_frames_of(frames, task, frames_per_latent=vae.temporal), *sides_of(rows, columns, task)
    return TaskEstimate(scale=task.scale, size=found, **vars(stream))


def _vae_of(config: LuminaVideoTaskConfig, model: LuminaVideoConfig, *, held_out: Mapping[str, ScaleTask]) -> OneVAE:
    """Return the VAE of a run; a released one that is not here yet is taken for the published one.

    Raises:
        ValueError: there is none, and a task has files to encode; or it has other channels than the model.
    """
    folder = with_parts(without_checkpoint(config)).vae
    for name, task in {**config.tasks, **held_out}.items():
        if (folder is None or Path(folder).is_dir()) and is_file_list(task):
            require_vae(folder, name, media_type=task.media_type, channels=model.in_channels)
    return OneVAE(folder if folder is not None and Path(folder).is_dir() else None)


def _all_measured(
    config: LuminaVideoTaskConfig, model: LuminaVideoConfig, vae: OneVAE, *, held_out: Mapping[str, ScaleTask]
) -> dict[str, AnyData | None]:
    """Return the data of each task; those of `held_out` cost no step, and are refused as training refuses them."""
    measured = {name: _measured(name, task, model, vae) for name, task in config.tasks.items()}
    for name, task in held_out.items():
        _measured(name, task, model, vae, held_out=True)
    return measured


def _measured(
    name: str, task: ScaleTask, model: LuminaVideoConfig, vae: OneVAE, *, held_out: bool = False
) -> AnyData | None:
    """Return the data of a task as training takes them, one clip of them read; None where they are not there yet."""
    if not Path(task.data).exists():
        return None
    try:
        if is_file_list(task) and task.media_type == "video":
            return ClipFiles(name, task, vae=vae.compression, held_out=held_out)
        if is_file_list(task):
            return ImageFiles(task, held_out=held_out)
        latents = LatentSet(task.data)
        vae.require(latents.vae, said_by=task.data)
        stream = LatentStream(name, latents, task, model=model, held_out=held_out)
        stream.check_rate()
        return stream
    except MissingClipsError:
        return None


def _task_lines(run: LuminaVideoEstimate) -> list[str]:
    lines = [
        "task          scale   batch a GPU   clips      T x H x W    tokens   TFLOP a GPU   TFLOP of all   of steps"
    ]
    for name, task in run.tasks.items():
        grid, clips = "x".join(map(str, task.size)), "assumed" if task.num_clips is None else f"{task.num_clips:,}"
        local = f"{task.batch_size} x {task.accumulation}" if task.accumulation > 1 else f"{task.batch_size}"
        flops = run.step_flops(name)
        lines.append(
            f"{name:14}{task.scale!s:>5}{local:>14}{clips:>8}{grid:>15}{task.tokens:>10,}{flops / 1e12:>14,.2f}"
            f"{flops * run.num_gpus / 1e12:>15,.1f}{run.share_of_steps(name):>11.0%}"
        )
    return lines
