"""A run as its GPUs see it, whichever model it trains: what each holds, computes and exchanges in a step."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from torch import nn

from xllmx.data.cycle import StreamCycle
from xllmx.data.streams import Streams
from xllmx.optimisation.muon import matrices_of
from xllmx.optimisation.optim_config import OptimConfig
from xllmx.ranks.accounting import Sharding, StateBytes, state_bytes
from xllmx.ranks.machines import Traffic, step_traffic
from xllmx.ranks.parallel import ParallelConfig
from xllmx.task import SizedDataset
from xllmx.trainer_config import TrainerConfig

CONTEXT_BYTES = 2 * 2**30
"""CUDA context, NCCL buffers and fragmentation of a GPU, roughly."""
_GIB = 2**30


@dataclass(frozen=True, kw_only=True)
class StreamSize:
    """How much of one stream a step takes, and how much there is."""

    batch_size: int
    """Samples of a batch on one GPU."""
    accumulation: int
    """Batches of a step on one GPU."""
    num_clips: int | None
    """Clips of its data; None where they are not there, and a size was assumed."""
    num_batches: int | None
    """Global batches of a pass over them, as the engine makes them, 0 for too few; None where they are not there."""


@dataclass(frozen=True, kw_only=True)
class Turn(StreamSize):
    """What one stream gives to the steps."""

    flops: int
    """Of a step that it is in, on one GPU, what is computed again included."""


@dataclass(frozen=True, kw_only=True)
class ShardedRun(ABC):
    """A run, measured but not begun."""

    units: Mapping[str, int]
    """Parameters of each part that is sharded on its own, at last the rest of the model."""
    trainable: int
    """Parameters that are trained."""
    by_muon: int
    """Those of them that Muon moves; AdamW moves the others (`optim.name`)."""
    num_gpus: int
    """GPUs in all."""
    shards: int
    """GPUs that share one copy of weights and optimiser."""
    accumulates: bool
    """Whether a step has several batches on a GPU."""
    cycle: StreamCycle
    """Which streams are in which step."""
    trainer: TrainerConfig
    """How long the run is, and in what it computes."""
    parallel: ParallelConfig
    """How it is cut, and what is kept for the backward."""

    @property
    @abstractmethod
    def stream_sizes(self) -> Mapping[str, StreamSize]:
        """The streams."""

    @abstractmethod
    def step_flops(self, name: str) -> int:
        """The FLOPs on one GPU that a stream adds to a step it is in (what MFU counts)."""

    @abstractmethod
    def redone_flops(self, name: str) -> int:
        """The FLOPs that checkpointing adds to such a step; 0 without it, or where it is selective."""

    @property
    def turns(self) -> Mapping[str, Turn]:
        """What each stream gives."""
        return {
            name: Turn(
                batch_size=size.batch_size,
                accumulation=size.accumulation,
                num_clips=size.num_clips,
                num_batches=size.num_batches,
                flops=self.step_flops(name) + self.redone_flops(name),
            )
            for name, size in self.stream_sizes.items()
        }

    @abstractmethod
    def batch_bytes(self, *, checkpointing: bool) -> tuple[int, int]:
        """The largest (activations, head and loss) of a batch on one GPU, over the streams."""

    @property
    def num_parameters(self) -> int:
        """Of the model."""
        return sum(self.units.values())

    @property
    def replicas(self) -> int:
        """Copies of the state."""
        return self.num_gpus // self.shards

    @property
    def precision(self) -> str:
        """What the model computes in; the question is about GPUs."""
        return "bf16" if self.trainer.precision == "auto" else self.trainer.precision

    @cached_property
    def state(self) -> StateBytes:
        """Bytes of weights, gradients, optimiser of each process."""
        state = state_bytes(
            list(self.units.values()),
            trainable=self.trainable,
            sharding=self._sharding,
            precision=self.precision,
            averaged=bool(self.trainer.ema_decay),
            accumulates=self.accumulates,
        )
        return state.with_muon(self.by_muon)

    @property
    def _sharding(self) -> Sharding | None:
        """How the copies are cut, which in as many copies as GPUs are cut still, each into one shard."""
        again = self.parallel.reshard_after_forward
        return Sharding(shards=self.shards, gathers_again=again) if self.parallel.is_sharded(self.num_gpus) else None

    @property
    def host_bytes(self) -> int:
        """Bytes of the state of each process that lie in the host's memory; 0 without parallel.cpu_offload."""
        return self.state.total - self.state.working - self.state.held if self.parallel.cpu_offload else 0

    def peak_bytes(self, *, checkpointing: bool) -> int:
        """Return the bytes on one GPU at the peak of a step."""
        return self.state.total - self.host_bytes + sum(self.batch_bytes(checkpointing=checkpointing))

    @property
    def configured_peak(self) -> int:
        """The bytes on one GPU at the peak of a step, as configured; `selective` at most."""
        return self.peak_bytes(checkpointing=self.parallel.activation_checkpointing is True)

    def share_of_steps(self, name: str) -> float:
        """Return in which part of the steps a stream is."""
        return 1 / self.cycle.steps_per_draw(name)

    @property
    def mean_flops(self) -> float:
        """FLOPs of a mean step on one GPU, what is computed again included."""
        return sum((turn.flops * self.share_of_steps(name) for name, turn in self.turns.items()), 0.0)

    @property
    def traffic(self) -> Traffic:
        """What each GPU sends in a mean step."""
        return step_traffic(
            list(self.units.values()),
            trainable=self.trainable,
            shards=self.shards,
            replicas=self.replicas,
            precision=self.precision,
            batches=sum(turn.accumulation * self.share_of_steps(name) for name, turn in self.turns.items()),
            gathers_again=self.parallel.reshard_after_forward,
        )

    def in_copies(self, replicas: int) -> "ShardedRun":
        """Return the same run with so many copies of its state."""
        return replace(self, shards=self.num_gpus // replicas)


def cycle_of(trainer: TrainerConfig, streams: Mapping[str, Any]) -> StreamCycle:
    """Return which of the streams are in which step."""
    if trainer.together:
        return StreamCycle.together(trainer.together)
    return StreamCycle.in_turns(trainer.schedule or dict.fromkeys(streams, 1))


def size_of(
    data: SizedDataset | None, *, batch_size: int, accumulation: int, num_gpus: int, trainer: TrainerConfig
) -> StreamSize:
    """Return how much of a data set a step takes, and how much there is; of None nobody knows.

    Samples of sizes that may not share a batch, and shares drawn anew by each pass, count as training counts them.
    """
    num_batches = None
    if data is not None:
        together = {"": batch_size * accumulation * num_gpus}
        (order,) = Streams({"": data}, batch_size=together, shuffle=trainer.shuffle).orders.values()
        order.repeats = trainer.FEW_REPEAT
        num_batches = order.global_batches_per_epoch if order.fills_a_batch else 0
    return StreamSize(
        batch_size=batch_size,
        accumulation=accumulation,
        num_clips=None if data is None else len(data),
        num_batches=num_batches,
    )


def num_by_muon(units: Sequence[nn.Module], optim: OptimConfig, parallel: ParallelConfig, *, num_gpus: int) -> int:
    """Return how many parameters of the units Muon moves; 0 where AdamW moves all.

    Raises:
        ValueError: it is Muon, and there are no whole matrices for it (`xllmx.optimisation.muon`).
    """
    if optim.name == "adamw":
        return 0
    return sum(matrix.numel() for matrix in matrices_of(units, cut=parallel.is_sharded(num_gpus)))


def size_lines(run: ShardedRun, parts: str) -> list[str]:
    """Return how large the model is and how it is cut, for people; `parts` says what it is made of."""
    copies, cut = run.replicas, run.parallel.is_sharded(run.num_gpus)
    kind = {True: "hybrid, HSDP", False: "full, FSDP"}[copies > 1] if cut and run.num_gpus > 1 else "not cut"
    return [
        f"parameters    {run.num_parameters:,} ({parts})",
        f"trained       {run.trainable:,} ({run.trainable / run.num_parameters:.2%})",
        f"GPUs          {run.num_gpus}: {copies} cop{'y' if copies == 1 else 'ies'} of the state in {run.shards} "
        f"shard{'s' if run.shards > 1 else ''}{f' ({kind})' if run.num_gpus > 1 else ''}",
    ]


def memory_lines(run: ShardedRun, *, not_counted: str) -> list[str]:
    """Return what fills the memory of a GPU, for people."""
    state = run.state
    kept = {
        "master weights, fp32": state.weights,
        "Muon and AdamW, fp32" if run.by_muon else "AdamW, 2 x fp32": state.optimizer,
        "gradients, fp32": state.gradients,
        "averaged weights": state.average,
    }
    on_gpu = {
        **({} if run.parallel.cpu_offload else kept),
        "gathered or cast weights": state.working,
        "gradients held over a step": state.held,
    }
    rows = {name: (number, number) for name, number in on_gpu.items()}
    with_all, with_inputs = run.batch_bytes(checkpointing=False), run.batch_bytes(checkpointing=True)
    rows["activations, longest batch"] = (with_all[0], with_inputs[0])
    rows["logits and work of the head"] = (with_all[1], with_inputs[1])
    rows["peak"] = (run.peak_bytes(checkpointing=False), run.peak_bytes(checkpointing=True))
    choices: dict[bool | str, str] = {True: "with", False: "without", "selective": "selective, in between"}
    chosen = choices[run.parallel.activation_checkpointing]
    lines = [f"GiB a GPU                    without   with activation checkpointing (this config: {chosen})"]
    lines += [f"{name:28}{a / _GIB:8.2f}{b / _GIB:7.2f}" for name, (a, b) in rows.items() if a]
    if run.parallel.cpu_offload:
        lines.append(f"{'in the host, each process':28}{run.host_bytes / _GIB:8.2f}{run.host_bytes / _GIB:7.2f}")
    return [*lines, f"not counted: CUDA context, NCCL buffers, fragmentation (plan 2 GiB for them){not_counted}"]
