"""Clips of every container, whose frames carry their number in eight black and white tiles; and edits of MP4 files."""

import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

HEIGHT, WIDTH = 64, 96
_TILE = WIDTH // 8


@dataclass(frozen=True, kw_only=True)
class Form:
    """How a clip is encoded."""

    codec: str = "libx264"
    container: str | None = None
    """Of the suffix, if not given."""
    pix_fmt: str = "yuv420p"
    fps: Fraction = Fraction(12)
    gop: int = 20
    options: dict[str, str] = field(default_factory=dict)
    container_options: dict[str, str] = field(default_factory=dict)


def picture(number: int) -> np.ndarray:
    """uint8 [64, 96, 3]: the number in binary above, a moving pattern below."""
    pixels = np.random.RandomState(0).randint(0, 256, (8, 12, 3)).astype(np.uint8).repeat(8, 0).repeat(8, 1)
    pixels = np.roll(pixels, 3 * number, axis=1)
    for bit in range(8):
        pixels[:16, bit * _TILE : (bit + 1) * _TILE] = 255 * (number >> bit & 1)
    return pixels


def numbers(frames: Iterable[np.ndarray]) -> list[int]:
    """The number of each frame."""
    return [sum(int(frame[4:12, bit * _TILE + 3 :][:, :6].mean() > 127) << bit for bit in range(8)) for frame in frames]


def write_clip(
    path: Path,
    num_frames: int,
    form: Form = Form(),
    *,
    stamps_ms: Sequence[int] | None = None,
    paint: Callable[[int], np.ndarray] = picture,
    prepare: Callable[[av.VideoStream], None] = lambda stream: None,
) -> Path:
    """A clip of so many pictures; shown at `stamps_ms` if given, else evenly. `prepare` changes the stream."""
    with av.open(str(path), "w", format=form.container, options=form.container_options) as container:
        stream = container.add_stream(form.codec, rate=form.fps if stamps_ms is None else 1000)
        stream.height, stream.width = paint(0).shape[:2]
        stream.pix_fmt, stream.options, stream.gop_size = form.pix_fmt, form.options, form.gop
        if stamps_ms is not None:
            stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        prepare(stream)
        for number in range(num_frames):
            pixels = paint(number)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24" if pixels.shape[2] == 3 else "rgba")
            frame.time_base = Fraction(1, 1000) if stamps_ms is not None else 1 / form.fps
            frame.pts = number if stamps_ms is None else stamps_ms[number]
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def shifted(source: Path, path: Path, ticks: int) -> Path:
    """The same packets, shown so many ticks earlier: what lands before 0 is hidden by an edit list."""
    with av.open(str(source)) as old, av.open(str(path), "w", options={"avoid_negative_ts": "disabled"}) as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(old.streams.video[0]):
            if packet.size:
                packet.pts, packet.dts, packet.stream = packet.pts - ticks, packet.dts - ticks, stream
                new.mux(packet)
    return path


def with_edits(content: bytes, edits: Sequence[tuple[int, int]]) -> bytes:
    """An MP4, its tables at its end, with this edit list: (duration in ms, first media tick, -1 for nothing)."""
    data = bytearray(content)
    start = data.index(b"elst") - 4
    (old,) = struct.unpack_from(">I", data, start)
    entries = b"".join(struct.pack(">IiI", duration, first, 1 << 16) for duration, first in edits)
    data[start : start + old] = struct.pack(">I4sII", 16 + len(entries), b"elst", 0, len(edits)) + entries
    for atom in (b"edts", b"trak", b"moov"):
        place = data.rindex(atom, 0, start) - 4
        struct.pack_into(">I", data, place, struct.unpack_from(">I", data, place)[0] + 16 + len(entries) - old)
    return bytes(data)
