"""Damage small media files at random and read them: `python -m tests.faults.media_fuzz FOLDER SEED COUNT`.

Prints a JSON object: how many were read, how many refused, and what was neither (another exception, or too slow).
"""

import io
import json
import random
import resource
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

from lumos.media.media_error import MediaError
from lumos.media.reading import read_clip, read_image

SLOW_S = 10.0
"""A file of a few kilobytes that takes longer hangs."""
VIDEOS = {
    "a.mp4": "libx264",
    "fragments.mp4": "libx264",
    "a.webm": "libvpx-vp9",
    "alpha.webm": "libvpx-vp9",
    "b.webm": "libvpx",
    "a.ts": "mpeg2video",
    "b.ts": "libx264",
    "a.avi": "mpeg4",
    "clip.gif": "gif",
}
PICTURES = ("a.png", "grey16.png", "a.jpg", "a.avif", "a.webp", "still.gif", "a.jp2", "a.tiff", "a.dds", "a.tga")


def samples() -> dict[str, bytes]:
    """A whole file of each kind."""
    return {name: _video(name, codec) for name, codec in VIDEOS.items()} | {name: _picture(name) for name in PICTURES}


def damaged(content: bytes, rng: random.Random) -> bytes:
    """The content cut, with bits flipped, with bytes of its head changed, or with a piece moved."""
    data = bytearray(content)
    match rng.randrange(5):
        case 0:
            del data[rng.randrange(len(data)) :]
        case 1:
            for _ in range(rng.choice((1, 3, 20, 200))):
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        case 2:
            for _ in range(rng.choice((1, 2, 5))):
                data[rng.randrange(min(len(data), 300))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        case 3:
            place, length = rng.randrange(len(data)), rng.choice((1, 2, 4, 8))
            data[place : place + length] = rng.choice((b"\xff", b"\x00", b"\x7f")) * length
        case 4:
            start, length = rng.randrange(len(data)), rng.randrange(1, 400)
            piece = data[start : start + length]
            del data[start : start + length]
            place = rng.randrange(len(data) + 1)
            data[place:place] = piece
    return bytes(data)


def read_all(folder: Path, files: Iterator[tuple[str, bytes]]) -> dict[str, object]:
    """What became of each file, read as `pre_tokenize` would."""
    read, refused, faults = 0, 0, []
    slowest = 0.0
    for name, content in files:
        path = folder / name
        path.write_bytes(content)
        start = time.monotonic()
        for attempt in _readings(path):
            try:
                frames = attempt()
                read += 1
                if frames.dtype != np.uint8 or frames.shape[-1] != 3:
                    faults.append(f"{name}: {frames.dtype} {frames.shape}")
            except MediaError as error:
                refused += 1
                if "\n" in str(error) or name not in str(error):
                    faults.append(f"{name}: {error!r}")
            except BaseException as error:
                faults.append(f"{name}: {error!r}")
        slowest = max(slowest, time.monotonic() - start)
        if time.monotonic() - start > SLOW_S:
            faults.append(f"{name}: {time.monotonic() - start:.1f} s")
    most_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    return {"read": read, "refused": refused, "faults": faults, "slowest_s": slowest, "most_bytes": most_bytes}


def _readings(path: Path) -> list[Callable[[], np.ndarray]]:
    clip = [
        lambda: read_clip(path, fps=6, duration=1, size=64),
        lambda: read_clip(path, fps=6, duration=1, size=64, frame_choice="released"),
    ]
    return clip if path.name in VIDEOS else [lambda: read_image(path)]


def _frames(size: int = 48, channels: int = 3) -> np.ndarray:
    return (
        np.random.RandomState(0)
        .randint(0, 256, (size // 8, size // 8, channels))
        .astype(np.uint8)
        .repeat(8, 0)
        .repeat(8, 1)
    )


def _video(name: str, codec: str) -> bytes:
    file = io.BytesIO()
    container = {"ts": "mpegts"}.get(name.rpartition(".")[2], name.rpartition(".")[2])
    options = {"movflags": "frag_keyframe+empty_moov"} if name == "fragments.mp4" else {}
    with av.open(file, "w", format=container, options=options) as out:
        stream = out.add_stream(codec, rate=24)
        stream.width = stream.height = 48
        stream.pix_fmt = {"gif": "rgb8", "alpha.webm": "yuva420p"}.get(codec if codec == "gif" else name, "yuv420p")
        stream.gop_size = 12
        for index in range(36):
            frame = av.VideoFrame.from_ndarray(np.roll(_frames(channels=4), 2 * index, axis=1), format="rgba")
            frame.pts, frame.time_base = index, Fraction(1, 24)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return file.getvalue()


def _picture(name: str) -> bytes:
    file = io.BytesIO()
    pixels = (
        np.full((40, 56), 0x1234, np.uint16)
        if name == "grey16.png"
        else _frames(channels=4 if name[-3:] in ("png", "dds") else 3)
    )
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "made for a test"
    with_exif = {"exif": exif} if name.endswith((".jpg", ".png", ".webp", ".avif")) else {}
    Image.fromarray(pixels).save(file, format=Image.registered_extensions()[Path(name).suffix], **with_exif)
    return file.getvalue()


def main() -> None:
    """Fuzz, and print what came of it."""
    folder, seed, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    warnings.simplefilter("ignore")  # Pillow's, about the damage
    rng, whole = random.Random(seed), samples()
    names = sorted(whole)
    files = ((name, damaged(whole[name], rng)) for name in (names[index % len(names)] for index in range(count)))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    print(json.dumps(read_all(folder, files) | {"before_bytes": before}))


if __name__ == "__main__":
    main()
