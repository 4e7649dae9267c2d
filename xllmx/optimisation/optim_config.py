"""Settings of the optimiser and the learning rate; imported without torch."""

from dataclasses import dataclass
from typing import Annotated, Literal

from xllmx.settings.number_range import SHARE, Range, check_numbers

_BELOW_1 = 1 - 2**-24
"""A mean that decays by less than this never forgets, in fp32."""


@dataclass(frozen=True, kw_only=True)
class OptimConfig:
    """Optimiser and learning-rate schedule; the defaults are those of the released recipes (arXiv 2507.08801)."""

    name: Literal["adamw", "muon"] = "adamw"
    """adamw, as released; muon for the weight matrices of the blocks, AdamW for all else (`optimisation/muon.py`)."""
    lr: Annotated[float, Range(0, 1000, above=True)] = 5e-5
    """Learning rate after the warm-up."""
    min_lr: Annotated[float, Range(0, 1000)] | None = None
    """Learning rate at the end; None is `lr`, that is: constant after the warm-up, as released."""
    betas: Annotated[tuple[float, float], Range(0, _BELOW_1)] = (0.9, 0.95)
    """Decay of the running mean of the gradient and of its square."""
    eps: Annotated[float, SHARE] = 1e-8
    """Added to the root of the running square."""
    weight_decay: Annotated[float, Range(0, 1000)] = 0.1
    """Decoupled weight decay."""
    decay_norms: bool = True
    """Whether parameters of one dimension (norms, biases) decay too, as released."""
    schedule: Literal["cosine", "constant", "wsd"] = "cosine"
    """After the warm-up: half a cosine from `lr` to `min_lr`; `lr` throughout; or `lr`, then a line to `min_lr`."""
    decay_share: Annotated[float, Range(0, 1, above=True)] = 0.2
    """With schedule wsd (warm-up, stable, decay): the share of all steps, the last ones, that the line takes."""
    warmup_steps: int | None = None
    """Linear warm-up counted in steps; or give `warmup_epochs`."""
    warmup_epochs: Annotated[float, Range(0, 10**6)] | None = None
    """Linear warm-up counted in epochs (released: 0.0025)."""

    def __post_init__(self) -> None:
        check_numbers(self, "optim.")
        if not 0 <= self.floor <= 1:
            raise ValueError(f"optim.min_lr is {self.min_lr}; it must lie between 0 and optim.lr={self.lr}")
        if self.warmup_steps is not None and self.warmup_epochs is not None:
            raise ValueError(
                "optim.warmup_steps and optim.warmup_epochs are both set; set one and leave the other null"
            )

    @property
    def floor(self) -> float:
        """The last learning rate divided by the highest."""
        return 1.0 if self.min_lr is None else self.min_lr / self.lr
