"""What a training run would take, before it takes it: parameters, sequences, memory and FLOPs for so many GPUs.

The model is built on the meta device and data sets are only measured; nothing is written, no GPU is needed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import nn

from lumos.cli.training.lumina_dry_run import estimate_tasks, num_shards
from lumos.cli.training.lumina_dry_run import report as lumina_video_report
from lumos.cli.training.training_run import AnyRun, RunConfig, build_task
from lumos.lumos1.config import LumosConfig
from lumos.lumos1.data.clips import ClipDataset
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
from lumos.lumos1.training.cutting import cut_shapes
from lumos.lumos1.training.task import LumosTask
from lumos.media.data_yaml import MissingClipsError
from xllmx.ranks.accounting import StateBytes, peak_flops, state_bytes

ASSUMED_SIZE = (448, 256)
"""Width and height of clips that are not there yet: 256p."""
ASSUMED_PROMPT_IDS = 160
"""Ids of the prompt of such a clip: the fixed text and a caption of some 100 tokens."""
ASSUMED_VIDEO = (12, 2)
"""Frames per second and seconds of such a video, where task.duration_s does not say."""

_REFERENCE = ("H100", 0.4)
_GIB = 2**30


@dataclass(frozen=True, kw_only=True)
class Stream:
    """One stream of a run: how long its samples are, and what its steps cost."""

    batch_size: int
    """Samples of a batch on one GPU."""
    accumulation: int
    """Batches of a step on one GPU."""
    num_clips: int | None
    """Clips of the data set; None where it is not there and a size was assumed."""
    mean: SequenceShape
    """The clip of median length."""
    longest: SequenceShape
    """The longest clip."""
    masked_share: float
    """Of its codes, the expected part that carries the loss."""

    def load(self, *, longest: bool = False) -> BatchLoad:
        """Returns the load of one batch of median, or of longest, clips."""
        shape = self.longest if longest else self.mean
        return BatchLoad.of(shape, batch_size=self.batch_size, masked_share=self.masked_share)


@dataclass(frozen=True, kw_only=True)
class RunEstimate:
    """A run, measured but not begun."""

    model: LumosConfig
    """The model."""
    units: Mapping[str, int]
    """Parameters of each part that is sharded on its own."""
    trainable: int
    """Parameters that are trained."""
    num_gpus: int
    """GPUs in all."""
    shards: int
    """GPUs that share one copy of weights and optimiser."""
    state: StateBytes
    """Bytes of weights, gradients, optimiser of each process."""
    offloaded: bool
    """Whether the state lies in the host's memory, and only what is gathered on the GPU."""
    streams: Mapping[str, Stream]
    """The data, by stream."""
    precision: str
    """What the model computes in."""
    checkpointing: bool | str
    """Whether the config checkpoints activations; `selective` lies between."""
    loss_chunk: int | None
    """Rows of logits at a time, where configured."""

    @property
    def head_trained(self) -> bool:
        """Whether the head has a gradient (LoRA leaves it frozen)."""
        return self.trainable == sum(self.units.values())

    def batch_bytes(self, *, checkpointing: bool) -> tuple[int, int]:
        """Returns the largest (activations, head and loss) of a batch on one GPU, over the streams."""
        loads = [stream.load(longest=True) for stream in self.streams.values()]
        kept = [
            activation_bytes(self.model, load, checkpointing=checkpointing, precision=self.precision) for load in loads
        ]
        head = loss_bytes(self.model, chunk=self.loss_chunk, head_trained=self.head_trained, precision=self.precision)
        return max(kept), head

    def peak_bytes(self, *, checkpointing: bool) -> int:
        """Returns the bytes on one GPU at the peak of a step."""
        return self.state.total - self.host_bytes + sum(self.batch_bytes(checkpointing=checkpointing))

    @property
    def host_bytes(self) -> int:
        """Bytes of the state of each process that lie in the host's memory; 0 without parallel.cpu_offload."""
        return self.state.total - self.state.working - self.state.held if self.offloaded else 0

    def step_flops(self, name: str) -> int:
        """Returns the FLOPs of a step on one GPU that the model needs (what MFU counts)."""
        stream = self.streams[name]
        return stream.accumulation * training_flops(self.model, stream.load(), frozen=not self.head_trained)

    def redone_flops(self, name: str) -> int:
        """Returns the FLOPs of a step on one GPU that checkpointing adds; 0 without it, or where it is selective."""
        stream = self.streams[name]
        return stream.accumulation * recomputed_flops(self.model, stream.load()) if self.checkpointing is True else 0


