"""What a training run would take, before it takes it: parameters, sequences, memory and FLOPs for so many GPUs.

The model is built on the meta device and data sets are only measured; nothing is written, no GPU is needed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from torch import nn

from lumos.cli.training.data_check import how_to_make, missing_data
from lumos.cli.training.estimate.lumina_dry_run import estimate_tasks, num_shards
from lumos.cli.training.estimate.lumina_dry_run import report as lumina_video_report
from lumos.cli.training.estimate.run_time import time_lines
from lumos.cli.training.estimate.sharded_run import (
    ShardedRun,
    StreamSize,
    cycle_of,
    memory_lines,
    num_by_muon,
    size_lines,
    size_of,
)
from lumos.cli.training.run_config import AnyRun, RunConfig
from lumos.cli.training.training_run import build_task
from lumos.lumos1.config import LumosConfig
from lumos.lumos1.data.clips import ClipDataset
from lumos.lumos1.data.shards import SHAPE_COLUMNS
from lumos.lumos1.model.modeling import LumosForCausalLM
from lumos.lumos1.sequence import grid_of, num_latent_frames
from lumos.lumos1.training.cost import (
    BatchLoad,
    SequenceShape,
    activation_bytes,
    expected_masked_share,
    loss_bytes,
    recomputed_flops,
    training_flops,
)
from lumos.lumos1.training.items.clip_stream import ClipStream
from lumos.lumos1.training.items.cutting import cut_shapes
from lumos.lumos1.training.model_settings import without_checkpoint
from lumos.lumos1.training.stream_report import report_stream
from lumos.lumos1.training.task import LumosTask
from lumos.media.sets.data_yaml import MissingClipsError
from xllmx.data.kinds import Kinds
from xllmx.ranks.machines import Machines

ASSUMED_SIZE = (448, 256)
"""Width and height of clips that are not there yet: 256p."""
ASSUMED_PROMPT_IDS = 160
"""Ids of the prompt of such a clip: the fixed text and a caption of some 100 tokens."""
ASSUMED_VIDEO = (12, 2)
"""Frames per second and seconds of such a video, where task.duration_s does not say."""


@dataclass(frozen=True, kw_only=True)
class Stream(StreamSize):
    """One stream of a run: how long its samples are, and what its steps cost."""

    median: SequenceShape
    """The clip of median length."""
    longest: SequenceShape
    """The longest clip."""
    masked_share: float
    """Of its codes, the expected part that carries the loss."""

    def load(self, *, longest: bool = False) -> BatchLoad:
        """Return the load of one batch of median, or of longest, clips."""
        shape = self.longest if longest else self.median
        return BatchLoad.of(shape, batch_size=self.batch_size, masked_share=self.masked_share)


@dataclass(frozen=True, kw_only=True)
class RunEstimate(ShardedRun):
    """A run of Lumos-1, measured but not begun."""

    model: LumosConfig
    """The model."""
    streams: Mapping[str, Stream]
    """The data, by stream."""
    loss_chunk: int | None
    """Rows of logits at a time, where configured."""

    @property
    def head_trained(self) -> bool:
        """Whether the head has a gradient (LoRA leaves it frozen)."""
        return self.trainable == self.num_parameters

    @property
    def stream_sizes(self) -> Mapping[str, Stream]:
        """The streams."""
        return self.streams

    def batch_bytes(self, *, checkpointing: bool) -> tuple[int, int]:
        """Return the largest (activations, head and loss) of a batch on one GPU, over the streams."""
        loads = [stream.load(longest=True) for stream in self.streams.values()]
        kept = [
            activation_bytes(self.model, load, checkpointing=checkpointing, precision=self.precision) for load in loads
        ]
        head = loss_bytes(self.model, chunk=self.loss_chunk, head_trained=self.head_trained, precision=self.precision)
        return max(kept), head

    def step_flops(self, name: str) -> int:
        """Return the FLOPs of a step on one GPU that the model needs (what MFU counts)."""
        stream = self.streams[name]
        return stream.accumulation * training_flops(self.model, stream.load(), frozen=not self.head_trained)

    def redone_flops(self, name: str) -> int:
        """Return the FLOPs of a step on one GPU that checkpointing adds; 0 without it, or where it is selective."""
        stream, redone = self.streams[name], self.parallel.activation_checkpointing is True
        return stream.accumulation * recomputed_flops(self.model, stream.load()) if redone else 0


def report_run(
    config: AnyRun, *, machines: Machines, size: tuple[int, int] | None = None, num_clips: int | None = None
) -> str:
    """What a run of either model would take on these machines, as text for a person; see `estimate_run`.

    `num_clips` is the length of data that is not there.
    """
    num_gpus, together = machines.num_gpus, machines.gpus_per_machine
    if isinstance(config, RunConfig):
        lumos1 = estimate_run(config, num_gpus=num_gpus, gpus_per_machine=together, size=size)
        run: ShardedRun = lumos1
        lines = [report(lumos1), "", *_flops_lines(lumos1, machines)]
    else:
        lumina = estimate_tasks(config, num_gpus=num_gpus, gpus_per_machine=together, size=size)
        run = lumina
        lines = [lumina_video_report(lumina)]
    lines += ["", *time_lines(run, machines, num_clips=num_clips)]
    return "\n".join(lines if size is not None else [*lines, *_missing_lines(config)])


def estimate_run(
    config: RunConfig,
    *,
    num_gpus: int = 1,
    gpus_per_machine: int | None = None,
    size: tuple[int, int] | None = None,
) -> RunEstimate:
    """Return what a run would take on so many GPUs.

    Args:
        config: the run's settings; of a released checkpoint that is not here the published shape is taken.
        num_gpus: processes, one a GPU.
        gpus_per_machine: of one machine; None: all are of one.
        size: (width, height) in pixels to assume for every stream; None measures the data sets, and assumes 448x256
            for those that are not there.

    Raises:
        ValueError: no model, no data, a number of GPUs that the replicas do not divide, another engine, or Muon where
            weights are cut.
    """
    shards = num_shards(config.parallel, num_gpus, gpus_per_machine=gpus_per_machine)
    if not config.task.data:
        raise ValueError("task.data names no stream; give for example task.data.video=configs/data/video.yaml")
    config = replace(config, task=without_checkpoint(config.task), trainer=config.trainer.fitted(num_gpus))
    task, trainer = build_task(config), config.trainer
    model, cycle = task.build_model(), cycle_of(trainer, config.task.data)
    accumulation = trainer.accumulation_of(cycle.names, num_gpus)
    return RunEstimate(
        model=task.model_config,
        units=units_of(model),
        trainable=sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad),
        by_muon=num_by_muon(task.shard_units(model), config.optim, config.parallel, num_gpus=num_gpus),
        num_gpus=num_gpus,
        shards=shards,
        accumulates=max(accumulation.values()) > 1 or len(trainer.together) > 1,
        cycle=cycle,
        trainer=trainer,
        parallel=config.parallel,
        streams={
            name: _stream(config, task, name, accumulation=accumulation[name], num_gpus=num_gpus, size=size)
            for name in cycle.names
        },
        loss_chunk=config.task.loss_chunk,
    )


def units_of(model: nn.Module) -> dict[str, int]:
    """Return the parameters of the embedding, of each block and of the head with the final norm."""
    assert isinstance(model, LumosForCausalLM)
    parts: dict[str, list[nn.Module]] = {"embedding": [model.model.embed_tokens]}
    parts |= {f"block {index}": [block] for index, block in enumerate(model.model.layers)}
    parts["head"] = [model.model.norm, model.lm_head]
    return {name: sum(p.numel() for part in members for p in part.parameters()) for name, members in parts.items()}


def report(run: RunEstimate) -> str:
    """The estimate as text for a person."""
    blocks = sum(number for name, number in run.units.items() if name.startswith("block"))
    embedding, head = run.units["embedding"], run.units["head"]
    parts = f"{run.model.num_hidden_layers} blocks {blocks:,}, embedding {embedding:,}, head {head:,}"
    return "\n".join([*size_lines(run, parts), "", *_stream_lines(run), "", *memory_lines(run, not_counted="")])


# --- measuring --------------------------------------------------------------------------------------------------------


def _stream(
    config: RunConfig, task: LumosTask, name: str, *, accumulation: int, num_gpus: int, size: tuple[int, int] | None
) -> Stream:
    if name not in config.task.data:
        raise ValueError(f"trainer.schedule names {name!r}; task.data has {', '.join(config.task.data)}")
    path = config.task.data[name]
    clips = None if size is not None else _clips(path, task)
    shapes = None if clips is None else _shapes(clips, task)
    if clips is None or shapes is None:
        data, median = None, _assumed(config, name, size or ASSUMED_SIZE)
        longest = median
    else:
        modes, limit = config.task.ardf.modes, config.task.limit
        data = ClipStream(clips, modes=modes, cfg_drop=config.task.ardf.cfg_drop, limit=limit, vocab=task.vocab)
        report_stream(name, data, limit=limit, model_length=task.model_config.max_position_embeddings)
        lengths = np.asarray(shapes.given([shape.length for shape in shapes.values]))
        order = lengths.argsort(kind="stable")
        median, longest = shapes[int(order[len(order) // 2])], shapes[int(order[-1])]
    batch_size = config.trainer.batch_size.get(name, 1)
    stream = size_of(data, batch_size=batch_size, accumulation=accumulation, num_gpus=num_gpus, trainer=config.trainer)
    return Stream(
        **vars(stream),
        median=median,
        longest=longest,
        masked_share=expected_masked_share(config.task.ardf),
    )


def _clips(path: str, task: LumosTask) -> ClipDataset | None:
    """Return the clips of a data set; None where it is not there."""
    if not Path(path).exists():
        return None
    try:
        return ClipDataset(path, vocab=task.vocab)
    except MissingClipsError:
        return None


def _shapes(clips: ClipDataset, task: LumosTask) -> Kinds[SequenceShape] | None:
    """Return the shapes of a data set's clips as they are trained on; None where it says none."""
    rows = np.array([kind.shape for kind in clips.kinds.values], np.int64).reshape(-1, len(SHAPE_COLUMNS))
    shapes = cut_shapes(rows, task.config.duration_s)[:, :4]
    made = [SequenceShape(num_prompt_ids=n, grid=(t, h, w)) for n, t, h, w in shapes.tolist()]
    found = Kinds(made, clips.kinds.which[(shapes[:, 1] > 0)[clips.kinds.which]])
    return found if len(found) else None


