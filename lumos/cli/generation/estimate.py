"""What outputs would take on a GPU, by arithmetic: passes, FLOPs, memory, seconds. No weights are read."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from lumos.cli.jobs.runner import Plan, Planned
from lumos.cli.models.kind import ClipCost, Memory, Model
from lumos.media.inputs import choose_dtype
from xllmx.ranks.accounting import GPUS, peak_flops
from xllmx.setting import SettingError, suggestion

UTILISATION = 0.4
"""Share of a GPU's peak that the passes are assumed to reach."""

_GIB = 2**30


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
    gpu: str
    """Its name."""

    @property
    def seconds(self) -> float | None:
        """For all clips; None in fp32, whose peak is not in the table."""
        peak = peak_flops(self.gpu)
        if peak is None or self.dtype != torch.bfloat16:
            return None
        return sum(cost.flops for cost in self.costs) / (peak * UTILISATION)


def estimate(model: Model, plan: Plan, *, gpu: str) -> Estimate:
    """Return what the missing outputs of a plan take on a GPU of this name, in bf16 unless the model says otherwise.

    Raises:
        SettingError: a GPU whose peak is not known.
    """
    if peak_flops(gpu) is None:
        raise SettingError("gpu", f"is {gpu!r}, whose peak is not known here; {suggestion(gpu, GPUS)}")
    dtype = choose_dtype(model.dtype or "bfloat16", torch.device("cuda"))
    costs = model.kind.costs(model, dtype)
    clips = plan.missing
    batches = [batch for batch in plan.batches if any(one.seed is None for one in batch)]
    memories = [costs.of_batch(batch) for batch in batches]
    return Estimate(
        model=model,
        num_parameters=costs.num_parameters,
        dtype=dtype,
        clips=clips,
        costs=[costs.of_clip(one) for one in clips],
        memory=max(memories, key=lambda memory: memory.peak, default=Memory(parts={}, peak=0, not_counted="")),
        num_finished=len(plan.finished),
        gpu=gpu,
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
        f"time      {_time(estimate)}",
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


def _time(estimate: Estimate) -> str:
    if estimate.seconds is None:
        return f"not said: the peak of the {estimate.gpu} is known for bf16 alone; leave --dtype out"
    assumed = (
        f"at {UTILISATION:.0%} of the {(peak_flops(estimate.gpu) or 0) / 1e12:.0f} TFLOP/s (bf16) of one {estimate.gpu}"
    )
    return (
        f"{_number(estimate.seconds / len(estimate.clips))} s a clip, {_number(estimate.seconds)} s in all, {assumed}"
    )


def _span(values: Sequence[int], *, scale: float = 1) -> str:
    """Return the least and the greatest value, or the one that they all are."""
    least, most = (_number(value / scale) for value in (min(values), max(values)))
    return least if least == most else f"{least} to {most}"


def _number(value: float) -> str:
    """Return a number of three digits or more, without an exponent."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
