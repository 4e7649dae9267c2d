"""Generated clips on disk: one file a record, named by its number."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageSequence

from eval.shapes.prompts import Record
from eval.shapes.score import Result, score
from lumos.media.first_frames import MOST_FRAMES
from lumos.media.media_error import TOO_LONG, MediaError
from lumos.media.reading import media_errors, read_frames, read_image
from lumos.media.writing import write_image, write_video
from lumos.shapes import describe
from xllmx.safe.arrays import read_array

SUFFIXES: tuple[str, ...] = (".mp4", ".gif", ".png", ".npz")
"""What is looked for, in this order; an npz holds uint8 `frames` [F, H, W, 3]."""

_MOST_BYTES = 2**31
"""Of the frames of one output; 96 frames of 1248 x 704 pixels have an eighth of it."""


def find_output(folder: Path, record: Record) -> Path | None:
    """The file of a record's output, e.g. `00012.mp4`, or None."""
    candidates = (folder / (record.name + suffix) for suffix in SUFFIXES)
    return next((path for path in candidates if path.is_file()), None)


def save_output(folder: Path, record: Record, frames: np.ndarray, *, fps: int | float) -> Path:
    """The file written: a png for an image, else an mp4, whole or not at all."""
    if record.moving:
        path = folder / f"{record.name}.mp4"
        write_video(path, frames, fps=float(fps))
    else:
        path = folder / f"{record.name}.png"
        write_image(path, frames[0])
    return path


def read_output(path: Path) -> np.ndarray:
    """All frames of an output, uint8 [F, H, W, 3]; `MediaError` if it cannot be read."""
    if path.suffix.lower() in (".png", ".jpg", ".jpeg"):
        return read_image(path)[None]
    with media_errors(path):
        if path.suffix == ".npz":
            return _frames(read_array(path, "frames", most_bytes=_MOST_BYTES), path)
        if path.suffix == ".gif":
            with Image.open(path, formats=["GIF"]) as file:
                if 3 * file.width * file.height * getattr(file, "n_frames", 1) > _MOST_BYTES:
                    raise MediaError(path, TOO_LONG, f"its frames are more than {_MOST_BYTES} bytes")
                return np.stack([np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(file)])
    return read_frames(path, most=MOST_FRAMES)


def _frames(frames: np.ndarray, path: Path) -> np.ndarray:
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3 or 0 in frames.shape:
        raise ValueError(f"{path} holds frames of {frames.dtype} {frames.shape}; it must be uint8 [F, H, W, 3]")
    return frames


def frames_of(folder: Path, record: Record) -> np.ndarray | None:
    """The frames of a record's output, None if there is none that can be read."""
    path = find_output(folder, record)
    if path is None:
        return None
    try:
        return read_output(path)
    except MediaError:
        return None


def score_folder(records: Sequence[Record], folder: Path) -> list[Result]:
    """The result of every record, its output read from `folder`; what is missing or broken is wrong, and listed."""
    results = []
    for record in records:
        frames = frames_of(folder, record)
        results.append(score(record, None if frames is None else describe(frames)))
    return results
