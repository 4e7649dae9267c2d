"""The outputs on a page: the first prompts of every tag or dimension, none chosen, as small pictures."""

import base64
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from lumos.media.first_frames import MOST_FRAMES
from lumos.media.media_error import MediaError
from lumos.media.reading import read_frames, read_image

_HEIGHT_PX, _FRAMES = 128, 4


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One output in small."""

    file: Path
    jpeg: bytes | None
    """None if the file is missing or does not decode."""
    correct: bool | None = None
    reason: str = ""

    @property
    def uri(self) -> str:
        """The picture as an address that holds it."""
        return "data:image/jpeg;base64," + base64.b64encode(self.jpeg or b"").decode()


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """The outputs of one prompt."""

    group: str
    """Its tag, or its first dimension."""
    prompt: str
    pictures: list[Picture] = field(default_factory=list)


def first_of_each(pairs: Iterable[tuple[str, Any]], num: int) -> list[tuple[str, Any]]:
    """The first pairs of every group in turn, `num` in all or at least one of each, sorted by group of first sight."""
    groups: dict[str, list[Any]] = {}
    for group, item in pairs:
        groups.setdefault(group, []).append(item)
    each = max(1, num // max(1, len(groups)))
    return [(group, item) for group, items in groups.items() for item in items[:each]]


def still(file: Path) -> bytes | None:
    """An image as a small JPEG; None if it is missing or does not decode."""
    try:
        return _jpeg([Image.fromarray(read_image(file))])
    except MediaError:
        return None


def strip(file: Path) -> bytes | None:
    """Frames of a video from first to last, side by side, as a small JPEG; None if it is missing or does not decode."""
    try:
        frames = read_frames(file, most=MOST_FRAMES)
    except MediaError:
        return None
    count = min(_FRAMES, len(frames))
    chosen = [round(i * (len(frames) - 1) / max(count - 1, 1)) for i in range(count)]
    return _jpeg([Image.fromarray(frames[number]) for number in chosen])


def _jpeg(images: Sequence[Image.Image]) -> bytes:
    small = [image.resize((max(1, round(image.width * _HEIGHT_PX / image.height)), _HEIGHT_PX)) for image in images]
    whole = Image.new("RGB", (sum(image.width for image in small) + 2 * (len(small) - 1), _HEIGHT_PX), "white")
    left = 0
    for image in small:
        whole.paste(image, (left, 0))
        left += image.width + 2
    buffer = io.BytesIO()
    whole.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()
