"""flash-attn against PyTorch's own attention, where it is there: numbers, gradients and times."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from benchmarks.device.findings import Check, Findings, Row, relative_error
from benchmarks.device.place import Place
from lumos.lumos1.model.attention import frame_causal_attention, layout_of
from xllmx.kernels.attention import attention, resolve_backend
from xllmx.kernels.flash import find_flash

_MOST = {torch.bfloat16: 0.02, torch.float32: 1e-5}
"""Of the norm, against fp32: outputs and gradients are rounded to 8 bits in bf16."""
_ALONE = [0, 1, 2, *[3] * 16, *[4] * 16, 5, 6]
_PACKED = [-1, 0, *[1] * 16, 0, 1, *[2] * 16, 3]  # padding, then two samples

Attend = Callable[[Tensor, Tensor, Tensor], Tensor]


def flash(place: Place) -> Findings:
    """Return what was found, or why nothing was looked at."""
    what, dtype = "flash-attn against PyTorch's own attention", torch.bfloat16
    if not place.is_cuda:
        return Findings(left_out=[f"{what}: it needs a CUDA GPU"])
    try:
        resolve_backend("flash", device=place.device, dtype=dtype)
    except ValueError as reason:
        return Findings(left_out=[f"{what}: {reason}"])
    found = find_flash()
    assert not isinstance(found, str)
    name = f"flash-attn ({found.name})"
    q, k, v = _drawn((2, 16, 1808, 64), (2, 16, 5600, 64), device=place.device, dtype=dtype)
    rows = [
        Row(name=f"a frame on its history, {who}", value=place.ms(partial(attention, q, k, v, backend=by)), unit="ms")
        for who, by in ((name, "flash"), ("PyTorch", "sdpa"))
    ]
    return Findings(rows=rows, checks=flash_checks(place.device, dtype=dtype))


def flash_checks(device: torch.device, *, dtype: torch.dtype) -> list[Check]:
    """Return whether flash-attn gives the numbers and gradients of PyTorch's attention in fp32."""
    dense = (4, 12, 40, 64), (4, 4, 72, 64)
    cases: dict[str, tuple[tuple[tuple[int, ...], tuple[int, ...]], Callable[[str], Attend]]] = {
        "dense": (dense, lambda backend: lambda q, k, v: attention(q, k, v, backend=backend)),
        "causal": (dense, lambda backend: lambda q, k, v: attention(q, k, v, causal=True, backend=backend)),
        "rows alike": (_rows([_ALONE, _ALONE]), _frames([_ALONE, _ALONE])),
        "rows padded and packed": (_rows([_ALONE, _PACKED]), _frames([_ALONE, _PACKED])),
    }
    checks = []
    for name, (shapes, attend) in cases.items():
        inputs = _drawn(*shapes, device=device, dtype=dtype)
        found = _with_gradients(attend("flash"), inputs)
        expected = _with_gradients(attend("sdpa"), [x.float() for x in inputs])
        error = max(relative_error(one, right) for one, right in zip(found, expected, strict=True))
        checks.append(Check(name=f"flash-attn equals PyTorch's in fp32, {name}", found=error, most=_MOST[dtype]))
    return checks


def _rows(blocks: list[list[int]]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return (len(blocks), 12, len(blocks[0]), 64), (len(blocks), 4, len(blocks[0]), 64)


def _frames(blocks: list[list[int]]) -> Callable[[str], Attend]:
    """Return the frame-causal attention of these rows by a backend, 0 in the padding."""

    def by(backend: str) -> Attend:
        def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            numbers = torch.tensor(blocks, device=q.device)
            layout = layout_of(numbers, backend="flash" if backend == "flash" else "mask")
            return frame_causal_attention(q, k, v, layout) * (numbers >= 0)[:, None, :, None]

        return attend

    return by


def _drawn(
    queries: tuple[int, ...], keys: tuple[int, ...], *, device: torch.device, dtype: torch.dtype
) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=generator).to(device, dtype) for shape in (queries, keys, keys)]


def _with_gradients(attend: Attend, inputs: list[Tensor]) -> list[Tensor]:
    leaves = [x.detach().clone().requires_grad_() for x in inputs]
    output = attend(*leaves)
    return [output.detach(), *torch.autograd.grad(output.float().square().sum(), leaves)]
