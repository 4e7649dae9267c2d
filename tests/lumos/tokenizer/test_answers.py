"""One half of a tokenizer is run as it is written, and a full memory is no fault of its file."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from lumos.tokenizer.answers import run_half

FILE = Path("decoder.jit")


class Full(nn.Module):
    """Ends as a program does on a full GPU: TorchScript keeps of the error only its text."""

    def forward(self, codes: Tensor) -> Tensor:
        """Codes -> nothing ever."""
        if codes.numel() > 0:
            raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB.")
        return codes


def test_a_full_gpu_is_said_as_one_also_from_inside_torchscript() -> None:
    with pytest.raises(torch.OutOfMemoryError, match=r"CUDA out of memory. Tried to allocate 20.00 GiB."):
        run_half(torch.jit.script(Full()), torch.zeros(2, 3), FILE)


def test_no_call_is_looked_on_and_rewritten_for_its_shape() -> None:
    """TorchScript's profiling makes the first two calls of a shape slow, and the later ones another program."""
    before, seen = torch._C._get_graph_executor_optimize(), []

    def half(given: Tensor) -> Tensor:
        seen.append(torch._C._get_graph_executor_optimize())
        return given

    run_half(half, torch.zeros(2, 3), FILE)
    assert seen == [False]
    assert torch._C._get_graph_executor_optimize() == before


def test_another_fault_names_the_file() -> None:
    def half(given: Tensor) -> Tensor:
        raise RuntimeError("first line\nodd shape")

    with pytest.raises(ValueError, match=r"^decoder.jit fails on an input of 2x3 \(odd shape\)"):
        run_half(half, torch.zeros(2, 3), FILE)
