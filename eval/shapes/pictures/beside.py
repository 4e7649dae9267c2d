"""The same prompts by two models: how many clips of each are as asked, and a picture, the first above the second."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from eval.shapes.look import in_words
from eval.shapes.outputs import SUFFIXES, read_output
from eval.shapes.parse import claims_of
from eval.shapes.pictures.gallery import tile, write_tiles
from eval.shapes.pictures.sheet import mark
from eval.shapes.score import check
from lumos.cli.jobs.record import read_record
from lumos.shapes import describe


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One clip of a folder, as the judge sees it."""

    prompt: str
    frames: np.ndarray
    words: str
    is_right: bool


@dataclass(frozen=True, kw_only=True)
class Pair:
    """The clips of one name in both folders."""

    before: Seen
    after: Seen


def pairs_of(before: Path, after: Path) -> list[Pair]:
    """The clips that both folders have, by name, as the judge sees them.

    Raises:
        ValueError: no clip is in both, or two of a name are of different prompts, or one's prompt is not known or
            asks for nothing of this world.
    """
    for folder in (before, after):
        if not folder.is_dir():
            raise ValueError(f"{folder} is no folder: give two that `lumos generate --prompt-file FILE --out` wrote")
    names = [
        path.name for path in sorted(before.iterdir()) if path.suffix in SUFFIXES and (after / path.name).is_file()
    ]
    if not names:
        raise ValueError(f"{before} and {after} have no clip of the same name: make both from one --prompt-file")
    pairs = [Pair(before=_seen(before / name), after=_seen(after / name)) for name in names]
    for name, pair in zip(names, pairs, strict=True):
        if pair.before.prompt != pair.after.prompt:
            raise ValueError(
                f"{name} is {pair.before.prompt!r} in {before}, {pair.after.prompt!r} in {after}: make both of one list"
            )
    return pairs


def in_lines(pairs: Sequence[Pair]) -> str:
    """What was asked and what both show, clip by clip, and how many are as asked."""
    lines = []
    for pair in pairs:
        lines.append(f"asked: {pair.before.prompt}")
        for when, one in (("before", pair.before), ("after ", pair.after)):
            lines.append(f"  {when}  {'right' if one.is_right else 'wrong'}: {one.words}")
    first, second = (sum(seen.is_right for seen in side) for side in _sides(pairs))
    return "\n".join([*lines, f"as asked: {first} of {len(pairs)} before, {second} of {len(pairs)} after"])


def write_beside(path: Path, pairs: Sequence[Pair], *, fps: int = 6) -> None:
    """Write a gif, mp4 or png (first frames) of all pairs, each a column: before above after, ticked where right."""
    tiles = [[_tile(frame, seen) for frame in seen.frames] for side in _sides(pairs) for seen in side]
    write_tiles(path, tiles, columns=len(pairs), fps=fps)


def _sides(pairs: Sequence[Pair]) -> tuple[list[Seen], list[Seen]]:
    return [pair.before for pair in pairs], [pair.after for pair in pairs]


def _seen(path: Path) -> Seen:
    asked = (read_record(path) or {}).get("prompt")
    if not isinstance(asked, str):
        raise ValueError(f"{path} has no record of its prompt beside it: give clips that `lumos generate` made")
    frames = read_output(path)
    seen = describe(frames)
    verdict = check(claims_of(asked), seen)
    return Seen(prompt=asked, frames=frames, words=in_words(seen), is_right=verdict.correct)


def _tile(frame: np.ndarray, seen: Seen) -> Image.Image:
    made = tile(frame, f"{seen.prompt}: {seen.words}")
    mark(ImageDraw.Draw(made), right=seen.is_right)
    return made
