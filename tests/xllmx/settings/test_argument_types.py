"""Arguments of the wrong type are refused by name; numbers of all kinds pass for each other."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from jaxtyping import UInt8, jaxtyped

from xllmx.settings.argument_types import checked_types


@checked_types
def call(
    path: str | Path,
    sizes: Sequence[int] = (),
    *,
    fps: float = 1,
    tiled: bool = False,
    choice: Literal["time", "released"] = "time",
    frames: UInt8[np.ndarray, "F H W 3"] | None = None,
    then: Callable[[int], None] | None = None,
    **more: Any,
) -> str:
    return f"{path} {fps}"


def test_what_fits_is_called() -> None:
    frames = np.zeros((2, 3, 4, 3), np.uint8)
    assert (
        call("a", [1, 2], fps=np.float32(2), tiled=True, choice="released", frames=frames, then=print, x=object())
        == "a 2.0"
    )
    assert call(Path("b"), fps=3) == "b 3"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"path": 3}, "path is 3; it must be a text or a path"),
        ({"path": b"x"}, "path is b'x'"),
        ({"path": "a", "sizes": "12"}, "sizes is '12'"),
        ({"path": "a", "sizes": [1, None]}, r"sizes is \[1, None\]"),
        ({"path": "a", "fps": "2"}, "fps is '2'; it must be a number"),
        ({"path": "a", "fps": True}, "fps is True"),
        ({"path": "a", "tiled": 1}, "tiled is 1; it must be True or False"),
        ({"path": "a", "choice": "other"}, "choice is 'other'"),
        ({"path": "a", "frames": np.zeros((2, 3, 4, 4), np.uint8)}, "frames is array"),
        ({"path": "a", "frames": np.zeros((2, 3, 4, 3))}, "frames is array"),
        ({"path": "a", "then": 5}, "then is 5"),
    ],
)
def test_another_type_is_named_in_one_line(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        call(**given)
    assert "\n" not in str(caught.value)


@jaxtyped(typechecker=None)
def test_a_caller_that_jaxtyping_checks_may_call_with_several_sizes() -> None:
    for number in (3, 2):
        assert call("a", frames=np.zeros((number, 4, 5, 3), np.uint8)) == "a 1"
