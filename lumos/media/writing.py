"""Images and clips to files, whole or not at all."""

import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from fractions import Fraction
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO, cast

import av
import numpy as np
from jaxtyping import UInt8
from PIL import Image

from lumos.media.clip_pixels import ClipInput, clip_pixels
from lumos.media.files import replacing
from lumos.media.frames import Rate
from xllmx.disk.files import writing
from xllmx.settings.argument_types import checked_types
from xllmx.settings.setting import SettingError

_ENCODERS = {".mp4": "libx264", ".webm": "libvpx-vp9", ".gif": "gif"}
VIDEO_SUFFIXES = tuple(_ENCODERS)
_MOST_FPS = 1000
_JPEG = {"quality": 95, "subsampling": 0}
_VP9 = {"crf": "20", "b": "0", "threads": "1", "row-mt": "0"}
"""Of constant quality, by one thread, so that equal frames make equal files."""
_SAME_BYTES = "mbtree=0:threads=1"
"""Equal frames make equal files: x264's output depends on its number of threads, and, with its macroblock tree, now and
then on nothing at all (27 of 13,600 encodings of the same frames differed; without it, 0 of 8,300)."""

_FRAGMENTS = {"movflags": "frag_every_frame+empty_moov+default_base_moof", "flush_packets": "1"}
"""An mp4 that is whole after every frame, written from its beginning to its end."""


@checked_types
def write_image(path: str | Path, image: UInt8[np.ndarray, "H W 3"]) -> None:
    """Write an image in the format of its suffix (png unless you mean to lose something), whole or not at all."""
    path = Path(path)
    if (suffix := path.suffix.lower()) not in Image.registered_extensions():
        raise ValueError(f"cannot write {path}: {suffix or 'no suffix'} is no image format; use .png")
    _check(image, axes=3, path=path)
    kind = Image.registered_extensions()[suffix]
    with replacing(path) as temporary:
        Image.fromarray(image).save(temporary, format=kind, **(_JPEG if kind == "JPEG" else {}))


@checked_types
def write_video(path: str | Path, frames: ClipInput, *, fps: Rate) -> None:
    """Write an mp4 (H.264), a webm (VP9), both in yuv420p, or a gif, by suffix, whole or not at all.

    The frames are a list of PIL images, bytes [F, H, W, 3], or any other form of `lumos.media.clip_pixels`; exactly F
    come back, at `fps`. Pixels of yuv420p come in twos: an odd side is repeated once at its edge. Raises `ValueError`
    for another suffix, no frames, an FFmpeg without the encoder, or a disk that is full.
    """
    path = Path(path)
    try:
        frames = clip_pixels(frames)
    except ValueError as error:
        raise ValueError(f"cannot write {path}: {error}") from error
    rate = _rate(path, fps)
    if (suffix := path.suffix.lower()) in (".gif", ".webm"):
        _check(frames, axes=4, path=path)
        content = (_gif if suffix == ".gif" else _webm)(frames, fps=rate)
        with replacing(path) as temporary:
            temporary.write_bytes(content)
        return
    with video_writer(path, fps=fps) as add:
        for frame in frames:
            add(frame)


@contextmanager
def video_writer(path: str | Path, *, fps: Rate) -> Iterator[Callable[[UInt8[np.ndarray, "H W 3"]], None]]:
    """A context with a function that adds a frame to an mp4, which has its name, whole, when the context ends.

    Each frame is encoded when it is added: a video of any length takes the memory of a few frames. Raises `ValueError`
    as `write_video`, and for a frame of another size.
    """
    path, rate = Path(path), _rate_of_mp4(Path(path), fps)
    with replacing(path) as temporary, temporary.open("wb") as file, _adding(file, path, rate, {}) as add:
        yield add


@contextmanager
def growing_video(path: str | Path, *, fps: Rate) -> Iterator[Callable[[UInt8[np.ndarray, "H W 3"]], None]]:
    """A context with a function that adds a frame to an mp4 at `path`, which can be played while it grows.

    It is in fragments, a frame each, and holds the pictures of `video_writer` in the same bytes. The encoder is some
    frames behind, and the last ones are there when the context ends. On a failure the file is left as it is. Raises
    `ValueError` as `video_writer`.
    """
    path, rate = Path(path), _rate_of_mp4(Path(path), fps)
    with writing(path), path.open("wb", buffering=0) as file, _adding(file, path, rate, _FRAGMENTS) as add:
        yield add


