"""What is asked of a look, and what it finds."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from lumos.look.sheet import Card
from xllmx.settings.number_range import Range, check_numbers


@dataclass(frozen=True, kw_only=True)
class LookRequest:
    """How closely a set is looked at."""

    num: Annotated[int, Range(0, 400)] = 16
    """Clips that are decoded and shown, spread from first to last."""
    read: Annotated[int, Range(1, 10**9)] = 1000
    """Clips that are read for their captions, codes and latents, spread likewise; sizes are counted of all."""
    model: str | None = None
    """Whose tokenizer or VAE decodes: a model, or a folder of such; None: the one that is recorded."""
    media: Path | None = None
    """A folder that the sources' paths may count from."""
    device: str | None = None
    """Where the decoder runs; None: a GPU where there is one, else the CPU."""
    ckpts: Path | None = None
    """The folder of checkpoints; None: that of the checkout."""

    def __post_init__(self) -> None:
        check_numbers(self)


@dataclass(frozen=True, kw_only=True)
class Report:
    """What was found."""

    lines: Sequence[str]
    """For a person."""
    cards: Sequence[Card] = field(default_factory=list)
    """For a sheet; none where nothing was to be shown."""
    title: str = ""
    """Of the sheet."""
    files: Sequence[Path] = field(default_factory=list)
    """What was looked at, of which a sheet may replace nothing."""
