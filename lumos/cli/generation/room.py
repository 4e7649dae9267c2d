"""Whether a batch fits the memory of a GPU, by arithmetic and before any weights are read."""

from collections.abc import Sequence

import torch

from lumos.cli.jobs.runner import Plan, Planned
from lumos.cli.models.kind import Costs, Memory, Model
from lumos.media.inputs import choose_device, choose_dtype

_GIB = 2**30
_OF_EACH_CLIP = frozenset({"keys and values"})
"""Parts that grow by as much with every clip."""


def check_room(model: Model, plan: Plan) -> None:
    """Check that what is missing of a plan fits what is free on its GPU; other devices are not looked at.

    Raises:
        ValueError: the largest batch does not; it says what takes how much, and what to lower.
    """
    device = choose_device(model.device)
    if device.type != "cuda" or not plan.missing:
        return
    free, _ = torch.cuda.mem_get_info(device)
    begun = [batch for batch in plan.batches if any(one.seed is None for one in batch)]
    largest = max(begun, key=lambda batch: sum(map(_num_pixels, batch)))
    costs = model.kind.costs(model, choose_dtype(model.dtype, device))
    needed = costs.of_batch(largest)
    if needed.peak > free:
        remedy = _smaller_batch(costs, largest, free) or f"ask for {model.kind.less_memory}"
        raise ValueError(f"{_said(needed, largest)}, and {device} has {free / _GIB:.2f} free; {remedy}")


def _smaller_batch(costs: Costs, batch: Sequence[Planned], free: int) -> str:
    """Return which number of clips at once fits; nothing where none does."""
    fits = next((n for n in range(len(batch) - 1, 0, -1) if costs.of_batch(batch[:n]).peak <= free), 0)
    return f"lower --batch-size to {fits}" if fits else ""


def _said(memory: Memory, batch: Sequence[Planned]) -> str:
    settings, clips = batch[0].settings, "1 clip" if len(batch) == 1 else f"{len(batch)} clips at once"
    size = f"{settings.width}x{settings.height} and {settings.num_output_frames} frames"
    shared = _OF_EACH_CLIP & memory.parts.keys()
    each = {part: f" ({memory.parts[part] / len(batch) / _GIB:.2f} a clip)" for part in shared}
    parts = ", ".join(f"{part} {num_bytes / _GIB:.2f}{each.get(part, '')}" for part, num_bytes in memory.parts.items())
    return f"{clips} of {size} take{'s' * (len(batch) == 1)} {memory.peak / _GIB:.2f} GiB by arithmetic ({parts})"


def _num_pixels(planned: Planned) -> int:
    settings = planned.settings
    return settings.width * settings.height * settings.num_output_frames
