"""What a call of Lumos-1 gives back."""

from dataclasses import dataclass

from torch import Tensor

from lumos.conventions.output import PipelineOutput
from lumos.lumos1.sampling.settings import Settings


@dataclass(frozen=True, kw_only=True, repr=False)
class LumosOutput(PipelineOutput):
    """What a call made, one entry a clip in every list."""

    codes: list[Tensor]
    """Visual codes of each clip, int64 [T, H, W], on the CPU."""
    settings: list[Settings]
    """The settings each clip was made with (pictures of other shapes give other sizes)."""
