"""The tiny model of the sampling tests."""

from tests.lumos.conftest import tiny_config, tiny_model

__all__ = ["tiny_config", "tiny_model"]
