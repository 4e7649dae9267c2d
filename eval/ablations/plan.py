"""What the ablations train and sample, in the order in which it is done: `base` first, for nothing can be said alone.

A run is a variant with a seed, `random-1`; its config differs from configs/ablations/base.yaml in one line. A point is
one way to sample a model.
"""

from dataclasses import dataclass
from typing import Annotated

from xllmx.settings.number_range import SEED, SHARE, Range, check_numbers

BASE = "base"
VARIANTS = {
    BASE: "tube masks, MM-RoPE",
    "random": "random masks",
    "diffusion_forcing": "diffusion forcing",
    "rope_3d": "plain 3-D RoPE",
    "rope_1d": "one-dimensional RoPE",
}
"""Config -> what it is; all but the first say what is different."""
MASKED = {BASE: "tube", "random": "random", "diffusion_forcing": "diffusion_forcing"}
"""Variants that differ in their masks alone -> the kind of them."""
BUNDLED = "lumos-tiny"
"""The bundled model, which is swept too: it needs no training."""

SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
GUIDANCES = (1.0, 2.0, 3.0, 5.0)
STEPS = (4, 8, 16, 32)
COMPARED = (0.0, 0.5, 0.7)
"""Shares of masked history at which every run is sampled, whatever it was trained with."""


@dataclass(frozen=True, kw_only=True, order=True)
class Point:
    """One way to sample: what is not said here is the bundled model's own."""

    share: Annotated[float, SHARE] = 0.0
    """Of a finished frame that is masked when it becomes history."""
    guidance: Annotated[float, Range(0, 10_000)] = 2.0
    """Scale of the guidance; 1 is none."""
    steps: Annotated[int, Range(1, 10_000)] = 16
    """Refinements of a frame."""

    def __post_init__(self) -> None:
        check_numbers(self)

    @property
    def name(self) -> str:
        """The stem of the file of its scores."""
        return f"history-{self.share:g}_guidance-{self.guidance:g}_steps-{self.steps}"

    @property
    def settings(self) -> dict[str, float | int]:
        """What the pipeline is called with."""
        return {
            "mask_history_ratio": self.share,
            "guidance_scale": self.guidance,
            "num_inference_steps": self.steps,
        }


SWEEPS: dict[str, tuple[Point, ...]] = {
    "share of masked history": tuple(Point(share=share) for share in SHARES),
    "guidance": tuple(Point(guidance=guidance) for guidance in GUIDANCES),
    "steps a frame": tuple(Point(steps=steps) for steps in STEPS),
}
"""What is varied -> the points, all but that one setting alike."""


def value_of(point: Point, what: str) -> float:
    """Return the setting of a point that a sweep varies."""
    return {"guidance": point.guidance, "steps a frame": point.steps}.get(what, point.share)


@dataclass(frozen=True, kw_only=True)
class Run:
    """One training: a variant with a seed."""

    variant: str
    """One of `VARIANTS`."""
    seed: Annotated[int, SEED]
    """Of weights, order of the data and masks."""

    @property
    def name(self) -> str:
        """Of its folders."""
        return f"{self.variant}-{self.seed}"


def runs(num_seeds: int) -> list[Run]:
    """Return all trainings, every variant with the first seed before any with the second."""
    return [Run(variant=variant, seed=seed) for seed in range(num_seeds) for variant in VARIANTS]


def compared_points() -> list[Point]:
    """Return the ways in which every run is sampled."""
    return [Point(share=share) for share in COMPARED]


def swept_points() -> list[Point]:
    """Return the points of all sweeps, in which base and the bundled model are sampled; each comes once."""
    return list(dict.fromkeys(point for points in SWEEPS.values() for point in points))
