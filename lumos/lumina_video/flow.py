"""The flow from noise to latents, a loop of Euler steps (arXiv 2502.06782, section 3.1; README sections 3 and 4).

    x <- x + (t_(k+1) - t_k) v(x, t_k)      from x ~ N(0, I) at t = 0 to the latents at t = 1

Everything that varies on the way (patch scale, guidance, motion scores) is a step function of t, see `FlowPreset`.
"""

import math
from collections.abc import Callable, Generator, Sequence
from itertools import pairwise

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lumos.lumina_video.preset import FlowPreset
from lumos.lumina_video.sampling.guided_field import Field, GuidedField, Text, guide
from lumos.lumina_video.sampling.schedule import time_grid, value_at
from xllmx.rng import generator_for
from xllmx.settings.argument_types import checked_types

OnStep = Callable[[int, Float[Tensor, "n C T H W"]], Float[Tensor, "n C T H W"] | None]
"""Called with the index of a finished Euler step, from 0, and the state after it; returns another state, or None."""

__all__ = ["Field", "FlowPreset", "guide", "noise_for", "sample_latents", "states_of", "time_grid", "value_at"]


@torch.no_grad()
@checked_types
def sample_latents(
    model: Field,
    noise: Float[Tensor, "n C T H W"],
    *,
    preset: FlowPreset,
    text: Float[Tensor, "n L D"],
    text_mask: Bool[Tensor, "n L"] | Int[Tensor, "n L"],
    negative_text: Tensor | Sequence[Tensor] | None = None,
    negative_mask: Tensor | Sequence[Tensor] | None = None,
    on_step: OnStep | None = None,
    interrupted: Callable[[], bool] = lambda: False,
) -> Float[Tensor, "n C T H W"]:
    """Return the latents, in fp32, to which the flow carries the noise.

    The state is fp32 and the grid is never rounded. In a bf16 model the noise, and at each step x, t, the motion scores
    and the guided velocity, are rounded to bf16, as its weights expect (README section 2.8); in an fp32 one nothing is.

    Args:
        model: the network in evaluation mode, or any field of velocity, which may be a plain function.
        noise: one item a clip, where the model lies; see `noise_for`. A field without weights computes in its dtype.
        preset: the grid, and what holds when.
        text: features of the prompts.
        text_mask: True, or 1, where a token is valid.
        negative_text: features of the negative prompts, [n, L, D], or [1, L, D] for all items; a sequence of such for
            several negative branches. Not needed where the preset does not guide.
        negative_mask: their masks, [n, L] or [1, L].
        on_step: called after each step with its index, from 0, and the state, which no later step changes. It may
            return the state to go on with.
        interrupted: asked after each step whether it was the last one.

    Raises:
        ValueError: texts that do not go with the noise or the preset, a scale of the preset that the network does not
            have or whose patches the latents do not fill, or a velocity that is not finite; names the step.
    """
    negatives = _pairs(negative_text, negative_mask)
    field = GuidedField(model, preset, prompts=(text, text_mask), negatives=negatives, noise=noise)
    state = noise
    for after in states_of(field, noise, preset=preset, on_step=on_step):
        state = after
        if interrupted():
            break
    return state


@torch.no_grad()
def states_of(
    field: GuidedField, noise: Float[Tensor, "n C T H W"], *, preset: FlowPreset, on_step: OnStep | None = None
) -> Generator[Float[Tensor, "n C T H W"]]:
    """Yield the state after each Euler step, the last of which are the latents; see `sample_latents`."""
    state = noise.to(field.dtype).float()
    for index, (t, next_t) in enumerate(pairwise(time_grid(preset.num_points, preset.shift))):
        state = state + (next_t - t) * _finite(field(state, t), index, t)
        changed = None if on_step is None else on_step(index, state)
        state = state if changed is None else changed
        yield state


def noise_for(seed: int, shape: Sequence[int], *, device: torch.device | str = "cpu") -> Float[Tensor, "C T H W"]:
    """Return the noise of one clip, of (C, T, H, W) = `shape`, in fp32.

    A function of the seed and the shape alone: drawn on the CPU whatever the device, and whatever else is sampled.
    """
    return torch.randn(tuple(shape), generator=generator_for(seed, stream="noise")).to(device)


def _pairs(text: Tensor | Sequence[Tensor] | None, mask: Tensor | Sequence[Tensor] | None) -> list[Text]:
    """Return (features, mask) of each negative branch."""
    texts, masks = ([] if x is None else [x] if isinstance(x, Tensor) else list(x) for x in (text, mask))
    if len(texts) != len(masks):
        raise ValueError(f"{len(texts)} negative texts and {len(masks)} negative masks; give one mask for each text")
    return list(zip(texts, masks, strict=True))


def _finite(velocity: Tensor, index: int, t: Tensor) -> Tensor:
    if not math.isfinite(torch.linalg.vector_norm(velocity, ord=math.inf).item()):
        raise ValueError(
            f"the velocity at step {index} (t = {float(t):.4g}) is not finite; compute in bf16 or fp32 rather than "
            "fp16, guide less (cfg), or look for weights that are not finite"
        )
    return velocity
