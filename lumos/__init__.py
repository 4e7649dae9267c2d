"""Lumos-1, the open one: unified autoregressive image and video generation with a Llama-style model."""

import os

__version__ = "0.1.0"

# Threads of a CPU wait for each other by spinning, by default for so long that a model runs much slower as soon as
# another process wants a core (benchmarks/RESULTS.md). Read when PyTorch is loaded; what the user has set stays.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
