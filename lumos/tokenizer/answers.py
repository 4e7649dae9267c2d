"""What a visual tokenizer answers, looked at before it is used: a wrong pair gives wrong pictures without a word."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from xllmx.finite import NOT_FINITE

_REMEDY = "use the pair that belongs to the model, or download it again"
_MOST_PIXEL = 16.0
"""Pixels are about -1 to 1; a decoder may overshoot where there is an edge, but not by so much."""


def run_half(half: Any, given: Tensor, source: Path) -> Tensor:
    """Return the first of what one half of a tokenizer, read from `source`, answers.

    It runs as it is written: torch would otherwise look on for two calls of every shape, and rewrite it then, which
    takes longer than most clips and makes the first calls other sums than the later ones.

    Raises:
        ValueError: it raises, whatever that is but for a full GPU, or answers with no tensor; the file is named.
        torch.OutOfMemoryError: a GPU's memory is full, which TorchScript says as an error like any other.
    """
    try:
        with torch.jit.optimized_execution(False):
            output = half(given)
    except Exception as error:  # a program raises what it likes
        if "out of memory" in str(error):  # a GPU's; what the CPU's allocator refuses, no pair has reason to ask for
            raise torch.OutOfMemoryError(_last_line(error)) from error
        reason = _last_line(error)
        shape = "x".join(map(str, given.shape))
        raise ValueError(f"{source} fails on an input of {shape} ({reason}); {_REMEDY}") from error
    first = output[0] if isinstance(output, tuple | list) and output else output
    if not isinstance(first, Tensor):
        raise ValueError(f"{source} answers with a {type(first).__name__}, no tensor; {_REMEDY}")
    return first


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:200] if lines else type(error).__name__


def check_codes(codes: Tensor, grid: tuple[int, ...]) -> None:
    """Check that these are codes, whole numbers of 0 or more, of this grid (B, T, H, W).

    Raises:
        ValueError: they are not.
    """
    kind = str(codes.dtype).removeprefix("torch.")
    if tuple(codes.shape) != grid:
        raise ValueError(f"the visual tokenizer makes codes {list(codes.shape)} where {list(grid)} belong; {_REMEDY}")
    if codes.is_floating_point() or codes.is_complex() or codes.dtype == torch.bool:
        raise ValueError(f"the visual tokenizer makes codes of type {kind}, no whole numbers; {_REMEDY}")
    if int(codes.min()) < 0:
        raise ValueError(f"the visual tokenizer makes code {int(codes.min())}; codes begin with 0; {_REMEDY}")


def check_codebook(codes: Tensor, num_codes: int) -> None:
    """Check that codes are below `num_codes`, those the model knows; ValueError otherwise."""
    if codes.numel() and int(codes.max()) >= num_codes:
        found = f"the visual tokenizer makes code {int(codes.max())}"
        raise ValueError(f"{found}, but the model knows codes 0..{num_codes - 1}; {_REMEDY}")


def check_pixels(pixels: Tensor, shape: tuple[int, ...]) -> None:
    """Check that these are pixels of this shape (B, 3, F, height, width), finite and about -1 to 1.

    Raises:
        ValueError: they are not.
    """
    if tuple(pixels.shape) != shape:
        raise ValueError(
            f"the visual tokenizer makes pixels {list(pixels.shape)} where {list(shape)} belong; {_REMEDY}"
        )
    if not pixels.is_floating_point():
        kind = str(pixels.dtype).removeprefix("torch.")
        raise ValueError(f"the visual tokenizer makes pixels of type {kind}, no fractions of -1 to 1; {_REMEDY}")
    most = float(torch.stack(torch.aminmax(pixels.float())).abs().max())
    if not most <= _MOST_PIXEL:  # nor NaN
        fault = f"makes a pixel of {most:.3g}, where -1 to 1 belong" if most < float("inf") else NOT_FINITE
        raise ValueError(f"the picture of the visual tokenizer {fault}; {_REMEDY}")
