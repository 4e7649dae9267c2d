"""A picture of scored clips for a person to look at: prompt, a few frames, right or wrong and why."""

from collections.abc import Sequence
from pathlib import Path
from textwrap import wrap

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from eval.shapes.outputs import frames_of
from eval.shapes.score import Result
from lumos.media.writing import write_image

_COLUMNS, _FRAMES, _SIDE_PX, _GAP_PX, _TEXT_PX = 3, 4, 96, 6, 44
_TILE_WIDTH = _FRAMES * (_SIDE_PX + 2) + 3 * _GAP_PX
_TILE_HEIGHT = _SIDE_PX + _TEXT_PX + 2 * _GAP_PX
_RIGHT, _WRONG = (40, 150, 70), (200, 40, 40)


def write_sheet(path: Path, results: Sequence[Result], folder: Path, *, most: int = 30) -> None:
    """Writes a png of the first `most` results that have an output in `folder`; nothing if none has."""
    tiles: list[Image.Image] = []
    for result in results:
        frames = frames_of(folder, result.record)
        if frames is not None and len(tiles) < most:
            tiles.append(_tile(result, frames))
    if not tiles:
        return
    rows = -(-len(tiles) // _COLUMNS)
    sheet = Image.new("RGB", (_COLUMNS * _TILE_WIDTH, rows * _TILE_HEIGHT), "white")
    for index, tile in enumerate(tiles):
        sheet.paste(tile, (index % _COLUMNS * _TILE_WIDTH, index // _COLUMNS * _TILE_HEIGHT))
    write_image(path, np.asarray(sheet))


def _tile(result: Result, frames: np.ndarray) -> Image.Image:
    tile = Image.new("RGB", (_TILE_WIDTH, _TILE_HEIGHT), "white")
    draw = ImageDraw.Draw(tile)
    font = ImageFont.load_default(12)
    mark(draw, right=result.verdict.correct)
    lines = wrap(f"{result.record.name} {result.record.prompt.text}", 58)[:2]
    draw.multiline_text((24, 2), "\n".join(lines), fill="black", font=font, spacing=1)
    reasons = "; ".join(result.verdict.reasons)
    draw.text((24, 30), reasons[:64], fill=_WRONG, font=font)
    for place, index in enumerate(shown_frames(len(frames), _FRAMES)):
        picture = Image.fromarray(frames[index]).resize((_SIDE_PX, _SIDE_PX), Image.Resampling.NEAREST)
        tile.paste(picture, (_GAP_PX + place * (_SIDE_PX + 2), _TEXT_PX + _GAP_PX))
    return tile


def shown_frames(num_frames: int, most: int) -> list[int]:
    """Indices of the frames that are shown of a clip, at most so many: evenly from first to last."""
    count = min(most, num_frames)
    return [round(i * (num_frames - 1) / max(count - 1, 1)) for i in range(count)]


def mark(draw: ImageDraw.ImageDraw, *, right: bool) -> None:
    """Draw a green tick or a red cross, drawn so that no font needs to have it."""
    if right:
        draw.line([(6, 11), (10, 16), (18, 5)], fill=_RIGHT, width=3)
    else:
        draw.line([(6, 5), (17, 16)], fill=_WRONG, width=3)
        draw.line([(6, 16), (17, 5)], fill=_WRONG, width=3)
