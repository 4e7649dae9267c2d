"""Fresh embedding and head rows of visual codes: codes whose FSQ levels are near start with rows near each other.

A code of an FSQ tokenizer is a number in mixed radix: one digit for each quantised dimension (Mentzer et al. 2023).
Drawn independently, the rows of 8000 or 64000 codes have to learn one by one that, say, two reds are alike. Here a row
is a sum over dimensions of a direction times the level and an offset of the level, plus some noise of its own. On the
bundled world that halves the steps to a loss.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lumos.lumos1.model.modeling import LumosForCausalLM
from xllmx.ranks.sharding import set_rows

_OFFSET = 0.5  # of each level, against the direction of its dimension
_NOISE = 0.3  # share of a row's deviation that is its own


def code_digits(num_codes: int, levels: Sequence[int]) -> Int[Tensor, "C n"]:
    """Return the level 0..levels[n]-1 of each code in each of the n dimensions; the first dimension runs fastest.

    Raises:
        ValueError: the levels do not make `num_codes` codes.
    """
    if math.prod(levels) != num_codes:
        raise ValueError(
            f"code_levels {tuple(levels)} make {math.prod(levels)} codes, but the vocabulary has {num_codes}; give the "
            "levels of the visual tokenizer, (8, 8, 8, 5, 5, 5) for the released one"
        )
    codes, digits = torch.arange(num_codes), []
    for size in levels:
        digits.append(codes % size)
        codes = codes // size
    return torch.stack(digits, dim=1)


def structured_rows(
    num_codes: int, levels: Sequence[int], *, width: int, std: float, generator: torch.Generator
) -> Float[Tensor, "C D"]:
    """Return rows of mean 0 and deviation `std` in code order, fp32, drawn with `generator` alone.

    Raises:
        ValueError: the levels do not make `num_codes` codes.
    """
    rows = torch.zeros(num_codes, width)
    for size, digits in zip(levels, code_digits(num_codes, levels).unbind(dim=1), strict=True):
        direction = torch.randn(width, generator=generator)
        offsets = _OFFSET * torch.randn(size, width, generator=generator)
        rows += (torch.linspace(-1, 1, size)[:, None] * direction + offsets)[digits]
    rows *= math.sqrt(1 - _NOISE**2) / rows.std()
    rows += _NOISE * torch.randn(num_codes, width, generator=generator)
    return rows * std


@torch.no_grad()
def relate_codes(model: LumosForCausalLM, levels: Sequence[int], *, generator: torch.Generator) -> None:
    """Draw the visual rows of embedding and head anew, with `structured_rows`.

    Raises:
        ValueError: the levels do not make the vocabulary's codes.
    """
    vocab, config = model.vocab, model.config
    ids = vocab.code_ids(torch.arange(vocab.num_codes))
    for weight in (model.model.embed_tokens.weight, model.lm_head.weight):
        rows = structured_rows(
            vocab.num_codes, levels, width=config.hidden_size, std=config.initializer_range, generator=generator
        )
        set_rows(weight, ids, rows)
