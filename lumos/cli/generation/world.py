"""What a model knows, where its `generation_config.json` says so, and what is said of prompts and sizes beyond it.

"world": {
  "about": "one or two coloured shapes on a plain ground",
  "words": ["circle", "square", "star"]
}

A model without the entry is never spoken of. A fine-tuned one knows other things: `lumos export` leaves the entry out.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lumos.cli.jobs.runner import Planned
from lumos.cli.models.kind import Model
from xllmx.settings.config import convert
from xllmx.settings.number_range import Range, check_number

_SHOWN_WORDS, _SHOWN_CHARACTERS = 8, 60


@dataclass(frozen=True, kw_only=True)
class World:
    """What a model was trained on."""

    about: str
    """In a few words, for people."""
    words: tuple[str, ...]
    """Of which a prompt must have one, alone or in the plural, for the model to know what is meant."""

    def __post_init__(self) -> None:
        if not self.words:
            raise ValueError("world.words is empty; give the words that the model knows, or leave world out")

    def is_named_in(self, prompt: str) -> bool:
        """Whether a prompt has one of the words."""
        found = set(re.findall(r"\w+", prompt.casefold()))
        return any(not found.isdisjoint((word, f"{word}s", f"{word}es")) for word in map(str.casefold, self.words))


def world_of(defaults: Mapping[str, Any]) -> World | None:
    """Return the world of a model's settings, if they say one.

    Raises:
        ValueError: an entry `world` that says something else.
    """
    entry = defaults.get("world")
    if entry is None:
        return None
    try:
        world: World = convert(World, entry, "world")
    except ValueError as error:
        raise ValueError(f"generation_config.json: {error}") from error
    return world


def remark(model: Model, clips: Sequence[Planned]) -> str | None:
    """Return what is to be known of clips that a model is asked for and does not know, in one line; None: nothing.

    Raises:
        ValueError: a model whose entry `world` is none.
    """
    world = world_of(model.files.defaults)
    if world is None:
        return None
    sizes = _sizes(model, clips)
    strange = [one.job.prompt for one in clips if not world.is_named_in(one.job.prompt)]
    foreign = [size for one in clips if (size := (one.settings.width, one.settings.height)) not in sizes]
    said = []
    if strange:
        who = _shown(strange[0])
        if len(clips) > 1:
            who = f"{len(strange)} of {len(clips)} prompts, such as {who},"
        verb = "name" if len(strange) > 1 else "names"
        known = f"{', '.join(world.words[:_SHOWN_WORDS])}{', ...' if world.words[_SHOWN_WORDS:] else ''}"
        said.append(f"{who} {verb} nothing that this model knows ({known})")
    if foreign:
        made_for = " and ".join(f"{width}x{height}" for width, height in sizes)
        said.append(f"{foreign[0][0]}x{foreign[0][1]} is not the size it was made for ({made_for})")
    if not said:
        return None
    return f"note: {'; '.join(said)}; {model.files.name} was trained on {world.about}, so expect nothing good"


def _sizes(model: Model, clips: Sequence[Planned]) -> list[tuple[int, int]]:
    """Return the sizes (width, height) that a model is made for: those of its settings, and the `sizes` they name."""
    named = model.files.defaults.get("sizes", [])
    check_number("sizes", list[tuple[int, int]], named, Range(1, 2**16))
    given: list[dict[str, Any]] = (
        [{"num_frames": 1}] if any(one.settings.num_output_frames == 1 for one in clips) else []
    )
    usual = [model.settings_for(settings, image=None) for settings in [{}, *given]]
    return list(dict.fromkeys([*((one.width, one.height) for one in usual), *map(tuple, named)]))


def _shown(prompt: str) -> str:
    return repr(prompt if len(prompt) <= _SHOWN_CHARACTERS else f"{prompt[:_SHOWN_CHARACTERS]}...")