def report_run(config: AnyRun, *, num_gpus: int, size: tuple[int, int] | None) -> str:
    """What a run of either model would take, as text for a person; see `estimate_run`."""
    if isinstance(config, RunConfig):
        return report(estimate_run(config, num_gpus=num_gpus, size=size))
    return lumina_video_report(estimate_tasks(config, num_gpus=num_gpus, size=size))


def estimate_run(config: RunConfig, *, num_gpus: int = 1, size: tuple[int, int] | None = None) -> RunEstimate:
    """Returns what a run would take on so many GPUs.

    Args:
        config: the run's settings.
        num_gpus: processes, one a GPU.
        size: (width, height) in pixels to assume for every stream; None measures the data sets, and assumes 448x256
            for those that are not there.

    Raises:
        ValueError: no model, no data, a number of GPUs that the replicas do not divide, or another engine.
    """
    shards = num_shards(config.parallel, num_gpus)
    if not config.task.data:
        raise ValueError("task.data names no stream; give for example task.data.video=configs/data/video.yaml")
    task = build_task(config)
    model = task.build_model()
    units = units_of(model)
    trainable = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    precision = "bf16" if config.trainer.precision == "auto" else config.trainer.precision  # the question is about GPUs
    return RunEstimate(
        model=task.model_config,
        units=units,
        trainable=trainable,
        num_gpus=num_gpus,
        shards=shards,
        state=state_bytes(
            list(units.values()),
            trainable=trainable,
            shards=shards,
            precision=precision,
            averaged=bool(config.trainer.ema_decay),
            accumulates=config.trainer.accumulation(num_gpus) > 1 or len(config.trainer.together) > 1,
        ),
        streams={
            name: _stream(config, task, name, num_gpus=num_gpus, size=size)
            for name in config.trainer.schedule or config.task.data
        },
        precision=precision,
        offloaded=config.parallel.cpu_offload,
        checkpointing=config.parallel.activation_checkpointing,
        loss_chunk=config.task.loss_chunk,
    )


def read_size(text: str | None) -> tuple[int, int] | None:
    """Returns (width, height) of `448x256`; None for None; ValueError for any other text."""
    if text is None:
        return None
    width, _, height = text.partition("x")
    if not (width.isdigit() and height.isdigit()):
        raise ValueError(f"--size is {text!r}; write width x height in pixels, as in 448x256")
    return int(width), int(height)


def units_of(model: nn.Module) -> dict[str, int]:
    """Returns the parameters of the embedding, of each block and of the head with the final norm."""
    assert isinstance(model, LumosForCausalLM)
    parts: dict[str, list[nn.Module]] = {"embedding": [model.model.embed_tokens]}
    parts |= {f"block {index}": [block] for index, block in enumerate(model.model.layers)}
    parts["head"] = [model.model.norm, model.lm_head]
    return {name: sum(p.numel() for part in members for p in part.parameters()) for name, members in parts.items()}


def report(run: RunEstimate) -> str:
    """The estimate as text for a person."""
    return "\n".join([*_model_lines(run), "", *_stream_lines(run), "", *_memory_lines(run), "", *_flops_lines(run)])


# --- measuring --------------------------------------------------------------------------------------------------------


