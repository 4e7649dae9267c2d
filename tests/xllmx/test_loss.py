"""The chunked head equals the whole one, in value and gradient."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from xllmx.loss import chunked_cross_entropy

M, D, V = 7, 5, 11


def inputs(dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor]:
    hidden = torch.randn(M, D, dtype=dtype, requires_grad=True)
    weight = torch.randn(V, D, dtype=dtype, requires_grad=True)
    return hidden, weight, torch.randint(0, V, (M,))


def reference(hidden: Tensor, weight: Tensor, targets: Tensor, *, gamma: float, z_loss: float, w: Tensor) -> Tensor:
    """The literal formula on the whole logits, in double precision."""
    logits = hidden.double() @ weight.double().t()
    ce = F.cross_entropy(logits, targets, reduction="none")
    return (w.double() * (1 - torch.exp(-ce)) ** gamma * ce).sum() + z_loss * logits.logsumexp(-1).square().sum()


@pytest.mark.parametrize("chunk", [1, 3, M, 100, None])
@pytest.mark.parametrize(("gamma", "z_loss"), [(0.0, 0.0), (2.0, 0.0), (0.5, 0.0), (0.0, 0.3), (2.0, 0.3)])
def test_value_and_gradients_equal_the_whole_logits(chunk: int | None, gamma: float, z_loss: float) -> None:
    hidden, weight, targets = inputs()
    w = torch.rand(M)
    output = chunked_cross_entropy(
        hidden, weight, targets, chunk=chunk, focal_gamma=gamma, z_loss=z_loss, target_weights=w
    )
    expected = reference(hidden, weight, targets, gamma=gamma, z_loss=z_loss, w=w)
    torch.testing.assert_close(output.sum.double(), expected, rtol=1e-5, atol=1e-5)
    ours = torch.autograd.grad(output.sum * -2.5, (hidden, weight))
    theirs = torch.autograd.grad(expected * -2.5, (hidden, weight))
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_rows_and_metrics_are_those_of_cross_entropy() -> None:
    hidden, weight, targets = inputs()
    output = chunked_cross_entropy(hidden, weight, targets, chunk=2, z_loss=0.1)
    logits = hidden @ weight.t()
    rows = F.cross_entropy(logits, targets, reduction="none")
    torch.testing.assert_close(output.target_losses, rows.detach())
    assert not output.target_losses.requires_grad
    assert output.count == M
    assert output.metrics["ce"] == (pytest.approx(rows.sum().item(), rel=1e-5), M)
    assert output.metrics["accuracy"] == ((logits.argmax(-1) == targets).sum(), M)
    assert output.metrics["z_loss"][0] == pytest.approx(logits.logsumexp(-1).square().sum().item(), rel=1e-5)


def test_no_rows_give_zero_loss_and_zero_gradients() -> None:
    hidden, weight, targets = inputs()
    output = chunked_cross_entropy(hidden[:0], weight, targets[:0])
    assert (output.sum.item(), output.count, output.target_losses.shape) == (0.0, 0, (0,))
    gradients = torch.autograd.grad(output.sum, (hidden, weight))
    assert all(not gradient.any() for gradient in gradients)


def test_a_slice_of_a_head_gets_its_gradient_in_place() -> None:
    hidden, head, targets = inputs()
    chunked_cross_entropy(hidden, head[4:], targets % (V - 4)).sum.backward()
    assert not head.grad[:4].any()
    assert head.grad[4:].any(dim=1).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_classes_are_the_slice_of_the_head(dtype: torch.dtype) -> None:
    hidden, weight, targets = inputs(dtype)
    outputs = [
        chunked_cross_entropy(hidden, weight, targets % 6, classes=slice(3, 9), chunk=2),
        chunked_cross_entropy(hidden, weight[3:9], targets % 6, chunk=2),
    ]
    assert outputs[0].sum == outputs[1].sum
    ours, theirs = (torch.autograd.grad(output.sum * 0.7, (hidden, weight)) for output in outputs)
    for one, other in zip(ours, theirs, strict=True):
        assert one.dtype == dtype
        assert one.equal(other)


def test_a_second_backward_is_refused() -> None:
    hidden, weight, targets = inputs()
    loss = chunked_cross_entropy(hidden, weight, targets).sum
    loss.backward(retain_graph=True)
    with pytest.raises(AssertionError, match="earlier backward"):
        loss.backward()


def test_under_autocast_the_products_are_bf16_and_the_loss_fp32() -> None:
    hidden, weight, targets = inputs()
    with torch.autocast("cpu", torch.bfloat16):
        output = chunked_cross_entropy(hidden, weight, targets, chunk=3)
    output.sum.backward()
    logits = (hidden.detach().bfloat16() @ weight.detach().bfloat16().t()).float()  # bf16 values, everything after fp32
    expected = F.cross_entropy(logits, targets, reduction="sum")
    torch.testing.assert_close(output.sum, expected, rtol=1e-6, atol=1e-6)
    assert hidden.grad.dtype == weight.grad.dtype == torch.float32
    exact = torch.autograd.grad(chunked_cross_entropy(hidden, weight, targets).sum, (hidden, weight))
    torch.testing.assert_close((hidden.grad, weight.grad), exact, rtol=0.05, atol=0.05)


def test_bf16_inputs_accumulate_loss_and_weight_gradient_in_fp32() -> None:
    rows = 4096
    hidden = torch.zeros(rows, 2, dtype=torch.bfloat16)
    weight = torch.zeros(3, 2, dtype=torch.bfloat16, requires_grad=True)
    output = chunked_cross_entropy(hidden + 1, weight, torch.zeros(rows, dtype=torch.long), chunk=4)
    assert output.sum.item() == pytest.approx(rows * torch.log(torch.tensor(3.0)).item(), rel=1e-5)
    output.sum.backward()
    # every row adds (1/3 - 1, 1/3, 1/3); summed in bf16 the tail would be lost after a few hundred rows
    assert weight.grad[1].float().tolist() == pytest.approx([rows / 3] * 2, rel=5e-3)


def test_large_logits_stay_finite() -> None:
    hidden = torch.tensor([[1e4]], requires_grad=True)
    output = chunked_cross_entropy(hidden, torch.tensor([[1.0], [-1.0]]), torch.tensor([0]), focal_gamma=0.5)
    output.sum.backward()
    assert output.sum.item() == 0
    assert torch.isfinite(hidden.grad).all()


@pytest.mark.parametrize(("setting", "message"), [({"chunk": 0}, "chunk is 0"), ({"focal_gamma": -1.0}, "focal_gamma")])
def test_bad_settings_are_named(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        chunked_cross_entropy(*inputs(), **setting)
