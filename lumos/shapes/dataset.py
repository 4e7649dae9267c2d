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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
from jaxtyping import UInt8
from tqdm import tqdm

from lumos.media.writing import write_image, write_video
from lumos.shapes.caption import TAGS, caption, mover_of
from lumos.shapes.lesson import is_lesson, lesson_example
from lumos.shapes.render import render
from lumos.shapes.spec import EXTRA_COLOURS, MOTIONS, ShapeSpec, is_reserved, sample_spec
from lumos.shapes.wordings import wording
from xllmx.disk.files import write_text
from xllmx.disk.place import check_file
from xllmx.rng import seed_for
from xllmx.run.exit_status import status_of
from xllmx.run.option_parser import OptionParser
from xllmx.settings.number_range import SHARE, Range, check_numbers

WORDINGS = {"few": caption, "many": wording}
"""How captions are worded: in the grammar that evaluation asks in, or in many more ways besides."""
MOTION_WEIGHTS: Mapping[str, float] = dict.fromkeys(MOTIONS, 1) | {"turn": 2}
"""How often clips of each motion are taken of those that are drawn, relative to each other."""

_WEIGHT = Range(0, 1000)
_COLOURLESS_TAGS = {"single_object", "two_object"}
_TAGS_OF_ONE = {"single_object", "colors", "counting", "motion"}
_TAGS_OF_TWO = {"two_object", "counting", "position", "color_attr", "motion"}


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
    wordings: str = "few"
    """How captions are worded, one of `WORDINGS`."""
    motions: Mapping[str, Annotated[int | float, _WEIGHT]] = field(default_factory=dict)
    """How often clips of some motions are taken, instead of as `MOTION_WEIGHTS` says."""
    off_grid: Annotated[int | float, SHARE] = 0
    """Chance that the centres of a clip are anywhere, and its sizes a little varied (`sample_spec`)."""

    def __post_init__(self) -> None:
        check_numbers(self, "--")
        if unknown := set(self.tags) - set(TAGS):
            raise ValueError(f"--tags has {', '.join(sorted(unknown))}: choose from {', '.join(TAGS)}")
        sayable = set(self.tags) - (set() if self.moving else {"motion"})
        if not sayable:
            raise ValueError("--tags leaves nothing to say: choose what an image can show, or render clips")
        if self.objects and not sayable & (_TAGS_OF_ONE if self.objects == 1 else _TAGS_OF_TWO):
            raise ValueError(
                f"--objects is {self.objects}, of which nothing can be said under {', '.join(sorted(sayable))}: "
                "add a tag, or leave --objects out"
            )
        if self.extras == 1 and sayable <= _COLOURLESS_TAGS:
            raise ValueError(
                f"--extras is 1, but captions of {', '.join(sorted(sayable))} name no colour: add a tag, or lower it"
            )
        if self.wordings not in WORDINGS:
            raise ValueError(f"--wordings is {self.wordings!r}: choose from {', '.join(WORDINGS)}")
        self._check_motions()
        if self.lesson and (self.wordings != "few" or self.motions or self.off_grid):
            raise ValueError(
                "--lesson has clips and wordings of its own: leave out --wordings, --motions and --off-grid"
            )

    def _check_motions(self) -> None:
        if unknown := set(self.motions) - set(MOTIONS):
            raise ValueError(f"--motions has {', '.join(sorted(unknown))}: choose from {', '.join(MOTIONS)}")
        if self.motions and not self.moving:
            raise ValueError("--motions is about clips, and in an image nothing moves: leave it out")
        if not any(self.weights.values()):
            raise ValueError("--motions leaves no motion to show: give one of them a weight above 0")
        is_still = not any(weight for motion, weight in self.weights.items() if motion != "still")
        if self.objects == 2 and is_still and set(self.tags) == {"motion"}:
            raise ValueError(
                "--motions leaves two shapes that stand still, of which --tags motion says nothing: give another "
                "motion a weight above 0, or add a tag"
            )

    @property
    def weights(self) -> dict[str, int | float]:
        """How often clips of each motion are taken, relative to each other."""
        return {**MOTION_WEIGHTS, **self.motions}

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
    """Clip number `index` of a training set as `draw_example` has it, of a form with these settings alone."""
    return draw_example(index, seed=seed, form=Format(moving=moving, extras=extras, tags=tuple(tags), objects=objects))


def draw_example(index: int, *, seed: int, form: Format) -> tuple[ShapeSpec, str]:
    """Clip number `index` of a training set and its caption: no held-out combination, no reserved wording.

    What is hard to learn comes more often than chance would have it: two clips in three show a pair, unless the form
    says how many shapes each has, and of the videos in which nothing turns only every second is taken, or as its
    weights say.
    """
    rng = random.Random(seed_for(seed, index, stream="shapes"))
    weights, worded = form.weights, WORDINGS[form.wordings]
    most = max(weights.values())
    while True:
        count = form.objects or rng.choice((1, 2, 2))
        spec = sample_spec(rng, num_objects=count, moving=form.moving, extras=form.extras, off_grid=form.off_grid)
        share = weights[motion_of(spec)] / most
        if form.moving and share < 1 and rng.random() < 1 - share:
            continue
        text = worded(spec, rng, moving=form.moving, tags=form.tags)
        if text is not None and not is_reserved(text) and _names_extras(spec, text):
            return spec, text


def motion_of(spec: ShapeSpec) -> str:
    """What moves in a clip, in which at most one shape does: that shape's motion, or `still`."""
    mover = mover_of(spec)
    return mover.motion if mover else "still"


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
    """`draw_example` of a data set of this form, or a clip of the lesson in it."""
    if form.lesson and is_lesson(index):
        return lesson_example(index, seed=seed, moving=form.moving)
    return draw_example(index, seed=seed, form=form)


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
    parser.add_argument(
        "--wordings", choices=list(WORDINGS), default="few", help="of captions: as evaluation asks, or many more"
    )
    parser.add_argument(
        "--motions",
        nargs="+",
        type=_weight,
        default=[],
        metavar="NAME=WEIGHT",
        help="how often each comes (default: turn=2, others 1)",
    )
    parser.add_argument(
        "--off-grid", type=float, default=0, help="chance of centres anywhere, not on the grid of eighths"
    )
    parser.add_argument("--tags", nargs="+", default=TAGS, metavar="TAG", help="what captions are about (default: all)")


def _weight(text: str) -> tuple[str, float]:
    """A motion and how often it comes, of "turn=4"."""
    name, _, weight = text.partition("=")
    try:
        return name, float(weight)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no motion and its weight, such as turn=4") from None


def format_of(options: argparse.Namespace) -> Format:
    """The form of the clips that the options ask for; ValueError for what does not fit together."""
    length = {"fps": options.fps, "duration_s": options.duration}
    kinds = {
        "extras": options.extras,
        "tags": tuple(options.tags),
        "lesson": options.lesson,
        "objects": options.objects,
        "wordings": options.wordings,
        "motions": dict(options.motions),
        "off_grid": options.off_grid,
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
