"""Open video generation: Lumos-1 (`lumos.lumos1`) and Lumina-Video (`lumos.lumina_video`) under one roof.

    from lumos import load_pipeline
    frames = load_pipeline("lumos-tiny")("a red circle moves to the right", seed=1).frames[0]

The names below are loaded when they are first used, so that `import lumos` costs nothing.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lumos.loading import load_pipeline as load_pipeline
    from lumos.lumina_video.config import LuminaVideoConfig as LuminaVideoConfig
    from lumos.lumina_video.pipeline import LuminaVideoPipeline as LuminaVideoPipeline
    from lumos.lumos1.config import LumosConfig as LumosConfig
    from lumos.lumos1.config import SamplerConfig as SamplerConfig
    from lumos.lumos1.model.modeling import LumosForCausalLM as LumosForCausalLM
    from lumos.lumos1.pipeline import LumosPipeline as LumosPipeline

__version__ = "0.2.0"

# Threads of a CPU wait for each other by spinning, by default for so long that a model runs much slower as soon as
# another process wants a core (benchmarks/RESULTS.md). Read when PyTorch is loaded; what the user has set stays.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")

_MODULE_OF = {
    "LuminaVideoConfig": "lumos.lumina_video.config",
    "LuminaVideoPipeline": "lumos.lumina_video.pipeline",
    "LumosConfig": "lumos.lumos1.config",
    "LumosForCausalLM": "lumos.lumos1.model.modeling",
    "LumosPipeline": "lumos.lumos1.pipeline",
    "SamplerConfig": "lumos.lumos1.config",
    "load_pipeline": "lumos.loading",
}
__all__ = [
    "LuminaVideoConfig",
    "LuminaVideoPipeline",
    "LumosConfig",
    "LumosForCausalLM",
    "LumosPipeline",
    "SamplerConfig",
    "load_pipeline",
]


def __getattr__(name: str) -> Any:
    """A public name, from the module that defines it."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'lumos' has no attribute {name!r}")
    return getattr(import_module(_MODULE_OF[name]), name)


def __dir__() -> list[str]:
    """The public names, loaded or not."""
    return sorted([*globals(), *_MODULE_OF])
