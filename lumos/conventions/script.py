"""The prompt of a clip: a text, or one that changes while the clip is made.

    "a red circle moves right"
    [(0, "a red circle moves right"), (8, "a red circle moves up")]

The numbers are frames of the finished clip: from that frame on the text holds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, TypeAlias

from xllmx.settings.setting import SettingError, shown

TimedPrompt: TypeAlias = Sequence[Sequence[Any]]
"""(frame, the text from there on) each, the first at 0; lists as JSON has them too. `Script` says what is neither."""
Prompts: TypeAlias = str | Sequence[Any]
"""A text, a text that changes, or one of both kinds for every clip."""


@dataclass(frozen=True, kw_only=True)
class Script:
    """The prompt of one clip.

    Raises:
        ValueError: changes that are not in order, or hold no text.
    """

    text: str
    """From the beginning on."""
    changes: tuple[tuple[Any, Any], ...] = ()
    """Frame -> the text from there on; as a caller gives them, checked here."""

    def __post_init__(self) -> None:
        before = 0
        for frame, text in self.changes:
            if not isinstance(frame, int) or isinstance(frame, bool) or frame < 1:
                raise ValueError(f"the prompt changes at {shown(frame)}; give the number of a frame, of at least 1")
            if frame <= before:
                raise ValueError(f"the prompt changes at frame {frame} after frame {before}; put changes in order")
            if not isinstance(text, str) or not text.strip():
                raise ValueError(f"the prompt at frame {frame} is {shown(text)}; describe what is to be seen then")
            before = frame


def scripts_of(prompt: Prompts) -> list[Script]:
    """Return the prompts of a call, one a clip.

    Raises:
        ValueError: what is no text and no list of (frame, text), one that does not begin at 0, or as `Script`.
    """
    if isinstance(prompt, str) or _is_timed(prompt):
        return [_script(prompt)]
    return [_script(one) for one in prompt]


def _script(prompt: Any) -> Script:
    if isinstance(prompt, str):
        return Script(text=prompt)
    if not _is_timed(prompt):
        raise SettingError("prompt", f"is {shown(prompt)}; give a text, or a list of (frame, text)")
    (start, text), *changes = prompt
    if start != 0:
        raise ValueError(f"the first text of the prompt is at frame {shown(start)}; it must be at 0")
    return Script(text=text, changes=tuple((frame, new) for frame, new in changes))


def _is_timed(prompt: Any) -> bool:
    """Whether this is a list of pairs of a number and a text."""
    if isinstance(prompt, str) or not isinstance(prompt, Sequence) or not prompt:
        return False
    return all(isinstance(pair, tuple | list) and len(pair) == 2 and isinstance(pair[0], Real) for pair in prompt)
