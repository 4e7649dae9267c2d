"""Attention against an explicit masked softmax, by every backend."""

import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch

from tests import stand_in_flash
from tests.stand_in_flash import explicit_softmax
from xllmx.kernels import flash
from xllmx.kernels.attention import attention, packed_attention, resolve_backend, spans_of

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.fixture(autouse=True)
def _no_flash(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    stand_in_flash.uninstall(monkeypatch)
    yield
    flash._installed.cache_clear()


def drawn(*shapes: tuple[int, ...]) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    return [torch.randn(shape, generator=generator) for shape in shapes]


@pytest.mark.parametrize("kv_heads", [1, 2, 6])
def test_attention_is_the_softmax_of_scaled_products(kv_heads: int) -> None:
    q, k, v = drawn((2, 6, 3, 8), (2, kv_heads, 5, 8), (2, kv_heads, 5, 8))
    torch.testing.assert_close(attention(q, k, v), explicit_softmax(q, k, v))


@pytest.mark.parametrize("shape", [(2, 6, 3, 5), (2, 1, 3, 5), (1, 1, 3, 5), (2, 1, 1, 5)])
def test_a_mask_of_any_broadcast_shape_says_what_is_seen(shape: tuple[int, ...]) -> None:
    q, k, v = drawn((2, 6, 3, 8), (2, 2, 5, 8), (2, 2, 5, 8))
    mask = torch.rand(shape, generator=torch.Generator().manual_seed(1)) < 0.5
    mask[..., 2] = True
    torch.testing.assert_close(attention(q, k, v, mask=mask), explicit_softmax(q, k, v, mask=mask))


def test_neighbouring_query_heads_share_a_key_head() -> None:
    """Not every K-th: with keys that differ only between heads, heads 0..2 gather from the first."""
    q, k, v = torch.zeros(1, 6, 1, 8), torch.zeros(1, 2, 1, 8), torch.tensor([1.0, 2.0]).view(1, 2, 1, 1)
    assert attention(q, k, v.expand(1, 2, 1, 8))[0, :, 0, 0].tolist() == [1, 1, 1, 2, 2, 2]


def test_packed_items_see_nothing_of_each_other() -> None:
    q, k, v = drawn((6, 4, 8), (9, 2, 8), (9, 2, 8))
    packed = packed_attention(
        q, k, v, queries=spans_of((1, 3, 2), device="cpu"), keys=spans_of((4, 2, 3), device="cpu")
    )
    mask = torch.zeros(6, 9, dtype=torch.bool)
    mask[:1, :4] = mask[1:4, 4:6] = mask[4:, 6:] = True
    dense = explicit_softmax(*(x.transpose(0, 1)[None] for x in (q, k, v)), mask=mask)
    torch.testing.assert_close(packed, dense[0].transpose(0, 1))


def test_spans_hold_the_ends_of_items() -> None:
    spans = spans_of([3, 2], device="cpu")
    assert spans.lengths == (3, 2)
    assert spans.bounds.tolist() == [0, 3, 5]
    assert spans.bounds.dtype == torch.int32


@pytest.mark.parametrize("lengths", [(3, 5), (4, 4), (1, 5)])
def test_causal_lets_the_last_query_see_all_keys(lengths: tuple[int, int]) -> None:
    length, num_keys = lengths
    q, k, v = drawn((2, 6, length, 8), (2, 2, num_keys, 8), (2, 2, num_keys, 8))
    seen = [[key <= query + num_keys - length for key in range(num_keys)] for query in range(length)]
    found = attention(q, k, v, causal=True, backend="sdpa")
    torch.testing.assert_close(found, explicit_softmax(q, k, v, mask=torch.tensor(seen)))


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("source", ["torch", "flash_attn"])
def test_flash_gives_the_numbers_and_gradients_of_sdpa(
    source: str, causal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if source == "torch":
        stand_in_flash.activate_in_torch(monkeypatch)
    else:
        stand_in_flash.install(monkeypatch)
    spans = {"queries": spans_of((1, 3, 2), device="cpu"), "keys": spans_of((4, 5, 3), device="cpu")}
    for call, tensors, how in (
        (attention, drawn((2, 6, 3, 8), (2, 2, 5, 8), (2, 2, 5, 8)), {}),
        (attention, drawn((2, 6, 4, 8), (2, 2, 4, 8), (2, 2, 4, 8)), {}),
        (packed_attention, drawn((6, 4, 8), (12, 2, 8), (12, 2, 8)), spans),
    ):
        results = []
        for backend in ("flash", "sdpa"):
            leaves = [x.clone().requires_grad_() for x in tensors]
            output = call(*leaves, **how, causal=causal, backend=backend)
            results.append([output, *torch.autograd.grad(output.square().sum(), leaves)])
        for found, wanted in zip(*results, strict=True):
            torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("name", ["flash_attn_interface", "flash_attn"])
def test_both_functions_of_flash_are_called(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = stand_in_flash.install(monkeypatch, name=name)
    q, k, v = drawn((2, 6, 3, 8), (2, 2, 5, 8), (2, 2, 5, 8))
    torch.testing.assert_close(attention(q, k, v, backend="flash"), attention(q, k, v, backend="sdpa"))
    spans = {"queries": spans_of((1, 3, 2), device="cpu"), "keys": spans_of((4, 2, 3), device="cpu")}
    packed = drawn((6, 4, 8), (9, 2, 8), (9, 2, 8))
    flash = packed_attention(*packed, **spans, backend="flash")
    torch.testing.assert_close(flash, packed_attention(*packed, **spans, backend="sdpa"))
    assert calls == ["flash_attn_func", "flash_attn_varlen_func"]


def test_auto_is_sdpa_on_a_cpu_even_with_flash_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = stand_in_flash.install(monkeypatch)
    q, k, v = drawn((1, 2, 3, 8), (1, 2, 5, 8), (1, 2, 5, 8))
    attention(q, k, v)
    assert calls == []
    assert resolve_backend("auto", device=CPU, dtype=torch.bfloat16) == "sdpa"


@pytest.mark.parametrize(
    ("dtype", "capability", "expected"),
    [
        (torch.bfloat16, (9, 0), "flash"),
        (torch.float16, (8, 0), "flash"),
        (torch.float32, (9, 0), "sdpa"),
        (torch.bfloat16, (7, 5), "sdpa"),
    ],
)
def test_auto_on_cuda_is_flash_in_half_precision(
    dtype: torch.dtype, capability: tuple[int, int], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert resolve_backend("auto", device=CUDA, dtype=dtype) == "sdpa"
    stand_in_flash.install(monkeypatch)
    assert resolve_backend("auto", device=CUDA, dtype=dtype) == expected


def test_flash_is_refused_where_it_is_not_installed() -> None:
    q, k, v = drawn((1, 2, 3, 8), (1, 2, 5, 8), (1, 2, 5, 8))
    refusal = r"'flash', but flash-attn is not usable here .*flash_attn.*kernels.*'\.\[flash\]'.* take 'sdpa'"
    with pytest.raises(ValueError, match=refusal):
        attention(q, k, v, backend="flash")


def test_flash_is_refused_where_it_cannot_compute(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in_flash.install(monkeypatch)
    with pytest.raises(ValueError, match=r"does not compute in torch.float32; take bf16 or 'sdpa'"):
        resolve_backend("flash", device=CUDA, dtype=torch.float32)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    with pytest.raises(ValueError, match=r"needs a GPU of Ampere's or a later kind; take 'sdpa'"):
        resolve_backend("flash", device=CUDA, dtype=torch.bfloat16)
    q, k, v = drawn((1, 2, 3, 8), (1, 2, 5, 8), (1, 2, 5, 8))
    with pytest.raises(ValueError, match="takes no mask; take 'sdpa'"):
        attention(q, k, v, mask=torch.ones(1, 1, 3, 5, dtype=torch.bool), backend="flash")


def test_an_unknown_backend_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="'flux'; choose one of auto, sdpa, cudnn, flash"):
        resolve_backend("flux", device=CPU, dtype=torch.float32)


def test_flash_is_not_imported_at_import_time() -> None:
    lines = (
        "import sys, xllmx.kernels.attention; print(any(name.startswith(('flash', 'kernels')) for name in sys.modules))"
    )
    shown = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "False"


def gradients_of(tensors: list[torch.Tensor], *, autocast: bool = False) -> list[torch.Tensor]:
    leaves = [x.detach().requires_grad_() for x in tensors]
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        output = attention(*leaves)
    assert output.dtype == tensors[0].dtype
    return list(torch.autograd.grad(output.float().square().sum(), leaves))


def test_training_in_bf16_on_a_cpu_makes_its_products_in_fp32() -> None:
    half = [x.bfloat16() for x in drawn((2, 6, 3, 8), (2, 2, 5, 8), (2, 2, 5, 8))]
    found = gradients_of(half)
    for gradient, wanted in zip(found, gradients_of([x.float() for x in half]), strict=True):
        assert (gradient.float() - wanted).abs().max() < 0.01 * wanted.abs().max()
    assert all(map(torch.equal, found, gradients_of(half, autocast=True)))  # which would make them in bf16
