"""A stand-in for flash-attn: its functions and keywords, by an explicit softmax on any device."""

import sys
from collections.abc import Callable
from types import ModuleType

import pytest
from torch import Tensor

from xllmx import attention


def explicit_softmax(q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor | None = None) -> Tensor:
    """softmax(q k^T / sqrt(E)) v, [B N L E] by [B K S E], a query head at a time: the reference."""
    shared = q.shape[1] // k.shape[1]
    gathered = q.new_empty(q.shape)
    for head in range(q.shape[1]):
        scores = q[:, head] @ k[:, head // shared].transpose(1, 2) / q.shape[-1] ** 0.5
        if mask is not None:
            own = mask.expand(len(q), q.shape[1], q.shape[2], k.shape[2])[:, head]
            scores = scores.masked_fill(~own, -float("inf"))
        gathered[:, head] = scores.softmax(-1) @ v[:, head // shared]
    return gathered


def flash_attn_func(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """[B L N E] by [B S K E]."""
    return explicit_softmax(*(x.transpose(1, 2) for x in (q, k, v))).transpose(1, 2)


def flash_attn_varlen_func(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    cu_seqlens_q: Tensor,
    cu_seqlens_k: Tensor,
    max_seqlen_q: int,
    max_seqlen_k: int,
) -> Tensor:
    """[L N E] by [S K E], cut at the bounds."""
    gathered = q.new_full(q.shape, float("nan"))
    bounds_q, bounds_k = cu_seqlens_q.tolist(), cu_seqlens_k.tolist()
    for item in range(len(bounds_q) - 1):
        queries = slice(bounds_q[item], bounds_q[item + 1])
        keys = slice(bounds_k[item], bounds_k[item + 1])
        assert queries.stop - queries.start <= max_seqlen_q
        assert keys.stop - keys.start <= max_seqlen_k
        gathered[queries] = flash_attn_func(q[None, queries], k[None, keys], v[None, keys])[0]
    return gathered


def install(monkeypatch: pytest.MonkeyPatch, *, name: str = "flash_attn") -> list[str]:
    """Makes `name` the only flash-attn there is; returns the list that its calls are noted in."""
    calls: list[str] = []

    def noted(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def call(*tensors: Tensor, **options: object) -> Tensor:
            calls.append(function.__name__)
            return function(*tensors, **options)

        return call

    uninstall(monkeypatch)
    module = ModuleType(name)
    module.__dict__.update(flash_attn_func=noted(flash_attn_func), flash_attn_varlen_func=noted(flash_attn_varlen_func))
    monkeypatch.setitem(sys.modules, name, module)
    return calls


def uninstall(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hides flash-attn, even where it is installed; forgets what was found before."""
    for name in ("flash_attn_interface", "flash_attn"):
        monkeypatch.setitem(sys.modules, name, None)  # type: ignore[arg-type]  # how Python spells "not there"
    attention._flash.cache_clear()
