"""Settings of low-rank adapters (`xllmx.lora`); imported without torch."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from xllmx.settings.number_range import Range, check_numbers


@dataclass(frozen=True, kw_only=True)
class AdapterConfig:
    """Whether and how adapters are trained instead of the weights; a model's own config names its layers.

    Raises:
        ValueError: a value outside its range, or layers there are none of.
    """

    LINEARS: ClassVar[tuple[str, ...]] = ()
    """The linear layers of a block of the model."""

    rank: Annotated[int, Range(0, 2**20)] = 0
    """Inner width of the adapters; 0 trains the weights themselves."""
    alpha: Annotated[float, Range(0, 10**6, above=True)] = 16.0
    """The adapter's output is scaled by alpha / rank."""
    dropout: Annotated[float, Range(0, 0.999)] = 0.0
    """Of the adapter's input, while training."""
    targets: tuple[str, ...] = ()
    """Layers of every block that get an adapter."""

    def __post_init__(self) -> None:
        check_numbers(self, "lora.")
        if not self.targets or not set(self.targets) <= set(self.LINEARS):
            known = ", ".join(self.LINEARS)
            raise ValueError(f"lora.targets are {list(self.targets)}; choose one or more of {known}")
