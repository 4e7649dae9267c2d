"""Outputs that are written larger than they were made: every pixel as a square of equal ones (`--scale`)."""

import numpy as np
from jaxtyping import UInt8

from xllmx.settings.setting import SettingError

MOST_SCALED_PX = 8192
"""Of a side of what is written larger than it was made: what players and `lumos.media.decoding.video` take."""


def check_scale(scale: int, *, width: int, height: int) -> None:
    """Check that what is made at this size can be written at this scale.

    Raises:
        SettingError: it would be larger than what players take.
    """
    side = max(width, height)
    if scale > 1 and side * scale > MOST_SCALED_PX:
        fault = f"is {scale}, which makes {side * scale} pixels of a side of {side}"
        raise SettingError("scale", f"{fault}; it must be at most {max(1, MOST_SCALED_PX // side)} here")


def enlarged(frames: UInt8[np.ndarray, "F Hpx Wpx 3"], scale: int) -> UInt8[np.ndarray, "F Hpx2 Wpx2 3"]:
    """Return the frames with every pixel as `scale` by `scale`."""
    return frames.repeat(scale, axis=1).repeat(scale, axis=2)
