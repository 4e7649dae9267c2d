"""Clips as strips of frames, one a row, over their prompts: for eyes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from eval.shapes.prompts import Record
from lumos.media.writing import write_image

_FRAMES, _SIDE_PX, _GAP_PX, _TEXT_PX = 17, 64, 2, 16
_RIGHT, _WRONG = (40, 150, 70), (200, 40, 40)


def write_strips(path: Path, records: Sequence[Record], clips: Sequence[np.ndarray], right: Sequence[bool]) -> None:
    """Write a png: of each clip some frames from first to last, and its text, green where it is right."""
    rows = [_strip(*row) for row in zip(records, clips, right, strict=True)]
    write_image(path, np.concatenate(rows))


def _strip(record: Record, frames: np.ndarray, is_right: bool) -> np.ndarray:
    width = _FRAMES * (_SIDE_PX + _GAP_PX)
    strip = Image.new("RGB", (width, _SIDE_PX + _TEXT_PX), "white")
    for place, index in enumerate(np.linspace(0, len(frames) - 1, _FRAMES).round().astype(int)):
        strip.paste(Image.fromarray(frames[index]).resize((_SIDE_PX, _SIDE_PX)), (place * (_SIDE_PX + _GAP_PX), 0))
    text = f"{record.name} {record.prompt.text}"
    colour = _RIGHT if is_right else _WRONG
    ImageDraw.Draw(strip).text((2, _SIDE_PX + 1), text, fill=colour, font=ImageFont.load_default(11))
    return np.asarray(strip)
