"""Images and clips from files."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from lumos.media.crop import crop_to_bucket
from lumos.media.frames import MISSING, TOO_SHORT, UNDECODABLE, MediaError, Rate, frame_indices


def read_image(path: str | Path) -> UInt8[np.ndarray, "H W 3"]:
    """Pixels of an image file, upright (EXIF), transparency composited on white. Raises `MediaError`."""
    _require_file(path)
    try:
        with Image.open(path) as file:
            image = ImageOps.exif_transpose(file)
            if image.mode.startswith("I"):  # 16 bits a channel: Pillow's own conversion would clip, not scale
                image = Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8))
            if image.has_transparency_data:
                image = image.convert("RGBA")
                image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
            return np.array(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise MediaError(path, UNDECODABLE, _one_line(error)) from error


def read_clip(
    path: str | Path, *, fps: Rate, duration: Rate, size: int | tuple[int, int] | None = None
) -> UInt8[np.ndarray, "F H W 3"]:
    """The n = round(fps * duration) frames of a video that `frame_indices` names, cropped to `size` if one is given.

    Decoded as a stream: a frame that is not wanted is never held, one that is wanted is cropped at once.
    Raises `MediaError` with the reason: missing, undecodable, too short, slower than `fps`.
    """
    _require_file(path)
    frames: list[np.ndarray] = []
    try:
        with av.open(str(path)) as container:
            stream = _video_stream(container, path)
            stream.thread_type = "AUTO"
            source_fps = stream.guessed_rate or stream.average_rate
            if not source_fps:
                raise MediaError(path, UNDECODABLE, "the file does not say its frame rate")
            wanted = frame_indices(_num_frames(container, stream, source_fps), source_fps, fps=fps, duration=duration)
            for index, frame in enumerate(container.decode(stream)):
                if index in wanted:
                    frames.append(_pixels(frame, size))
                if index >= wanted[-1]:
                    break
    except MediaError as error:
        raise MediaError(path, error.reason, error.detail) from error
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise MediaError(path, UNDECODABLE, _one_line(error)) from error
    if len(frames) < len(wanted):
        raise MediaError(path, TOO_SHORT, f"{len(frames)} of the {len(wanted)} frames asked for could be decoded")
    return np.stack(frames)


def _require_file(path: str | Path) -> None:
    if not Path(path).is_file():
        raise MediaError(path, MISSING)


def _video_stream(container: av.container.InputContainer, path: str | Path) -> av.VideoStream:
    if not container.streams.video:
        raise MediaError(path, UNDECODABLE, "no video stream")
    return container.streams.video[0]


def _num_frames(container: av.container.InputContainer, stream: av.VideoStream, source_fps: Fraction) -> int:
    """Number of frames as the file states it, or from its duration, for formats that do not count."""
    if stream.frames:
        return stream.frames
    if stream.duration and stream.time_base:
        return round(stream.duration * stream.time_base * source_fps)
    return round((container.duration or 0) * source_fps / av.time_base)


def _pixels(frame: av.VideoFrame, size: int | tuple[int, int] | None) -> np.ndarray:
    pixels = np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90)  # phones record sideways and say so
    return np.ascontiguousarray(pixels) if size is None else crop_to_bucket(pixels[None], size)[0]


def _one_line(error: BaseException) -> str:
    text = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return " ".join(text.split()) or type(error).__name__
