"""Images and videos in and out: reading, choosing frames, cropping to a bucket, writing (SPEC §3)."""

import io
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, UInt8
from PIL import Image, ImageOps
from torch import Tensor

from lumos.files import replacing

Rate = int | float | Fraction
"""Frames per second, or seconds: containers state them as fractions."""

PATCH_PX = 32
MAX_ASPECT = 4

MISSING, UNDECODABLE = "missing file", "undecodable"
TOO_SHORT, SLOW_SOURCE = "too short", "source slower than the target fps"


class MediaError(ValueError):
    """An image or video that cannot be used; `reason` is one of a few short texts that a report can count."""

    def __init__(self, path: str | Path, reason: str, detail: str = "") -> None:
        super().__init__(f"{path}: {reason}" + (f" ({detail})" if detail else ""))
        self.reason = reason
        self.detail = detail


# --- which frames, which crop -----------------------------------------------------------------------------------------


def frame_indices(num_frames: int, source_fps: Rate, *, fps: Rate, duration: Rate) -> range:
    """Indices of the source frames that make a clip of `duration` seconds at `fps`: every `step`-th of the middle.

    n = round(fps * duration) frames, step = int(source_fps / fps), starting at the first multiple of the step that is
    not before max(0, num_frames // 2 - n * step // 2). Raises `MediaError` for a source that is too slow or too short.
    """
    n, step = round(fps * duration), int(source_fps / fps)
    if step == 0:
        raise MediaError("source", SLOW_SOURCE, f"{float(source_fps):g} fps, asked for {float(fps):g}")
    start = max(0, num_frames // 2 - n * step // 2)
    first = -(-start // step) * step
    last = first + (n - 1) * step
    if num_frames < duration * source_fps - 1e-6 or last >= num_frames:
        seconds = float(num_frames / source_fps)
        raise MediaError(
            "source", TOO_SHORT, f"{num_frames} frames are {seconds:.2f} s, asked for {float(duration):g} s"
        )
    return range(first, last + 1, step)


def crop_sizes(target: int) -> list[tuple[int, int]]:
    """Bucket sizes (width, height) in pixels for a target size: multiples of 32, about target^2 pixels, aspect <= 4.

    352 is "256p" (448x256 for 16:9), 528 "384p" (672x384), 656 "480p".
    """
    num_patches = (target // PATCH_PX) ** 2
    if num_patches < 1:
        raise ValueError(
            f"target size {target} px is smaller than one patch of {PATCH_PX} px: give at least {PATCH_PX}"
        )
    sizes, w, h = [], num_patches, 1
    while w > 0:
        if max(w, h) <= MAX_ASPECT * min(w, h):
            sizes.append((w * PATCH_PX, h * PATCH_PX))
        if (h + 1) * w <= num_patches:
            h += 1
        else:
            w -= 1
    return sizes


def nearest_crop(width: int, height: int, target: int) -> tuple[int, int]:
    """Bucket size (width, height) in pixels for a picture of `width` x `height`: nearest aspect, ties to the larger."""

    def closeness(size: tuple[int, int]) -> tuple[float, tuple[int, int]]:
        ratios = size[0] / width, size[1] / height
        return min(ratios) / max(ratios), size

    return max(crop_sizes(target), key=closeness)


def crop_to_bucket(frames: UInt8[np.ndarray, "F H W 3"], size: int | tuple[int, int]) -> UInt8[np.ndarray, "F h w 3"]:
    """Frames scaled and cut to a bucket: `size` is (width, height) in pixels, or a target size for `nearest_crop`.

    Box-filtered halving while both sides are at least twice the crop, a bicubic resize so that the crop just fits, then
    the centre. All frames are cut alike.
    """
    height, width = frames.shape[1:3]
    crop = nearest_crop(width, height, size) if isinstance(size, int) else size
    out = np.empty((len(frames), crop[1], crop[0], 3), dtype=np.uint8)
    for index, frame in enumerate(frames):
        out[index] = np.asarray(_crop(Image.fromarray(frame), crop))
    return out


def _crop(image: Image.Image, crop: tuple[int, int]) -> Image.Image:
    while image.width >= 2 * crop[0] and image.height >= 2 * crop[1]:
        image = image.resize((image.width // 2, image.height // 2), Image.Resampling.BOX)
    scale = max(crop[0] / image.width, crop[1] / image.height)
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BICUBIC)
    left, top = (image.width - crop[0]) // 2, (image.height - crop[1]) // 2
    return image.crop((left, top, left + crop[0], top + crop[1]))


def to_tensor(frames: UInt8[np.ndarray, "F H W 3"]) -> Float[Tensor, "3 F H W"]:
    """Frames as fp32 in [-1, 1]: x / 255 * 2 - 1."""
    return rearrange(torch.tensor(frames).float() / 255 * 2 - 1, "F H W C -> C F H W").contiguous()


def to_frames(video: Float[Tensor, "3 F H W"]) -> UInt8[np.ndarray, "F H W 3"]:
    """Pixels of a video in [-1, 1]: clamped, (x + 1) / 2 * 255, truncated."""
    pixels = (video.detach().float().clamp(-1, 1) + 1) / 2 * 255
    return np.ascontiguousarray(rearrange(pixels.to(torch.uint8), "C F H W -> F H W C").cpu().numpy())


# --- reading ----------------------------------------------------------------------------------------------------------


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


# --- writing ----------------------------------------------------------------------------------------------------------

_ENCODERS = {".mp4": "libx264", ".gif": "gif"}
_SAME_BYTES = "mbtree=0:threads=1"
"""Equal frames make equal files: x264's output depends on its number of threads, and, with its macroblock tree, now and
then on nothing at all (27 of 13,600 encodings of the same frames differed; without it, 0 of 8,300)."""


def write_image(path: str | Path, image: UInt8[np.ndarray, "H W 3"]) -> None:
    """Writes an image in the format of its suffix (png unless you mean to lose something), whole or not at all."""
    path = Path(path)
    if (suffix := path.suffix.lower()) not in Image.registered_extensions():
        raise ValueError(f"cannot write {path}: {suffix or 'no suffix'} is no image format; use .png")
    with replacing(path) as temporary:
        Image.fromarray(image).save(temporary, format=Image.registered_extensions()[suffix])


def write_video(path: str | Path, frames: UInt8[np.ndarray, "F H W 3"], *, fps: Rate) -> None:
    """Writes an mp4 (H.264, yuv420p) or a gif, by suffix, whole or not at all; exactly F frames at `fps` come back.

    H.264 in yuv420p needs even sides: an odd one is repeated once at its edge. Raises `ValueError` for another suffix,
    no frames, an FFmpeg without the encoder, or a disk that is full.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in _ENCODERS:
        raise ValueError(f"cannot write {path}: use a file name that ends in .mp4 or .gif")
    if len(frames) == 0:
        raise ValueError(f"cannot write {path}: there are no frames")
    if _ENCODERS[suffix] not in av.codecs_available:
        remedy = "reinstall PyAV from its wheel: pip install --force-reinstall --only-binary av av"
        raise ValueError(f"cannot write {path}: this FFmpeg has no encoder {_ENCODERS[suffix]}; {remedy}")
    if suffix == ".mp4":
        frames = np.pad(frames, ((0, 0), (0, frames.shape[1] % 2), (0, frames.shape[2] % 2), (0, 0)), mode="edge")
    content = _encode(frames, fps=Fraction(fps).limit_denominator(1001), suffix=suffix)
    with replacing(path) as temporary:
        temporary.write_bytes(content)


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