@contextmanager
def _adding(
    file: Any, path: Path, rate: Fraction, container: Mapping[str, str]
) -> Iterator[Callable[[UInt8[np.ndarray, "H W 3"]], None]]:
    """A context with a function that adds a frame to an mp4 in an open file; `path` is its name for errors."""
    with ExitStack() as opened:
        encode: Callable[[np.ndarray], None] | None = None
        size: tuple[int, ...] | None = None

        def add(frame: UInt8[np.ndarray, "H W 3"]) -> None:
            nonlocal encode, size
            _check(frame, axes=3, path=path)
            if size not in (None, frame.shape):
                raise ValueError(f"cannot write {path}: a frame is {frame.shape}, those before it {size}")
            even = np.pad(frame, ((0, frame.shape[0] % 2), (0, frame.shape[1] % 2), (0, 0)), mode="edge")
            if encode is None:
                encode, size = opened.enter_context(_mp4(file, rate, even.shape[:2], container)), frame.shape
            encode(even)

        yield add
        if encode is None:
            raise ValueError(f"cannot write {path}: there are no frames")


def _rate_of_mp4(path: Path, fps: Rate) -> Fraction:
    """The rate as a fraction; ValueError where no video can be written there frame by frame."""
    if path.suffix.lower() != ".mp4":
        raise ValueError(f"cannot write {path} frame by frame: use a file name that ends in .mp4")
    return _rate(path, fps)


def _rate(path: Path, fps: Rate) -> Fraction:
    """The rate as a fraction; ValueError where a video of that name and rate cannot be written."""
    if (suffix := path.suffix.lower()) not in _ENCODERS:
        raise ValueError(f"cannot write {path}: use a file name that ends in .mp4, .webm or .gif")
    if not 0 < fps <= _MOST_FPS:  # nor NaN
        raise SettingError("fps", f"is {fps}; a video is written with more than 0 and at most {_MOST_FPS}")
    if _ENCODERS[suffix] not in av.codecs_available:
        remedy = "reinstall PyAV from its wheel: pip install --force-reinstall --only-binary av av"
        raise ValueError(f"cannot write {path}: this FFmpeg has no encoder {_ENCODERS[suffix]}; {remedy}")
    return Fraction(fps).limit_denominator(1001)


def _check(pixels: np.ndarray, *, axes: int, path: Path) -> None:
    if axes == 4 and len(pixels) == 0:
        raise ValueError(f"cannot write {path}: there are no frames")
    if pixels.dtype != np.uint8 or pixels.ndim != axes or pixels.shape[-1] != 3 or 0 in pixels.shape:
        rule = "give uint8 pixels [..., H, W, 3], none of them 0"
        raise ValueError(f"cannot write {path}: the pixels are {pixels.dtype} {list(pixels.shape)}; {rule}")


@contextmanager
def _mp4(
    file: BinaryIO, fps: Fraction, size: tuple[int, int], options: Mapping[str, str]
) -> Iterator[Callable[[np.ndarray], None]]:
    """A context with a function that encodes a frame of an mp4 into an open file; Python writes it, and says why not.

    This is PyAV itself: imageio's writer, which is built on it, ends each file with a collection of all garbage, 0.4 s
    in a process that holds a model, where the 13 frames of a clip take 5 ms.
    """
    container = av.open(file, "w", format="mp4", container_options=dict(options))
    places = count()

    def encode(pixels: np.ndarray) -> None:
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        frame.pts, frame.time_base = next(places), 1 / fps
        container.mux(stream.encode(frame))

    try:
        told = {"crf": "16", "preset": "medium", "x264-params": _SAME_BYTES}
        stream = cast(av.VideoStream, container.add_stream(_ENCODERS[".mp4"], rate=fps, options=told))
        stream.height, stream.width = size
        stream.pix_fmt = "yuv420p"
        yield encode
        container.mux(stream.encode(None))
        container.close()
    except BaseException:
        with suppress(Exception):  # it would write what is left, where writing may be what failed
            container.close()
        raise


def _webm(frames: np.ndarray, *, fps: Fraction) -> bytes:
    """The bytes of a webm; without the random number that tells one file from another (bitexact)."""
    file = io.BytesIO()
    frames = np.pad(frames, ((0, 0), (0, frames.shape[1] % 2), (0, frames.shape[2] % 2), (0, 0)), mode="edge")
    with av.open(file, "w", format="webm", options={"fflags": "+bitexact"}) as container:
        stream = cast(av.VideoStream, container.add_stream(_ENCODERS[".webm"], rate=fps, options=_VP9))
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for index, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = index, 1 / fps
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def _gif(frames: np.ndarray, *, fps: Fraction) -> bytes:
    """The bytes of a gif, each frame in 256 colours of its own."""
    file = io.BytesIO()
    with av.open(file, "w", format="gif") as container:
        stream = cast(av.VideoStream, container.add_stream(_ENCODERS[".gif"], rate=fps))
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "pal8"
        for index, pixels in enumerate(frames):
            frame = _palette_frame(pixels)
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