def _assumed(config: RunConfig, name: str, size: tuple[int, int]) -> SequenceShape:
    fps, seconds = ASSUMED_VIDEO
    frames = 1 if "image" in name else num_latent_frames(fps * (config.task.duration_s or seconds))
    return SequenceShape(num_prompt_ids=ASSUMED_PROMPT_IDS, grid=(frames, *grid_of(*size)))


# --- saying it --------------------------------------------------------------------------------------------------------


def _stream_lines(run: RunEstimate) -> list[str]:
    lines = ["stream        batch a GPU   batch of all   clips      T x H x W      tokens   longest"]
    for name, stream in run.streams.items():
        everywhere = stream.batch_size * stream.accumulation * run.num_gpus
        grid = "x".join(map(str, stream.median.grid))
        clips = "assumed" if stream.num_clips is None else f"{stream.num_clips:,}"
        local = f"{stream.batch_size} x {stream.accumulation}" if stream.accumulation > 1 else f"{stream.batch_size}"
        lines.append(
            f"{name:14}{local:>11}{everywhere:>15,}{clips:>8}{grid:>15}{stream.median.length:>12,}"
            f"{stream.longest.length:>10,}"
        )
    return lines


def _missing_lines(config: AnyRun) -> list[str]:
    """What of the data is not there, each with its setting and path, and how to make it."""
    missing = missing_data(config)
    lines = [f"{'' if number else 'not there':14}{one}" for number, one in enumerate(missing)]
    return [*lines, f"{'':14}{how_to_make(config)}"] if missing else []


def _flops_lines(run: RunEstimate, machines: Machines) -> list[str]:
    lines = [f"step          TFLOP a GPU   recomputed   TFLOP of all   at {machines.assumed()}"]
    for name in run.streams:
        needed, redone = run.step_flops(name), run.redone_flops(name)
        lines.append(
            f"{name:14}{needed / 1e12:11,.2f}{redone / 1e12:13,.2f}{needed * run.num_gpus / 1e12:15,.1f}   "
            f"{machines.product_seconds(needed + redone):.3g} s"
        )
    return lines
