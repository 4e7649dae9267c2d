"""Training clips of the shapes world: rendered, captioned, and written as files with a CSV, as people's own data come.

`python -m lumos.shapes.dataset --out data/clips --num 48` writes mp4 (or png) files and a `clips.csv`;
`python -m pre_tokenize.shapes` codes the same clips into shards.
"""

import argparse
import csv
import dataclasses
import io
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from jaxtyping import UInt8
from tqdm import tqdm

from lumos.media.writing import write_image, write_video
from lumos.shapes.caption import TAGS, caption
from lumos.shapes.lesson import is_lesson, lesson_example
from lumos.shapes.render import render
from lumos.shapes.spec import EXTRA_COLOURS, ShapeSpec, is_reserved, sample_spec
from xllmx.disk.files import write_text
from xllmx.disk.place import check_file
from xllmx.rng import seed_for
from xllmx.run.exit_status import status_of
from xllmx.run.option_parser import OptionParser
from xllmx.settings.number_range import SHARE, Range, check_numbers

_COLOURLESS_TAGS = {"single_object", "two_object"}


@dataclass(frozen=True, kw_only=True)
class Format:
    """Size and length of the clips of a data set."""

    size_px: Annotated[int, Range(8, 8192)] = 64
    """Height and width."""
    fps: Annotated[int, Range(1, 1000)] = 6
    """Frames a second; 1 for images."""
    duration_s: Annotated[int, Range(1, 10_000)] = 2
    """Whole seconds; 1 for images."""
    moving: bool = True
    """False for images."""
    extras: Annotated[int | float, SHARE] = 0
    """Chance of an extra shape and of an extra colour (`sample_spec`), before clips are left out whose caption does not
    name the colour."""
    tags: tuple[str, ...] = TAGS
    """What captions are about; of what has none of these nothing is taken."""
    objects: Annotated[int, Range(1, 2)] | None = None
    """Shapes in every clip; None: one or two."""
    lesson: bool = False
    """Whether most of the clips show a white shape, as the bundled model was never shown (`lumos.shapes.lesson`)."""

    def __post_init__(self) -> None:
        check_numbers(self, "--")
        if unknown := set(self.tags) - set(TAGS):
            raise ValueError(f"--tags has {', '.join(sorted(unknown))}: choose from {', '.join(TAGS)}")
        sayable = set(self.tags) - (set() if self.moving else {"motion"})
        if not sayable:
            raise ValueError("--tags leaves nothing to say: choose what an image can show, or render clips")
        if self.extras == 1 and sayable <= _COLOURLESS_TAGS:
            raise ValueError(
                f"--extras is 1, but captions of {', '.join(sorted(sayable))} name no colour: add a tag, or lower it"
            )

    @property
    def num_frames(self) -> int:
        """Frames of a clip."""
        return self.fps * self.duration_s if self.moving else 1


def training_example(
    index: int,
    *,
    seed: int,
    moving: bool,
    extras: int | float = 0,
    tags: Sequence[str] = TAGS,
    objects: int | None = None,
) -> tuple[ShapeSpec, str]:
    """Clip number `index` of a training set and its caption: no held-out combination, no reserved wording.

    What is hard to learn comes more often than chance would have it: two clips in three show a pair, unless `objects`
    says how many shapes each has, and of the videos in which nothing turns only every second is taken.
    """
    rng = random.Random(seed_for(seed, index, stream="shapes"))
    while True:
        spec = sample_spec(rng, num_objects=objects or rng.choice((1, 2, 2)), moving=moving, extras=extras)
        turning = any(item.motion == "turn" for item in spec.objects)
        if moving and not turning and rng.random() < 0.5:
            continue
        text = caption(spec, rng, moving=moving, tags=tags)
        if text is not None and not is_reserved(text) and _names_extras(spec, text):
            return spec, text


def _names_extras(spec: ShapeSpec, text: str) -> bool:
    """Whether a caption names every extra colour of its clip: a colour left open is one of the world's six."""
    return all(item.colour in text.lower() for item in spec.objects if item.colour in EXTRA_COLOURS)


def write_files(out: Path, *, num: int, seed: int, form: Format) -> Path:
    """Renders `num` clips as mp4 (or png) files beside a `clips.csv` of the columns path and text; returns the CSV."""
    check_file(out / "clips.csv")
    rows = []
    for index in tqdm(range(num), desc=str(out)):
        spec, words = example(index, seed=seed, form=form)
        path = out / f"{index:05d}.{'mp4' if form.moving else 'png'}"
        frames = frames_of(spec, form)
        if form.moving:
            write_video(path, frames, fps=form.fps)
        else:
            write_image(path, frames[0])
        rows.append((str(path), words))
    table = out / "clips.csv"
    write_text(table, _csv_text([("path", "text"), *rows]))
    return table


def example(index: int, *, seed: int, form: Format) -> tuple[ShapeSpec, str]:
    """`training_example` of a data set of this form, or a clip of the lesson in it."""
    if form.lesson and is_lesson(index):
        return lesson_example(index, seed=seed, moving=form.moving)
    return training_example(
        index, seed=seed, moving=form.moving, extras=form.extras, tags=form.tags, objects=form.objects
    )


def frames_of(spec: ShapeSpec, form: Format) -> UInt8[np.ndarray, "F H W 3"]:
    """The frames of a clip of this form."""
    return render(spec, width=form.size_px, height=form.size_px, num_frames=form.num_frames, fps=form.fps)


def _csv_text(rows: Sequence[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds what says which clips of the world are made."""
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--num", type=int, default=1000, help="how many clips")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--images", action="store_true", help="single pictures instead of clips")
    parser.add_argument("--size", type=int, default=64, help="height and width in pixels")
    parser.add_argument("--fps", type=int, default=6)
    parser.add_argument("--duration", type=int, default=2, help="seconds")
    parser.add_argument("--extras", type=float, default=0, help="chance of shapes and colours that only training shows")
    parser.add_argument("--objects", type=int, help="shapes in every clip, 1 or 2 (default: either)")
    parser.add_argument("--lesson", action="store_true", help="white shapes among them, which lumos-tiny never saw")
    parser.add_argument("--tags", nargs="+", default=TAGS, metavar="TAG", help="what captions are about (default: all)")


def format_of(options: argparse.Namespace) -> Format:
    """The form of the clips that the options ask for; ValueError for what does not fit together."""
    length = {"fps": options.fps, "duration_s": options.duration}
    kinds = {
        "extras": options.extras,
        "tags": tuple(options.tags),
        "lesson": options.lesson,
        "objects": options.objects,
    }
    form = Format(size_px=options.size, **length, **kinds)
    return dataclasses.replace(form, fps=1, duration_s=1, moving=False) if options.images else form


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status (`xllmx.run.exit_status`)."""
    parser = OptionParser(prog="lumos.shapes.dataset", description=__doc__)
    add_options(parser)
    parser.add_argument("--files", action="store_true", help="as always; shards are made by pre_tokenize.shapes")

    def write() -> int:
        options = parser.parse_args(arguments)
        write_files(options.out, num=options.num, seed=options.seed, form=format_of(options))
        return 0

    return status_of("lumos.shapes.dataset", write, words=arguments)


if __name__ == "__main__":
    sys.exit(main())
