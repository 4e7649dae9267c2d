"""What outputs would take on a GPU, by arithmetic: passes, FLOPs, memory, seconds. No weights are read."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from lumos.cli.jobs.runner import Plan, Planned
from lumos.cli.models.kind import AbsentFiles, ClipCost, Memory, Model
from lumos.media.inputs import choose_dtype
from xllmx.ranks.machines import Machines

_GIB = 2**30
_CONTEXT_BYTES = 2**30
"""CUDA context and what the allocator keeps, roughly."""
_STARTS_S = 1e-3
"""Seconds that a few hundred kernels of one pass take to be started, roughly."""
_FEW = 100
"""Batches whose memory is reckoned each by itself."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """The outputs of a plan that are missing, reckoned and not made."""

    model: Model
    num_parameters: int
    """Of the network."""
    dtype: torch.dtype
    """What it computes in."""
    clips: Sequence[Planned]
    """Those to be made."""
    costs: Sequence[ClipCost]
    """Of each."""
    memory: Memory
    """Of the batch that takes most."""
    num_finished: int
    """Outputs that are there."""
    num_batches: int
    """What is to be made goes through the model in so many."""
    machines: Machines
    """The GPUs, each of which makes whole clips."""
    assumed: str
    """What was taken for what is not here."""

    @property
    def seconds(self) -> float | None:
        """Of one GPU for all clips; None in fp32, whose peak is not in the table."""
        if self.dtype != torch.bfloat16:
            return None
        return sum((self.machines.product_seconds(cost.flops) for cost in self.costs), 0.0)


def estimate(model: Model, plan: Plan, *, machines: Machines) -> Estimate:
    """Return what the missing outputs of a plan take on GPUs, in bf16 unless the model says otherwise."""
    dtype = choose_dtype(model.dtype or "bfloat16", torch.device("cuda"))
    costs = model.kind.costs(model, dtype)
    clips = plan.missing
    batches = [batch for batch in plan.batches if any(one.seed is None for one in batch)]
    widest = {(id(batch[0].settings), len(batch)): batch for batch in batches}  # alike but for their texts
    memories = [costs.of_batch(batch) for batch in (batches if len(batches) <= _FEW else widest.values())]
    return Estimate(
        model=model,
        num_parameters=costs.num_parameters,
        dtype=dtype,
        clips=clips,
        costs=[costs.of_clip(one) for one in clips],
        memory=max(memories, key=lambda memory: memory.peak, default=Memory(parts={}, peak=0, not_counted="")),
        num_finished=len(plan.finished),
        num_batches=len(batches),
        machines=machines,
        assumed=costs.assumed,
    )


def report(estimate: Estimate) -> str:
    """Return the estimate as text for a person."""
    files, kind = estimate.model.files, estimate.model.kind
    dtype = str(estimate.dtype).removeprefix("torch.")
    lines = [
        f"model     {files.name}: {kind.title}, {estimate.num_parameters:,} parameters, {dtype}",
        f"clips     {_clips(estimate)}",
    ]
    if not estimate.clips:
        return "\n".join(lines)
    passes, flops = [cost.passes for cost in estimate.costs], [cost.flops for cost in estimate.costs]
    bound = "at most " if any(cost.at_most for cost in estimate.costs) else ""
    parts = " + ".join(f"{part} {num_bytes / _GIB:.2f}" for part, num_bytes in estimate.memory.parts.items())
    lines += [
        f"passes    {bound}{_span(passes)} a clip, {sum(passes):,} in all; each branch of the guidance is one",
        f"compute   {_span(flops, scale=1e12)} TFLOP a clip, {_number(sum(flops) / 1e12)} TFLOP in all",
        f"memory    {estimate.memory.peak / _GIB:.2f} GiB at its peak ({parts})",
        f"          not counted: CUDA context, {estimate.memory.not_counted}",
        f"          {_fit(estimate)}",
        f"time      {_time(estimate)}",
        *_starts(estimate),
        *_assumed(estimate),
    ]
    return "\n".join(lines)


def _clips(estimate: Estimate) -> str:
    shapes: dict[str, int] = {}
    for one in estimate.clips:
        settings = one.settings
        frames = (
            f", {settings.num_output_frames} frames at {settings.fps} fps" if settings.num_output_frames > 1 else ""
        )
        shape = f"{settings.width}x{settings.height}{frames}"
        shapes[shape] = shapes.get(shape, 0) + 1
    counted = [f"{number} of {shape}" for shape, number in shapes.items()]
    finished = [f"{estimate.num_finished} finished before"] if estimate.num_finished else []
    return "; ".join([*counted, *finished]) or "none"


def _fit(estimate: Estimate) -> str:
    machines, peak = estimate.machines, estimate.memory.peak
    if peak + _CONTEXT_BYTES <= machines.memory_bytes:
        return f"one {machines.gpu} has {machines.memory_bytes / _GIB:.1f} GiB, which is enough"
    remedy = f"ask for {estimate.model.kind.less_memory}"
    return f"one {machines.gpu} has {machines.memory_bytes / _GIB:.1f} GiB, which is not enough; {remedy}"


def _time(estimate: Estimate) -> str:
    machines = estimate.machines
    if estimate.seconds is None:
        return f"not said: the peak of the {machines.gpu} is known for bf16 alone; leave --dtype out"
    each, whole = estimate.seconds / len(estimate.clips), estimate.seconds
    line = f"{_number(each)} s a clip, {_number(whole)} s in all{_in_hours(whole)}, at {machines.assumed()}"
    used = min(machines.num_gpus, estimate.num_batches)
    if used == 1:  # a batch is not shared
        return line
    longest = whole * -(-estimate.num_batches // used) / estimate.num_batches
    return f"{line}; on {used} of them: {_number(longest)} s{_in_hours(longest)}"


def _starts(estimate: Estimate) -> list[str]:
    """Return what the time leaves out of so small a network that the GPU waits for its next kernel to be started."""
    passes = sum(cost.passes for cost in estimate.costs)
    if estimate.seconds is None or estimate.seconds >= passes * _STARTS_S:
        return []
    return [
        f"          expect more: so short a pass waits for its kernels to be started, {_STARTS_S * 1e3:.0f} ms or so"
    ]


def _in_hours(seconds: float) -> str:
    return f" ({_number(seconds / 3600)} hours)" if seconds >= 600 else ""


def _assumed(estimate: Estimate) -> list[str]:
    """Return what stands for a model that is not here, and why."""
    files = estimate.model.files
    return [f"assumed   {estimate.assumed}; {files.why}"] if isinstance(files, AbsentFiles) else []


def _span(values: Sequence[int], *, scale: float = 1) -> str:
    """Return the least and the greatest value, or the one that they all are."""
    least, most = (_number(value / scale) for value in (min(values), max(values)))
    return least if least == most else f"{least} to {most}"


def _number(value: float) -> str:
    """Return a number of three digits or more, without an exponent."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
