"""Lumos-1, the open one: unified autoregressive image and video generation with a Llama-style model."""

import os

__version__ = "0.1.0"

# Threads of a CPU wait for each other by spinning, for so long by default that a model runs ten times slower as soon as
# another process wants a core. Read by GNU OpenMP when PyTorch is loaded; what the user has set stays.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
