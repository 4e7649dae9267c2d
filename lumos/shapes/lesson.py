"""What the quickstart teaches the bundled model: white shapes. It was shown white grounds only, never a white shape.

Its tokenizer draws white circles and squares on gray, though it was not made for them either, so the language model
has all that it needs: it only was never asked. On black they come back speckled, other shapes in white come back
frayed, and colours outside the world come back as their neighbours (magenta as purple).

Of eight clips of a data set with the lesson, in this order:

    5 white circles and squares, on gray                 what is taught
    2 shapes as ever, on a ground that is called white    so that the word keeps its other meaning
    1 clip as ever, of one or two objects                 so that the rest is not all forgotten

With 45 steps at a learning rate of 1e-3 all six prompts of white shapes in `exps/quickstart_prompts.txt` come out as
asked, of which none did before (seeds 1 to 6); the two of shapes on a white ground, right before, then come on gray:
so short a fine-tuning forgets. With four and three clips of eight it was four of the six, and one of the two.
"""

import dataclasses
import random

from lumos.shapes.caption import caption
from lumos.shapes.spec import ShapeSpec, is_reserved, sample_spec
from xllmx.rng import seed_for

COLOUR = "white"
"""Of the shapes, one of `TAUGHT_COLOURS`; of a ground too."""
SHAPES = ("circle", "square")
GROUND = "gray"
_TAGS = ("colors", "motion")
_TAUGHT, _ON_WHITE, _ROUND = 5, 7, 8


def is_lesson(index: int) -> bool:
    """Whether clip number `index` is one of `lesson_example`; the others are as ever.

    >>> [is_lesson(index) for index in range(9)]
    [True, True, True, True, True, True, True, False, True]
    """
    return index % _ROUND < _ON_WHITE


def lesson_example(index: int, *, seed: int, moving: bool) -> tuple[ShapeSpec, str]:
    """Clip number `index` of a lesson, of one white shape or on white, and a caption that names it.

    No combination that is held out, no wording reserved for evaluation.
    """
    rng = random.Random(seed_for(seed, index, stream="lesson"))
    while True:
        spec = sample_spec(rng, num_objects=1, moving=moving)
        (item,) = spec.objects
        if index % _ROUND < _TAUGHT:
            if item.shape not in SHAPES:
                continue
            spec = ShapeSpec(objects=(dataclasses.replace(item, colour=COLOUR),), ground=GROUND)
        else:
            spec = dataclasses.replace(spec, ground=COLOUR)
        text = caption(spec, rng, moving=moving, tags=_TAGS)
        if text is not None and COLOUR in text.lower() and not is_reserved(text):
            return spec, text
