"""Muon: orthogonal updates of matrices, AdamW for the rest, one state that is saved and loaded."""

from copy import deepcopy

import pytest
import torch
from torch import nn
from torch.distributed.checkpoint import state_dict as dcp_state

from xllmx.optimisation.muon import Muon, matrices_of, orthogonal
from xllmx.optimisation.optim import OptimConfig, build_optimizer


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.Linear(6, 10, bias=False), nn.SiLU(), nn.LayerNorm(10), nn.Linear(10, 6))
        self.head = nn.Linear(6, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.block(x))


def made(seed: int = 0) -> tuple[Net, torch.optim.Optimizer]:
    torch.manual_seed(seed)
    net = Net()
    return net, build_optimizer(net, OptimConfig(name="muon", lr=0.02), units=[net.block])


def descend(net: Net, optimizer: torch.optim.Optimizer, steps: int) -> list[float]:
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(32, 6, generator=generator)
    y = (x @ torch.randn(6, 4, generator=generator)).argmax(dim=1)
    losses = []
    for _ in range(steps):
        loss = nn.functional.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


def test_singular_values_come_near_one_and_vectors_stay() -> None:
    torch.manual_seed(0)
    given = torch.randn(3, 5, 8)
    made_orthogonal = orthogonal(given)
    values = torch.linalg.svdvals(made_orthogonal)
    assert 0.6 < values.min() < values.max() < 1.3
    u, _, vh = torch.linalg.svd(given, full_matrices=False)
    assert torch.allclose(made_orthogonal, u @ vh, atol=0.45)
    assert torch.equal(orthogonal(torch.zeros(1, 2, 3)), torch.zeros(1, 2, 3))


def test_only_matrices_of_the_blocks_are_muons() -> None:
    net, optimizer = made()
    groups = {group["orthogonal"]: group["params"] for group in optimizer.param_groups}
    assert groups[True] == matrices_of([net.block]) == [net.block[0].weight, net.block[3].weight]
    assert {id(p) for p in groups[False]} == {id(p) for p in net.parameters()} - {id(p) for p in groups[True]}


def test_an_update_is_as_large_as_an_adamw_one_either_way_round() -> None:
    net, optimizer = made()
    before = [matrix.detach().clone() for matrix in matrices_of([net.block])]
    descend(net, optimizer, 1)
    for old, matrix in zip(before, matrices_of([net.block]), strict=True):
        moved = (matrix.detach() - old * (1 - 0.02 * 0.1)).square().mean().sqrt()
        assert moved == pytest.approx(0.02 * 0.2, rel=0.35)


def test_the_loss_falls_and_a_loaded_state_goes_on_the_same() -> None:
    net, optimizer = made()
    losses = descend(net, optimizer, 60)
    assert losses[-1] < 0.5 * losses[0]
    other, resumed = made(seed=1)
    descend(other, resumed, 1)
    model, state = deepcopy(dcp_state.get_state_dict(net, optimizer))  # the state itself would be shared
    dcp_state.set_state_dict(other, resumed, model_state_dict=model, optim_state_dict=state)
    assert descend(other, resumed, 3) == descend(net, optimizer, 3)


def test_a_convolution_is_the_matrix_of_its_kernels() -> None:
    """[4, 3, 2, 1, 2] is moved as [4, 12]."""
    torch.manual_seed(0)
    convolution, linear = nn.Conv3d(3, 4, (2, 1, 2), bias=False), nn.Linear(12, 4, bias=False)
    linear.weight.data.copy_(convolution.weight.flatten(1))
    gradient = torch.randn(4, 12)
    for layer in (convolution, linear):
        layer.weight.grad = gradient.reshape(layer.weight.shape).clone()
        build_optimizer(layer, OptimConfig(name="muon", lr=0.02), units=[layer]).step()
    assert convolution.weight.flatten(1).equal(linear.weight)


def test_without_blocks_there_is_nothing_to_move() -> None:
    with pytest.raises(ValueError, match=r"optim\.name is muon, which needs whole matrices"):
        build_optimizer(Net(), OptimConfig(name="muon"))


def test_muon_is_an_adamw_to_who_asks() -> None:
    assert isinstance(made()[1], Muon)
    assert isinstance(made()[1], torch.optim.AdamW)
