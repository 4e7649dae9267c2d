"""Batches: which samples, in what order, and how they are read."""

from xllmx.data.loader import build_loader
from xllmx.data.order import BatchOrder

__all__ = ["BatchOrder", "build_loader"]
