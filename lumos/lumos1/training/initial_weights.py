"""The weights that training starts from; a rank that holds part of the model fills just that part."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from lumos.hub.models import read_json
from lumos.lumos1.model.modeling import LumosForCausalLM
from lumos.lumos1.model.weights import StoredWeights, check_shapes, new_rows
from xllmx.ranks.sharding import fill_rows

_BLOCKS = "model.layers."
_BLOCK = re.compile(re.escape(_BLOCKS) + r"(?P<block>\d+)\.(?P<weight>.+)")
_LAST_OF_A_BLOCK = ("self_attn.o_proj.", "mlp.down_proj.")
"""What a block adds to its input is made by these two."""


def fresh_weights(model: LumosForCausalLM, *, generator: torch.Generator) -> None:
    """Draw all weights anew, the same numbers however the model is sharded.

    Every rank draws every tensor, one at a time, and keeps its rows.
    """
    for parameter, values in model.drawn_parameters(generator=generator):
        fill_rows(parameter, values.__getitem__)


def stored_weights(model: LumosForCausalLM, folder: Path | str, *, generator: torch.Generator) -> None:
    """Read the weights in a folder, only the rows this rank holds, in the dtype of the model.

    A smaller vocabulary grows: old rows are copied, new ones drawn (a text model as a start, README 5). So does a
    shallower model: blocks are repeated where they stand, and the copies add nothing at first (`repeated_blocks`).

    Raises:
        ValueError: there are none, a file is broken, or they are not those of the model's config; lists every name.
    """
    stored, config = StoredWeights(folder), model.config
    grown = new_rows(stored.shapes, vocab_size=config.vocab_size, std=config.initializer_range, generator=generator)
    num_stored = read_json(Path(folder) / "config.json").get("num_hidden_layers")
    sources = repeated_blocks(stored.shapes, num_stored=num_stored, num_blocks=config.num_hidden_layers)
    shapes = {name: stored.shapes[source.name] for name, source in sources.items()}
    check_shapes(model, {**shapes, **{name: (config.vocab_size, rows.shape[1]) for name, rows in grown.items()}})
    for name, parameter in model.named_parameters():
        source = sources[name]
        if source.is_silent:
            fill_rows(parameter, partial(_zeros, tuple(parameter.shape)))
        else:
            fill_rows(parameter, partial(_rows, stored, source.name, grown.get(name)))


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a weight of the model comes from."""

    name: str
    """The stored weight it is a copy of."""
    is_silent: bool = False
    """Whether it is zero instead, so that the block adds nothing to its input."""


def repeated_blocks(stored_names: Iterable[str], *, num_stored: int | None, num_blocks: int) -> dict[str, Source]:
    """Return where each weight of a model of `num_blocks` blocks comes from, given the names of one of `num_stored`.

    Block j is a copy of block floor(j n / m), n of m: the first of its copies is that block, the others stand behind it
    with their last matrices zero, so the deeper model computes the same (LLaMA Pro, arXiv 2401.02415, section 3.2).
    Of as many blocks or more, and where a stored one is missing, every weight is its own.
    """
    sources, blocks = {name: Source(name=name) for name in stored_names}, dict[int, list[str]]()
    for match in filter(None, map(_BLOCK.fullmatch, sources)):
        blocks.setdefault(int(match["block"]), []).append(match["weight"])
    if num_stored is None or num_blocks <= num_stored or set(blocks) != set(range(num_stored)):
        return sources
    taken: set[int] = set()
    for block in range(num_blocks):
        old = block * num_stored // num_blocks
        for weight in blocks[old]:
            silent = old in taken and weight.startswith(_LAST_OF_A_BLOCK)
            sources[f"{_BLOCKS}{block}.{weight}"] = Source(name=f"{_BLOCKS}{old}.{weight}", is_silent=silent)
        taken.add(old)
    return sources


def _zeros(shape: tuple[int, ...], rows: slice) -> Tensor:
    return torch.zeros(rows.stop - rows.start, *shape[1:])


def _rows(stored: StoredWeights, name: str, new: Tensor | None, rows: slice) -> Tensor:
    num_old = stored.shapes[name][0]
    if new is None or rows.stop <= num_old:
        return stored.rows(name, rows)
    drawn = new[max(rows.start - num_old, 0) : rows.stop - num_old]
    if rows.start >= num_old:
        return drawn
    old = stored.rows(name, slice(rows.start, num_old))
    return torch.cat([old, drawn.to(old.dtype)])