def _stream(config: RunConfig, task: LumosTask, name: str, *, num_gpus: int, size: tuple[int, int] | None) -> Stream:
    if name not in config.task.data:
        raise ValueError(f"trainer.schedule names {name!r}; task.data has {', '.join(config.task.data)}")
    path = config.task.data[name]
    shapes = None if size is not None else _measured(path, task)
    if shapes is None:
        mean = longest = _assumed(config, name, size or ASSUMED_SIZE)
    else:
        lengths = np.array([shape.length for shape in shapes])
        order = lengths.argsort(kind="stable")
        mean, longest = shapes[order[len(order) // 2]], shapes[order[-1]]
    return Stream(
        batch_size=config.trainer.batch_size.get(name, 1),
        accumulation=config.trainer.accumulation(num_gpus),
        num_clips=None if shapes is None else len(shapes),
        mean=mean,
        longest=longest,
        masked_share=expected_masked_share(config.task.ardf),
    )


def _measured(path: str, task: LumosTask) -> list[SequenceShape] | None:
    """Returns the shapes of a data set's clips as they are trained on; None where it is not there or says none."""
    if not Path(path).exists():
        return None
    try:
        clips = ClipDataset(path, vocab=task.vocab)
    except MissingClipsError:
        return None
    shapes = cut_shapes(clips.shapes, task.config.duration_s)[:, :4]
    known = shapes[shapes[:, 1] > 0]
    return [SequenceShape(num_prompt_ids=int(n), grid=(int(t), int(h), int(w))) for n, t, h, w in known] or None


def _assumed(config: RunConfig, name: str, size: tuple[int, int]) -> SequenceShape:
    fps, seconds = ASSUMED_VIDEO
    frames = 1 if "image" in name else num_latent_frames(fps * (config.task.duration_s or seconds))
    return SequenceShape(num_prompt_ids=ASSUMED_PROMPT_IDS, grid=(frames, *grid_of(*size)))


# --- saying it --------------------------------------------------------------------------------------------------------


def _model_lines(run: RunEstimate) -> list[str]:
    units, total = run.units, sum(run.units.values())
    blocks = sum(number for name, number in units.items() if name.startswith("block"))
    parts = f"{run.model.num_hidden_layers} blocks {blocks:,}, embedding {units['embedding']:,}, head {units['head']:,}"
    copies = run.num_gpus // run.shards
    return [
        f"parameters    {total:,} ({parts})",
        f"trained       {run.trainable:,} ({run.trainable / total:.2%})",
        f"GPUs          {run.num_gpus}: {copies} cop{'y' if copies == 1 else 'ies'} of the state in {run.shards} "
        f"shard{'s' if run.shards > 1 else ''}",
    ]


def _stream_lines(run: RunEstimate) -> list[str]:
    lines = ["stream        batch a GPU   batch of all   clips      T x H x W      tokens   longest"]
    for name, stream in run.streams.items():
        everywhere = stream.batch_size * stream.accumulation * run.num_gpus
        grid = "x".join(map(str, stream.mean.grid))
        clips = "assumed" if stream.num_clips is None else f"{stream.num_clips:,}"
        local = f"{stream.batch_size} x {stream.accumulation}" if stream.accumulation > 1 else f"{stream.batch_size}"
        lines.append(
            f"{name:14}{local:>11}{everywhere:>15,}{clips:>8}{grid:>15}{stream.mean.length:>12,}"
            f"{stream.longest.length:>10,}"
        )
    return lines


def _memory_lines(run: RunEstimate) -> list[str]:
    state = run.state
    kept = {
        "master weights, fp32": state.weights,
        "AdamW, 2 x fp32": state.optimizer,
        "gradients, fp32": state.gradients,
        "averaged weights": state.average,
    }
    on_gpu = {
        **({} if run.offloaded else kept),
        "gathered or cast weights": state.working,
        "gradients held over a step": state.held,
    }
    rows = {name: (number, number) for name, number in on_gpu.items()}
    with_all, with_inputs = run.batch_bytes(checkpointing=False), run.batch_bytes(checkpointing=True)
    rows["activations, longest batch"] = (with_all[0], with_inputs[0])
    rows["logits and work of the head"] = (with_all[1], with_inputs[1])
    rows["peak"] = (run.peak_bytes(checkpointing=False), run.peak_bytes(checkpointing=True))
    choices: dict[bool | str, str] = {True: "with", False: "without", "selective": "selective, in between"}
    chosen = choices[run.checkpointing]
    lines = [f"GiB a GPU                    without   with activation checkpointing (this config: {chosen})"]
    lines += [f"{name:28}{a / _GIB:8.2f}{b / _GIB:7.2f}" for name, (a, b) in rows.items() if a]
    if run.offloaded:
        lines.append(f"{'in the host, each process':28}{run.host_bytes / _GIB:8.2f}{run.host_bytes / _GIB:7.2f}")
    return [*lines, "not counted: CUDA context, NCCL buffers, fragmentation (plan 2 GiB for them)"]


def _flops_lines(run: RunEstimate) -> list[str]:
    reference, share = _REFERENCE
    speed = (peak_flops(reference) or 0.0) * share
    lines = [
        "step          TFLOP a GPU   recomputed   TFLOP of all   " + f"at {share:.0%} of a {reference}'s bf16 peak"
    ]
    for name in run.streams:
        needed, redone = run.step_flops(name), run.redone_flops(name)
        lines.append(
            f"{name:14}{needed / 1e12:11,.2f}{redone / 1e12:13,.2f}{needed * run.num_gpus / 1e12:15,.1f}   "
            f"{(needed + redone) / speed:.3g} s"
        )
    return lines
