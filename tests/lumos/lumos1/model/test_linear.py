"""The fast products equal torch's own; attention by head equals the fused kernel's."""

import pytest
import torch
import torch.nn.functional as F

from lumos.lumos1.model.attention import cached_attention, frame_layout
from lumos.lumos1.model.linear import Linear, linear


@pytest.mark.parametrize("shape", [(2, 7, 20), (0, 20), (3, 20), (20,)])
@pytest.mark.parametrize("bias", [True, False])
def test_linear_is_torchs(shape: tuple[int, ...], bias: bool) -> None:
    x, weight, offset = torch.randn(shape), torch.randn(30, 20), torch.randn(30) if bias else None
    with torch.no_grad():
        torch.testing.assert_close(linear(x, weight, offset), F.linear(x, weight, offset), atol=1e-5, rtol=1e-5)
        rows = torch.randn(40, 20)[5:35]
        torch.testing.assert_close(linear(x, rows), F.linear(x, rows), atol=1e-5, rtol=1e-5)


def test_a_layer_has_gradients_and_is_the_same_without() -> None:
    layer, x = Linear(12, 5), torch.randn(3, 12)
    layer(x).sum().backward()
    torch.testing.assert_close(layer.weight.grad, x.sum(0).expand(5, -1))
    with torch.inference_mode():
        torch.testing.assert_close(layer(x), F.linear(x, layer.weight, layer.bias), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
def test_attention_by_head_equals_the_fused_kernel(dtype: torch.dtype, tolerance: float) -> None:
    q, (k, v) = torch.randn(2, 6, 600, 16).to(dtype), torch.randn(2, 2, 3, 1000, 16).to(dtype)
    expected = F.scaled_dot_product_attention(q.float(), k.float(), v.float(), enable_gqa=True)
    with torch.inference_mode():
        gathered = cached_attention(q, k, v, frame_layout(2, 600), starts=[0, 0])
    torch.testing.assert_close(gathered.float(), expected, atol=tolerance, rtol=tolerance)
