"""The velocity of a prompt led away from its negatives, every branch a part of one batch (README section 4)."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from lumos.lumina_video.config import LuminaVideoConfig
from lumos.lumina_video.network.patches import grid_of
from lumos.lumina_video.preset import FlowPreset
from lumos.lumina_video.sampling.schedule import Number

Field: TypeAlias = Callable[..., Tensor]
"""v(x [B, C, T, H, W], t [B], text, text_mask, motion [B], *, scale) -> the velocity at x, shaped as x."""
Text: TypeAlias = tuple[Float[Tensor, "_ _ _"], Bool[Tensor, "_ _"] | Int[Tensor, "_ _"]]
"""Features of some prompts, and True, or 1, where a token is valid."""


@runtime_checkable
class Network(Protocol):
    """A field that knows its scales, and can make of texts once what it needs of them at every step."""

    config: LuminaVideoConfig

    def encode_text(self, text: Tensor, text_mask: Tensor) -> Any:
        """Return what the field takes in place of `text`, with `text_mask` None."""
        ...


def guide(
    positive: Float[Tensor, "B *item"],
    negatives: Sequence[Float[Tensor, "B *item"] | None],
    scales: Sequence[Number],
    *,
    renorm: Number,
) -> Float[Tensor, "B *item"]:
    """Return v = v_pos + sum_i s_i (v_pos - v_neg_i) in fp32: the usual guidance weight is s + 1.

    A branch with s_i <= 0 is left out, and may be None. With `renorm` r > 0 an item whose |v| exceeds r |v_pos|, norms
    over all its numbers, is scaled down to that; without any branch too, so that r < 1 always shrinks.

    Raises:
        ValueError: another number of scales than of negatives, or None for one that guides.
    """
    if len(negatives) != len(scales):
        raise ValueError(f"{len(negatives)} negative velocities and {len(scales)} guidance scales; give one for each")
    positive = positive.float()
    velocity = positive
    for negative, scale in zip(negatives, scales, strict=True):
        if scale > 0:
            if negative is None:
                raise ValueError(f"a negative velocity is None, but its guidance scale is {scale}; give the velocity")
            velocity = velocity + scale * (positive - negative.float())
    if renorm <= 0:
        return velocity
    norm, largest = _norms(velocity), renorm * _norms(positive)
    return velocity * (largest / norm.clamp(min=torch.finfo(norm.dtype).tiny)).clamp(max=1)


def _norms(x: Tensor) -> Tensor:
    """Return the norm of each item, of as many axes as x so that it multiplies."""
    return torch.linalg.vector_norm(x, dim=tuple(range(1, x.ndim)), keepdim=True)


class GuidedField:
    """v(state, t): the guided velocity of a run, rounded to the model's dtype and given back in fp32.

    The branches that count at t stand one behind another on the batch axis: the prompts, then each negative. One whose
    guidance is 0 or less is not computed. What a network makes of the texts is made once for each set of branches.
    """

    def __init__(
        self, model: Field, preset: FlowPreset, *, prompts: Text, negatives: Sequence[Text], noise: Tensor
    ) -> None:
        """Check that everything goes together, before any of it costs time.

        Args:
            model: the network, or any field.
            preset: what holds when.
            prompts: an item a clip.
            negatives: for each negative branch an item a clip, or one for all; may be none where nothing guides.
            noise: an item a clip.

        Raises:
            ValueError: see `sample_latents`.
        """
        self.model, self.preset, self.dtype = model, preset, _dtype_of(model, noise)
        self._texts = [_for_all(*text, num_items=len(noise)) for text in (prompts, *negatives)]
        self._made: dict[tuple[int, ...], tuple[Any, Tensor | None]] = {}
        self._check_branches(len(negatives))
        if isinstance(model, Network):
            frames, rows, columns = noise.shape[2:]
            for scale in preset.scales:
                grid_of((frames, rows, columns), model.config.scale(scale))

    def __call__(self, state: Float[Tensor, "n C T H W"], t: Float[Tensor, ""]) -> Float[Tensor, "n C T H W"]:
        """Return the velocity at the state and the time t, both rounded first."""
        now = self.preset.at(float(t.to(self.dtype)))
        branches = now.guided_by
        x = state.to(self.dtype).repeat(1 + len(branches), 1, 1, 1, 1)
        scores = torch.tensor([now.motion, *[now.negative_motion] * len(branches)]).repeat_interleave(len(state))
        # Rounded on the host and brought over as one tensor; pageable memory is copied aside first, so nothing waits.
        numbers = torch.stack([t.cpu().expand(len(x)), scores]).to(x.dtype)
        times, motion = numbers.to(x.device, non_blocking=True)
        text, mask = self._text_of(branches)
        velocities = self.model(x, times, text, mask, motion, scale=now.scale)
        positive, *negatives = velocities.chunk(1 + len(branches))
        scales = [now.guidance[branch] for branch in branches]
        return guide(positive, negatives, scales, renorm=self.preset.renorm).to(self.dtype).float()

    def _text_of(self, branches: tuple[int, ...]) -> tuple[Any, Tensor | None]:
        """Return text and mask of the prompts and these branches, made once."""
        if branches not in self._made:
            text, mask = _stacked([self._texts[0], *(self._texts[1 + branch] for branch in branches)])
            known = (self.model.encode_text(text, mask), None) if isinstance(self.model, Network) else (text, mask)
            self._made[branches] = known
        return self._made[branches]

    def _check_branches(self, num_negatives: int) -> None:
        num_branches = len(self.preset.branches)
        guided = sum(bool(moment.guided_by) for moment in self.preset.moments(self.dtype))
        if num_negatives not in ({num_branches} if guided else {0, num_branches}):
            raise ValueError(
                f"{num_negatives} negative texts, but cfg of the preset has {num_branches}, and guides {guided} steps; "
                "give negative_text and negative_mask of each, or a preset with cfg 0"
            )


def _dtype_of(model: Field, noise: Tensor) -> torch.dtype:
    """Return what the model computes in: the dtype of its first weight, or that of the noise."""
    weights = model.parameters() if isinstance(model, nn.Module) else ()
    return next((weight.dtype for weight in weights if weight.is_floating_point()), noise.dtype)


def _for_all(text: Tensor, mask: Tensor, *, num_items: int) -> Text:
    """Return one text an item."""
    if mask.shape != text.shape[:2] or len(text) not in (1, num_items):
        raise ValueError(
            f"text {list(text.shape)} with mask {list(mask.shape)} for {num_items} items of noise; give features "
            f"[{num_items}, tokens, width], or [1, tokens, width] for all, and a mask [the same items, tokens]"
        )
    return text.expand(num_items, -1, -1), mask.bool().expand(num_items, -1)


def _stacked(texts: Sequence[Text]) -> Text:
    """Return the texts one behind another, the shorter ones padded."""
    longest = max(mask.shape[1] for _, mask in texts)
    padding = [longest - mask.shape[1] for _, mask in texts]
    features = [F.pad(text, (0, 0, 0, more)) for (text, _), more in zip(texts, padding, strict=True)]
    masks = [F.pad(mask, (0, more)) for (_, mask), more in zip(texts, padding, strict=True)]
    return torch.cat(features), torch.cat(masks)
