"""Keys and values of the tokens so far, preallocated; how far it is filled is a Python integer."""

from collections.abc import Sequence
from copy import copy
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from lumos.lumos1.config import LumosConfig
from lumos.lumos1.model.attention import AttentionLayout, cached_attention


@runtime_checkable
class LayerHistory(Protocol):
    """What a block is given of the tokens before its own: one layer's part of what is kept of them."""

    def attend(
        self,
        q: Float[Tensor, "B N M E"],
        k: Float[Tensor, "B K L E"],
        v: Float[Tensor, "B K L E"],
        layout: AttentionLayout,
    ) -> Float[Tensor, "B N M E"]:
        """Return the attention of new tokens to those kept and to each other; their keys and values are written."""
        ...


class KVCache:
    """Keys and values of every layer, [B, K, capacity, E] each, for frame-by-frame decoding.

    A step writes its tokens after the `length` kept ones and attends to all of them; they are scratch, overwritten by
    the next step, until `advance` keeps them. No gradient passes through. Shorter rows are padded on the left: row b
    is real from column `starts[b]` on, and all rows share one `length`. The keys and values of a layer lie where that
    layer computes, which its first ones say.
    """

    def __init__(
        self,
        config: LumosConfig,
        *,
        batch_size: int,
        capacity: int,
        starts: Sequence[int] | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self._shape = (2, batch_size, config.num_key_value_heads, capacity, config.head_dim)
        self._dtype = dtype
        self._kv: list[Tensor | None] = [None] * config.num_hidden_layers
        self.starts = list(starts) if starts is not None else [0] * batch_size
        self.capacity = capacity
        self.length = 0
        if len(self.starts) != batch_size:
            raise ValueError(f"starts has {len(self.starts)} entries for {batch_size} rows; give one a row")

    def layer(self, index: int) -> "LayerCache":
        """Return the part of one layer."""
        return LayerCache(self, index)

    def append(
        self, layer: int, k: Float[Tensor, "B K L E"], v: Float[Tensor, "B K L E"]
    ) -> tuple[Float[Tensor, "B K S E"], Float[Tensor, "B K S E"]]:
        """Return views of all keys and values of `layer`, S = length + L, after writing the L new ones behind the kept.

        Raises:
            ValueError: the cache is too small.
        """
        end = self.length + k.shape[2]
        if end > self.capacity:
            raise ValueError(f"the cache holds {self.capacity} tokens and {end} are needed; make capacity larger")
        keys, values = self._layer(layer, k.device)
        keys[:, :, self.length : end] = k.detach()
        values[:, :, self.length : end] = v.detach()
        return keys[:, :, :end], values[:, :, :end]

    def advance(self, num_tokens: int) -> None:
        """Keep the first `num_tokens` tokens of the last step."""
        assert self.length + num_tokens <= self.capacity
        self.length += num_tokens

    def first_rows(self, num_rows: int) -> "KVCache":
        """Return a cache of the first rows, on the same memory and as full as this one is now."""
        view = copy(self)
        view._kv = [None if kv is None else kv[:, :num_rows] for kv in self._kv]
        view._shape = (2, num_rows, *self._shape[2:])
        view.starts = self.starts[:num_rows]
        return view

    def copy_rows(self, other: "KVCache", rows: Sequence[int]) -> None:
        """Take over everything `other` keeps: row b of this cache is row `rows[b]` of that one."""
        for layer, kept in enumerate(other._kv):
            if kept is not None:
                index = torch.tensor(rows, device=kept.device)
                kv = self._layer(layer, kept.device)
                kv[..., : other.length, :] = kept[..., : other.length, :].index_select(1, index)
        self.length = other.length

    def rewind(self, length: int) -> None:
        """Forget every token from column `length` on."""
        assert 0 <= length <= self.length
        self.length = length

    def _layer(self, layer: int, device: torch.device) -> Tensor:
        """Return keys and values of a layer, [2, B, K, capacity, E], with their memory taken on `device` if need be."""
        kv = self._kv[layer]
        if kv is None:
            self._kv[layer] = kv = torch.empty(self._shape, device=device, dtype=self._dtype)
        return kv


class LayerCache:
    """One layer's part of a cache: a block is given it with its tokens, so that no block holds a number of its own.

    A compiler guards each number that it finds on a module: blocks that differ in one would each be compiled apart.
    """

    def __init__(self, cache: KVCache, layer: int) -> None:
        self._cache, self._layer = cache, layer
        self.starts = cache.starts

    def append(
        self, k: Float[Tensor, "B K L E"], v: Float[Tensor, "B K L E"]
    ) -> tuple[Float[Tensor, "B K S E"], Float[Tensor, "B K S E"]]:
        """Return views of all keys and values of this layer; see `KVCache.append`."""
        return self._cache.append(self._layer, k, v)

    @torch.compiler.disable(reason="lengths are Python's numbers: traced, every frame and prompt would compile again")
    def attend(
        self,
        q: Float[Tensor, "B N M E"],
        k: Float[Tensor, "B K L E"],
        v: Float[Tensor, "B K L E"],
        layout: AttentionLayout,
    ) -> Float[Tensor, "B N M E"]:
        """Return the attention of new tokens to those in the cache and to each other, after appending them."""
        keys, values = self.append(k, v)
        if q.shape[2] == 0:  # the cache alone is wanted
            return q
        return cached_attention(q, keys, values, layout, starts=self.starts)
