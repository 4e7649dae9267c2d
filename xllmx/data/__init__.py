"""Batches: which samples, in what order, and how they are read."""

from xllmx.data.loader import build_loader
from xllmx.data.sampler import BucketedSampler

__all__ = ["BucketedSampler", "build_loader"]
