"""Images and clips to files, whole or not at all."""

import io
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
from jaxtyping import UInt8
from PIL import Image

from lumos.media.files import replacing
from lumos.media.frames import Rate
from xllmx.argument_types import checked_types
from xllmx.setting import SettingError

_ENCODERS = {".mp4": "libx264", ".gif": "gif"}
_MOST_FPS = 1000
_SAME_BYTES = "mbtree=0:threads=1"
"""Equal frames make equal files: x264's output depends on its number of threads, and, with its macroblock tree, now and
then on nothing at all (27 of 13,600 encodings of the same frames differed; without it, 0 of 8,300)."""


@checked_types
def write_image(path: str | Path, image: UInt8[np.ndarray, "H W 3"]) -> None:
    """Write an image in the format of its suffix (png unless you mean to lose something), whole or not at all."""
    path = Path(path)
    if (suffix := path.suffix.lower()) not in Image.registered_extensions():
        raise ValueError(f"cannot write {path}: {suffix or 'no suffix'} is no image format; use .png")
    _check(image, axes=3, path=path)
    with replacing(path) as temporary:
        Image.fromarray(image).save(temporary, format=Image.registered_extensions()[suffix])


@checked_types
def write_video(path: str | Path, frames: UInt8[np.ndarray, "F H W 3"], *, fps: Rate) -> None:
    """Write an mp4 (H.264, yuv420p) or a gif, by suffix, whole or not at all; exactly F frames at `fps` come back.

    H.264 in yuv420p needs even sides: an odd one is repeated once at its edge. Raises `ValueError` for another suffix,
    no frames, an FFmpeg without the encoder, or a disk that is full.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in _ENCODERS:
        raise ValueError(f"cannot write {path}: use a file name that ends in .mp4 or .gif")
    if len(frames) == 0:
        raise ValueError(f"cannot write {path}: there are no frames")
    _check(frames, axes=4, path=path)
    if not 0 < fps <= _MOST_FPS:  # nor NaN
        raise SettingError("fps", f"is {fps}; a video is written with more than 0 and at most {_MOST_FPS}")
    if _ENCODERS[suffix] not in av.codecs_available:
        remedy = "reinstall PyAV from its wheel: pip install --force-reinstall --only-binary av av"
        raise ValueError(f"cannot write {path}: this FFmpeg has no encoder {_ENCODERS[suffix]}; {remedy}")
    if suffix == ".mp4":
        frames = np.pad(frames, ((0, 0), (0, frames.shape[1] % 2), (0, frames.shape[2] % 2), (0, 0)), mode="edge")
    content = _encode(frames, fps=Fraction(fps).limit_denominator(1001), suffix=suffix)
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def _check(pixels: np.ndarray, *, axes: int, path: Path) -> None:
    if pixels.dtype != np.uint8 or pixels.ndim != axes or pixels.shape[-1] != 3 or 0 in pixels.shape:
        rule = "give uint8 pixels [..., H, W, 3], none of them 0"
        raise ValueError(f"cannot write {path}: the pixels are {pixels.dtype} {list(pixels.shape)}; {rule}")


def _encode(frames: np.ndarray, *, fps: Fraction, suffix: str) -> bytes:
    """The file's bytes, made in memory: FFmpeg itself does not say plainly that a disk is full."""
    file = io.BytesIO()
    with av.open(file, "w", format=suffix.removeprefix(".")) as container:
        stream = cast(av.VideoStream, container.add_stream(_ENCODERS[suffix], rate=fps))
        stream.height, stream.width = frames.shape[1:3]
        if suffix == ".mp4":
            stream.pix_fmt = "yuv420p"
            stream.options = {"crf": "16", "preset": "medium", "x264-params": _SAME_BYTES}
        else:
            stream.pix_fmt = "pal8"
        for index, pixels in enumerate(frames):
            frame = _palette_frame(pixels) if suffix == ".gif" else av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = index, 1 / fps
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def _palette_frame(pixels: np.ndarray) -> av.VideoFrame:
    image = Image.fromarray(pixels).quantize(256)
    colours = np.array(image.getpalette(), dtype=np.uint8).reshape(-1, 3)
    palette = np.full((256, 4), 255, dtype=np.uint8)  # alpha, red, green, blue
    palette[: len(colours), 1:] = colours
    indices_and_palette: Any = (np.asarray(image), palette)  # what PyAV takes for pal8; its annotation does not say so
    return av.VideoFrame.from_ndarray(indices_and_palette, format="pal8")
