"""Clips of evaluations side by side in one moving picture, each over what was asked: the first ones, none chosen."""

from collections.abc import Sequence
from pathlib import Path
from textwrap import wrap

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont, ImageOps

from eval.shapes.outputs import frames_of
from eval.shapes.prompts import load_prompts
from lumos.media.writing import write_image, write_video

_SIDE_PX, _GAP_PX, _LINES, _LINE_PX = 144, 8, 4, 14
_HEIGHT_PX = _SIDE_PX + _LINES * _LINE_PX + _GAP_PX
_REST = 6  # frames for which the last picture stands before all begins again


def write_gallery(path: Path, folders: Sequence[Path], *, num: int, columns: int = 6, fps: int = 6) -> int:
    """Writes a gif, mp4 or png (first frames) of the first `num` clips of every folder; returns how many there are.

    A folder is one that an evaluation made (`OUT/KIND`). Raises `ValueError` for one without prompts or clips.
    """
    tiles = [clip for folder in folders for clip in _tiles(folder, num)]
    write_tiles(path, tiles, columns=columns, fps=fps)
    return len(tiles)


def write_tiles(path: Path, tiles: Sequence[Sequence[Image.Image]], *, columns: int, fps: int) -> None:
    """Write a gif, mp4 or png (first frames) of clips of pictures of one size, row by row; the last picture rests."""
    last = max(map(len, tiles)) - 1
    frames = [[clip[min(index, len(clip) - 1)] for clip in tiles] for index in (*range(last + 1), *[last] * _REST)]
    video = np.stack([_together(pictures, columns) for pictures in frames])
    if path.suffix == ".png":
        write_image(path, video[0])
    else:
        write_video(path, video, fps=fps)


def _tiles(folder: Path, num: int) -> list[list[Image.Image]]:
    """The pictures of each of the first clips of a folder, over the prompt."""
    if not (folder / "prompts.json").is_file():
        raise ValueError(
            f"{folder} has no prompts.json: give a folder that `lumos evaluate shapes run` wrote, OUT/KIND"
        )
    tiles = []
    for record in load_prompts(folder / "prompts.json")[:num]:
        frames = frames_of(folder, record)
        if frames is None:
            raise ValueError(f"{folder} has no clip {record.name}: run the evaluation to its end, or ask for fewer")
        tiles.append([tile(frame, record.prompt.text) for frame in frames])
    return tiles


def tile(frame: UInt8[np.ndarray, "H W 3"], text: str) -> Image.Image:
    """A frame over four lines of text."""
    made = Image.new("RGB", (_SIDE_PX + _GAP_PX, _HEIGHT_PX), "white")
    made.paste(ImageOps.contain(Image.fromarray(frame), (_SIDE_PX, _SIDE_PX)), (_GAP_PX // 2, 0))
    lines = wrap(text, 24)[:_LINES]
    font = ImageFont.load_default(11)
    ImageDraw.Draw(made).multiline_text((_GAP_PX // 2, _SIDE_PX + 2), "\n".join(lines), fill="black", font=font)
    return made


def _together(pictures: Sequence[Image.Image], columns: int) -> np.ndarray:
    width, height = pictures[0].size
    rows = -(-len(pictures) // columns)
    whole = Image.new("RGB", (min(columns, len(pictures)) * width, rows * height), "white")
    for place, picture in enumerate(pictures):
        whole.paste(picture, (place % columns * width, place // columns * height))
    return np.asarray(whole)
