"""What the network keeps of the texts: their mean, and what each block attends to (README section 2.5)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from xllmx.copies import to_device
from xllmx.kernels.attention import Spans


class KeysValues(NamedTuple):
    """Keys and values that one block makes of the texts."""

    keys: Float[Tensor, "B S K E"]
    values: Float[Tensor, "B S K E"]


@dataclass(frozen=True, kw_only=True, eq=False)
class TextStates:
    """The texts of a batch as the network uses them, without padding where it can be; see `encode_text` of the model.

    The same for all steps of a sampling run, whatever the noise, the time, the motion score and the scale.
    """

    pooled: Float[Tensor, "B c"]
    """The share of the conditioning vector that comes from the text."""
    layers: Sequence[KeysValues | Float[Tensor, "B S Y"]]
    """For each block its keys and values, or the features that it is to make them of."""
    spans: Spans
    """The valid tokens of each item."""
    mask: Bool[Tensor, "B S"] | None
    """True where a token is valid; None where all texts are equally long."""


def valid_tokens(
    features: Float[Tensor, "B L D"], mask: Bool[Tensor, "B L"] | None
) -> tuple[Float[Tensor, "B S D"], list[int]]:
    """Return the features of valid tokens, S of the longest text, and how many each item has; 0 behind shorter ones.

    Their order is kept, wherever the padding stood. Reads the mask: on an accelerator it waits once.

    Raises:
        ValueError: an item without a valid token.
    """
    if mask is None:
        return features, [features.shape[1]] * features.shape[0]
    lengths = mask.sum(1).tolist()
    if 0 in lengths:
        raise ValueError(
            f"text_mask leaves item {lengths.index(0)} without a token; an empty text has one, that of its beginning"
        )
    order = mask.int().argsort(dim=1, descending=True, stable=True)[:, : max(lengths)]
    valid = features.masked_fill(~mask[..., None], 0).gather(1, order[..., None].expand(-1, -1, features.shape[2]))
    return valid, lengths


def mean_of(valid: Float[Tensor, "B S D"], lengths: Sequence[int]) -> Float[Tensor, "B D"]:
    """Return each item's mean over its valid tokens, in fp32; behind them there are zeros (`valid_tokens`)."""
    counts = to_device(torch.tensor(lengths, dtype=torch.float32), valid.device)
    return valid.sum(1, dtype=torch.float32) / counts[:, None]
