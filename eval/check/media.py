"""What an output is: decoded to its last frame, never taken by its name."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from typing import TypeVar

from PIL import Image
from tqdm import tqdm

from eval.check.findings import Problem
from lumos.media.decoding.video import Video
from lumos.media.media_error import MediaError
from lumos.media.reading import media_errors, require_file

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Media:
    """A file that decodes."""

    width: int
    height: int
    frames: int
    digest: str
    """Of its bytes."""


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What all outputs must be; None: all alike, as most of them are."""

    size: tuple[int, int] | None = None
    """Width and height in pixels."""
    frames: int | None = None


def probe(path: Path) -> Media:
    """The size and length of a png or mp4, all of it decoded; `ValueError` if that fails."""
    try:
        with media_errors(path):
            require_file(path)
            with path.open("rb") as file:
                digest = file_digest(file, "sha256").hexdigest()
            if path.suffix == ".png":
                with Image.open(path, formats=["PNG"]) as image:
                    image.load()
                    return Media(width=image.width, height=image.height, frames=1, digest=digest)
            with Video(path) as video:
                sizes = Counter((shown.frame.width, shown.frame.height) for shown in video.from_start())
    except MediaError as error:
        raise ValueError(error.detail or error.reason) from error
    if len(sizes) != 1:
        raise ValueError("it has no frame" if not sizes else f"its frames differ in size: {sorted(sizes)}")
    ((width, height),) = sizes
    return Media(width=width, height=height, frames=sizes.total(), digest=digest)


def probe_all(folder: Path, names: Sequence[str], *, workers: int = 4) -> tuple[dict[str, Media], list[Problem]]:
    """What each file of a folder is, and the problems of those that do not decode."""

    def one(name: str) -> Media | Problem:
        try:
            return probe(folder / name)
        except ValueError as error:
            return Problem(what="unreadable", path=name, detail=str(error))

    with ThreadPoolExecutor(workers) as pool:
        found = list(tqdm(pool.map(one, names), total=len(names), desc="decoding", unit="file", disable=None))
    media = {name: result for name, result in zip(names, found, strict=True) if isinstance(result, Media)}
    return media, [result for result in found if isinstance(result, Problem)]


def compare(media: dict[str, Media], expected: Expected) -> tuple[str, list[Problem]]:
    """What the outputs are in words, and the problems of those that are not as expected."""
    if not media:
        return "none that decodes", []
    size = expected.size or _most(media.values(), lambda one: (one.width, one.height))
    frames = expected.frames or _most(media.values(), lambda one: one.frames)
    problems = []
    for name, one in media.items():
        if (one.width, one.height) != size:
            detail = f"{one.width}x{one.height} instead of {size[0]}x{size[1]}"
            problems.append(Problem(what="size", path=name, detail=detail))
        if one.frames != frames:
            problems.append(Problem(what="frames", path=name, detail=f"{one.frames} instead of {frames}"))
    return f"{size[0]}x{size[1]}" + (f", {frames} frames" if frames > 1 else ""), problems


def twins(media: dict[str, Media], groups: Iterable[Sequence[str]]) -> list[str]:
    """A remark for each group (the outputs of one prompt) in which files are equal byte for byte."""
    remarks = []
    for names in groups:
        counts = Counter(media[name].digest for name in names if name in media)
        if counts and counts.most_common(1)[0][1] > 1:
            first = min(name for name in names if name in media and counts[media[name].digest] > 1)
            remarks.append(f"{first} has an equal among the outputs of its prompt: were they drawn with one seed?")
    return remarks


def _most(media: Iterable[Media], value: Callable[[Media], T]) -> T:
    return Counter(map(value, media)).most_common(1)[0][0]
