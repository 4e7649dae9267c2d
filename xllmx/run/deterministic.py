"""Kernels that give the same bits every time, where there are such kernels."""

import os

import torch

_WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"


def use_deterministic_kernels() -> None:
    """Have this process choose, of two kernels, the one that adds in the same order every time; slower.

    Called before anything is computed on a GPU, whose library of products reads its setting once. Where an operator has
    no such kernel torch warns of it and goes on. Shapes still decide which kernel is taken: what runs alone may differ
    in its last bits from the same in a batch.
    """
    os.environ.setdefault(_WORKSPACE, ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    # nothing here reads what it has not written
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # there, but not declared
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
