"""Memory that is full is told from other errors and said in one line, from wherever it comes."""

import pytest
import torch

from xllmx.full_memory import is_full, said_when_full


@torch.jit.script
def scripted(x: torch.Tensor) -> torch.Tensor:
    """TorchScript keeps of an error only its text."""
    return torch.zeros([1000000000, 1000000]) + x


def test_a_full_memory_is_known_in_every_form() -> None:
    with pytest.raises(RuntimeError) as raised:
        scripted(torch.zeros(1))
    assert is_full(raised.value)
    assert is_full(MemoryError())
    assert is_full(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB"))
    assert is_full(RuntimeError("The following operation failed in TorchScript\nRuntimeError: CUDA out of memory."))
    assert not is_full(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not is_full(ValueError("out of memory"))


def test_it_is_said_with_the_remedy_and_others_stay_what_they_are() -> None:
    with (
        pytest.raises(ValueError, match=r"^sampling takes more memory than there is; lower it$"),
        said_when_full("sampling", "lower it"),
    ):
        raise torch.OutOfMemoryError("CUDA out of memory.")
    with pytest.raises(RuntimeError, match=r"^odd$"), said_when_full("sampling", "lower it"):
        raise RuntimeError("odd")
