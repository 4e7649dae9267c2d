"""Lumos-1, the open one: unified autoregressive image and video generation with a Llama-style model."""

__version__ = "0.1.0"
