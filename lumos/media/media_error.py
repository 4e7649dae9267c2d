"""Why an image or video cannot be used, in words that a report can count; imported without torch."""

from pathlib import Path

MISSING, UNREADABLE, UNDECODABLE = "missing file", "unreadable file", "undecodable"
TOO_SHORT, SLOW_SOURCE = "too short", "source slower than the target fps"
GAP, NO_TIMES, SIZE_CHANGES = "a gap between its frames", "no usable time stamps", "frame size changes on the way"
TOO_LONG, TOO_SMALL = "too long", "smaller than the target size"
NO_SCALE, OTHER_HDR = "pixel values of no known scale", "HDR of an unknown kind"


class MediaError(ValueError):
    """An image or video that cannot be used; `reason` is one of a few short texts that a report can count."""

    def __init__(self, path: str | Path, reason: str, detail: str = "") -> None:
        super().__init__(f"{path}: {reason}" + (f" ({detail})" if detail else ""))
        self.reason = reason
        self.detail = detail
