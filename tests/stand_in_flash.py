"""A stand-in for flash-attn: its functions and keywords, by an explicit softmax on any device."""

import sys
from collections.abc import Callable
from types import ModuleType

import pytest
import torch
from torch import Tensor

from xllmx.kernels import flash


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


def flash_attn_func(q: Tensor, k: Tensor, v: Tensor, *, causal: bool = False) -> Tensor:
    """[B L N E] by [B S K E]; `causal` lets the last query see all keys, the one before it all but the last."""
    assert k.shape[1] >= q.shape[1] or not causal
    mask = torch.ones(q.shape[1], k.shape[1], dtype=torch.bool).tril(k.shape[1] - q.shape[1]) if causal else None
    return explicit_softmax(*(x.transpose(1, 2) for x in (q, k, v)), mask=mask).transpose(1, 2)


def flash_attn_varlen_func(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    cu_seqlens_q: Tensor,
    cu_seqlens_k: Tensor,
    max_seqlen_q: int,
    max_seqlen_k: int,
    causal: bool = False,
) -> Tensor:
    """[L N E] by [S K E], cut at the bounds."""
    assert cu_seqlens_q.dtype == cu_seqlens_k.dtype == torch.int32
    gathered = q.new_full(q.shape, float("nan"))
    bounds_q, bounds_k = cu_seqlens_q.tolist(), cu_seqlens_k.tolist()
    for item in range(len(bounds_q) - 1):
        queries = slice(bounds_q[item], bounds_q[item + 1])
        keys = slice(bounds_k[item], bounds_k[item + 1])
        assert queries.stop - queries.start <= max_seqlen_q
        assert keys.stop - keys.start <= max_seqlen_k
        gathered[queries] = flash_attn_func(q[None, queries], k[None, keys], v[None, keys], causal=causal)[0]
    return gathered


def varlen_attn(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    cu_seq_q: Tensor,
    cu_seq_k: Tensor,
    max_q: int,
    max_k: int,
    *,
    window_size: tuple[int, int] = (-1, -1),
    enable_gqa: bool = False,
) -> Tensor:
    """PyTorch's own signature of the same."""
    assert enable_gqa or query.shape[1] == key.shape[1]
    bounds = {"cu_seqlens_q": cu_seq_q, "cu_seqlens_k": cu_seq_k, "max_seqlen_q": max_q, "max_seqlen_k": max_k}
    return flash_attn_varlen_func(query, key, value, **bounds, causal=window_size == (-1, 0))


def install(monkeypatch: pytest.MonkeyPatch, *, name: str = "flash_attn") -> list[str]:
    """Makes `name` the only flash-attn there is; returns the list that its calls are noted in."""
    calls: list[str] = []
    uninstall(monkeypatch)
    monkeypatch.setitem(sys.modules, name, module_noting(calls, name=name))
    return calls


def activate_in_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes PyTorch say that it has flash-attn 3 activated."""
    uninstall(monkeypatch)
    monkeypatch.setattr(flash, "current_flash_attention_impl", lambda: "FA3")
    monkeypatch.setattr("torch.nn.attention.varlen.varlen_attn", varlen_attn)


def module_noting(calls: list[str], *, name: str = "flash_attn") -> ModuleType:
    """Returns a flash-attn that notes its calls."""

    def noted(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def call(*tensors: Tensor, **options: object) -> Tensor:
            calls.append(function.__name__)
            return function(*tensors, **options)

        return call

    module = ModuleType(name)
    module.__dict__.update(flash_attn_func=noted(flash_attn_func), flash_attn_varlen_func=noted(flash_attn_varlen_func))
    return module


def uninstall(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hides flash-attn, even where it is installed; forgets what was found before."""
    for name in ("flash_attn_interface", "flash_attn", "kernels"):
        monkeypatch.setitem(sys.modules, name, None)  # type: ignore[arg-type]  # how Python spells "not there"
    flash._installed.cache_clear()
