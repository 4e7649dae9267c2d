"""Settings of the clips that are made while a model trains; imported without torch."""

from dataclasses import dataclass, field
from typing import Annotated, Any

from xllmx.settings.number_range import SEED, check_numbers


@dataclass(frozen=True, kw_only=True)
class PreviewConfig:
    """Which clips are made while a model trains, and how often.

    Raises:
        ValueError: a number below 0, or no prompt.
    """

    every: int = 0
    """Steps between them; 0 is never."""
    prompts: tuple[str, ...] = ()
    """One clip of each."""
    settings: dict[str, Any] = field(default_factory=dict)
    """What `LumosPipeline` takes: num_frames, width, num_inference_steps, ...; left out, the model's defaults."""
    tokenizers: str | None = None
    """Model whose tokenizers and defaults are used; None is `task.init_from`."""
    seed: Annotated[int, SEED] = 0
    """Of the first clip; the next ones count on. The same in every round."""

    def __post_init__(self) -> None:
        check_numbers(self, "samples.")
        if self.every and not self.prompts:
            raise ValueError("samples.every is set, but samples.prompts is empty; give for example ['a red circle']")
