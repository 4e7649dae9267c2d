"""The weights that training starts from; a rank that holds part of the model fills just that part."""

from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from lumos.lumos1.model.modeling import LumosForCausalLM
from lumos.lumos1.model.weights import StoredWeights, check_shapes, new_rows
from xllmx.ranks.sharding import fill_rows


def fresh_weights(model: LumosForCausalLM, *, generator: torch.Generator) -> None:
    """Draw all weights anew, the same numbers however the model is sharded.

    Every rank draws every tensor, one at a time, and keeps its rows.
    """
    for parameter, values in model.drawn_parameters(generator=generator):
        fill_rows(parameter, values.__getitem__)


def stored_weights(model: LumosForCausalLM, folder: Path | str, *, generator: torch.Generator) -> None:
    """Read the weights in a folder, only the rows this rank holds, in the dtype of the model.

    A smaller vocabulary grows: old rows are copied, new ones drawn (a text model as a start, README 5).

    Raises:
        ValueError: there are none, a file is broken, or they are not those of the model's config; lists every name.
    """
    stored, config = StoredWeights(folder), model.config
    grown = new_rows(stored.shapes, vocab_size=config.vocab_size, std=config.initializer_range, generator=generator)
    check_shapes(model, {**stored.shapes, **{name: (config.vocab_size, rows.shape[1]) for name, rows in grown.items()}})
    for name, parameter in model.named_parameters():
        fill_rows(parameter, partial(_rows, stored, name, grown.get(name)))


def _rows(stored: StoredWeights, name: str, new: Tensor | None, rows: slice) -> Tensor:
    num_old = stored.shapes[name][0]
    if new is None or rows.stop <= num_old:
        return stored.rows(name, rows)
    drawn = new[max(rows.start - num_old, 0) : rows.stop - num_old]
    if rows.start >= num_old:
        return drawn
    old = stored.rows(name, slice(rows.start, num_old))
    return torch.cat([old, drawn.to(old.dtype)])
