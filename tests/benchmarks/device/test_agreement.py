"""A CUDA graph that is wrong is found, whatever is wrong with it."""

from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.device.agreement import graph_checks

FRAMES = [torch.tensor([[1, 2, 3]]), torch.tensor([[4, 2, 3]])]


def states(codes: Tensor) -> Tensor:
    return codes.float()[..., None] * torch.tensor([1.0, 3.0])


def verdicts(graphed: Callable[[Tensor], Tensor]) -> list[bool]:
    return [check.passed for check in graph_checks(states, graphed, FRAMES, most=1e-4, what="fp32")]


def test_a_graph_that_does_what_the_pass_does_is_right_also_in_memory_of_its_own() -> None:
    memory = torch.empty(1, 3, 2)
    assert verdicts(states) == [True, True, True]
    assert verdicts(lambda codes: memory.copy_(states(codes))) == [True, True, True]


def test_a_graph_that_keeps_its_first_input_is_found() -> None:
    assert verdicts(lambda codes: states(FRAMES[0])) == [True, False, True]


def test_a_graph_that_answers_with_the_pass_before_is_found() -> None:
    before = [states(FRAMES[0])]

    def late(codes: Tensor) -> Tensor:
        before.append(states(codes))
        return before[-2]

    assert verdicts(late) == [True, False, False]
