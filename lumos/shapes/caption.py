"""Words for a clip of shapes: a small grammar of phrasings, and what a phrasing claims about the clip.

A caption mentions only part of what is seen, as people do: GenEval's tags (single object, two objects, counting,
colours, position, colour attribution) and motion name which part.
"""

import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from lumos.shapes.spec import EXTRA_SHAPES, ObjectSpec, ShapeSpec

TAGS: tuple[str, ...] = (
    "single_object",
    "two_object",
    "counting",
    "colors",
    "position",
    "color_attr",
    "motion",
)
"""GenEval's six tags and motion."""

_SHAPE_WORDS = {
    "circle": ("circle", "circle", "disc", "dot"),
    "square": ("square", "square", "box"),
    "triangle": ("triangle",),
    "star": ("star",),
    "ring": ("ring", "ring", "hoop"),
    **{shape: (shape,) for shape in EXTRA_SHAPES},
}
_COLOUR_WORDS = {"purple": ("purple", "purple", "violet")}
_GROUND_WORDS = {"gray": ("gray", "grey")}
_MOTION_WORDS = {
    "still": ("stands still", "does not move", "stays in place", "stays still", "rests"),
    "left": ("moves left", "moves to the left", "slides left", "drifts to the left", "travels left", "goes left"),
    "right": (
        "moves right",
        "moves to the right",
        "slides right",
        "drifts to the right",
        "travels right",
        "goes right",
    ),
    "up": ("moves up", "moves upwards", "rises", "floats up", "slides up", "goes up"),
    "down": ("moves down", "moves downwards", "falls", "sinks", "slides down", "goes down"),
    "grow": ("grows", "gets bigger", "gets larger", "becomes bigger", "expands"),
    "shrink": ("shrinks", "gets smaller", "becomes smaller", "contracts"),
    "turn": ("turns", "rotates", "spins", "turns around"),
}
_GERUNDS = {
    "stands": "standing", "does": "not moving", "stays": "staying", "rests": "resting", "moves": "moving",
    "slides": "sliding", "drifts": "drifting", "travels": "travelling", "goes": "going", "rises": "rising",
    "floats": "floating", "falls": "falling", "sinks": "sinking", "grows": "growing", "gets": "getting",
    "becomes": "becoming", "expands": "expanding", "shrinks": "shrinking", "contracts": "contracting",
    "turns": "turning", "rotates": "rotating", "spins": "spinning",
}  # fmt: skip
_RELATION_WORDS = {
    "left": ("to the left of", "left of", "on the left of"),
    "right": ("to the right of", "right of", "on the right of"),
    "above": ("above", "over"),
    "below": ("below", "under", "beneath"),
}
_PLACES = ("on a {} background", "on a {} ground", "against a {} background", "in front of a {} background")
_INTROS = ("", "", "", "", "a video of ", "a clip of ", "a picture of ", "a photo of ", "an image of ")


@dataclass(frozen=True, kw_only=True)
class ObjectClaim:
    """What a caption says of one kind of object; None where it says nothing."""

    shape: str
    colour: str | None = None
    motion: str | None = None
    count: int = 1


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """A caption and all it claims."""

    tag: str
    text: str
    include: tuple[ObjectClaim, ...]
    relation: str | None = None
    """How the first of `include` stands to the second."""
    ground: str | None = None

    def to_dict(self) -> dict:
        """A json-able record, in the manner of GenEval's metadata."""
        return asdict(self)

    @classmethod
    def from_dict(cls, record: dict) -> "Prompt":
        """The prompt of a record made by `to_dict`."""
        include = tuple(ObjectClaim(**claim) for claim in record["include"])
        return cls(**{**record, "include": include})


def caption(spec: ShapeSpec, rng: random.Random, *, moving: bool = True, tags: Sequence[str] = TAGS) -> str | None:
    """One of the many phrasings of a clip under one of `tags`, or None if it has none of these.

    `moving` False leaves motion out, as for an image.
    """
    offered = [tag for tag in tags_of(spec, moving=moving) if tag in tags]
    return prompt_for(spec, rng, tag=rng.choice(offered)).text if offered else None


def tags_of(spec: ShapeSpec, *, moving: bool = True) -> tuple[str, ...]:
    """The tags whose captions are true of this clip, the telling ones repeated."""
    motion = ("motion",) * 6 if moving else ()
    if len(spec.objects) == 1:
        return ("single_object", "colors", "counting", *motion)
    a, b = spec.objects
    if a.shape == b.shape:
        same_colour = a.colour == b.colour
        return ("counting", "counting") if same_colour else ("counting", "position", "color_attr")
    return ("two_object", *("position",) * 4, "color_attr", "color_attr", *(motion if mover_of(spec) else ()))


def prompt_for(spec: ShapeSpec, rng: random.Random, *, tag: str) -> Prompt:
    """A phrasing of `spec` under a tag of `tags_of(spec)`, with its claims."""
    ground = spec.ground if rng.random() < 0.6 else None
    relation = None
    if tag in ("single_object", "colors"):
        claims, body = _single(spec.objects[0], rng, coloured=tag == "colors")
    elif tag == "counting":
        claims, body = _counting(spec, rng)
    elif tag == "motion":
        claims, body, relation = _motion(spec, rng)
    else:
        coloured = tag == "color_attr" or spec.objects[0].shape == spec.objects[1].shape
        coloured = coloured or (tag == "position" and rng.random() < 0.7)
        claims, body, relation = _two(spec, rng, coloured=coloured, placed=tag == "position")
    text = _sentence(body, ground, rng)
    return Prompt(tag=tag, text=text, include=claims, relation=relation, ground=ground)


def _single(item: ObjectSpec, rng: random.Random, *, coloured: bool) -> tuple[tuple[ObjectClaim, ...], str]:
    claim = ObjectClaim(shape=item.shape, colour=item.colour if coloured else None)
    return (claim,), _noun_phrase(claim, rng)


def _counting(spec: ShapeSpec, rng: random.Random) -> tuple[tuple[ObjectClaim, ...], str]:
    first = spec.objects[0]
    same_colour = len({o.colour for o in spec.objects}) == 1
    colour = first.colour if same_colour and rng.random() < 0.7 else None
    claim = ObjectClaim(shape=first.shape, colour=colour, count=len(spec.objects))
    return (claim,), _noun_phrase(claim, rng, number="one" if claim.count == 1 else "two")


def _two(
    spec: ShapeSpec, rng: random.Random, *, coloured: bool, placed: bool
) -> tuple[tuple[ObjectClaim, ...], str, str | None]:
    objects = spec.objects if placed else in_reading_order(spec)
    claims = tuple(ObjectClaim(shape=o.shape, colour=o.colour if coloured else None) for o in objects)
    relation = spec.relation if placed else None
    joint = rng.choice(_RELATION_WORDS[relation]) if relation else rng.choice(("and", "and", "next to", "with"))
    if joint == "next to" and spec.relation in ("above", "below"):
        joint = "and"
    return claims, f"{_noun_phrase(claims[0], rng)} {joint} {_noun_phrase(claims[1], rng)}", relation


def in_reading_order(spec: ShapeSpec) -> tuple[ObjectSpec, ...]:
    """Left before right and top before bottom, as people name things whose places they leave unsaid."""
    return spec.objects if spec.relation in ("left", "above") else spec.objects[::-1]


def _motion(spec: ShapeSpec, rng: random.Random) -> tuple[tuple[ObjectClaim, ...], str, str | None]:
    if len(spec.objects) == 1:
        item = spec.objects[0]
        claim = ObjectClaim(shape=item.shape, colour=item.colour if rng.random() < 0.85 else None, motion=item.motion)
        return (claim,), f"{_noun_phrase(claim, rng)} {_verb(item.motion, rng)}", None
    mover = mover_of(spec)
    assert mover is not None, "tags_of offers motion for a pair only where one of the two moves"
    claims = tuple(
        ObjectClaim(shape=o.shape, colour=o.colour, motion=o.motion if o is mover else None) for o in spec.objects
    )
    relation = spec.relation
    words = rng.choice(_RELATION_WORDS[relation]) if relation else "and"
    moves = rng.choice(_MOTION_WORDS[mover.motion])
    body = f"{_noun_phrase(claims[0], rng)} {words} {_noun_phrase(claims[1], rng)}"
    return claims, f"{body}, the {_shape_word(mover.shape, rng)} {moves}", relation


def mover_of(spec: ShapeSpec) -> ObjectSpec | None:
    """The object that moves, of which there is at most one; None where all stand still."""
    return next((o for o in spec.objects if o.motion != "still"), None)


def _shape_word(shape: str, rng: random.Random) -> str:
    return rng.choice(_SHAPE_WORDS[shape])


def _noun_phrase(claim: ObjectClaim, rng: random.Random, *, number: str = "") -> str:
    noun = _shape_word(claim.shape, rng)
    if claim.count > 1:
        noun += "es" if noun.endswith("x") else "s"
    colour = rng.choice(_COLOUR_WORDS.get(claim.colour, (claim.colour,))) if claim.colour else ""
    words = f"{colour} {noun}".strip()
    if number:
        return f"{number} {words}"
    return ("an " if words[0] in "aeio" else "a ") + words


def _verb(motion: str, rng: random.Random) -> str:
    """A finite verb ("moves left"), a relative clause ("that moves left") or a gerund ("moving left")."""
    phrase = rng.choice(_MOTION_WORDS[motion])
    form = rng.random()
    if form < 0.5:
        return phrase
    if form < 0.65:
        return f"that {phrase}"
    head, _, rest = phrase.partition(" ")
    if head == "does":
        return "not moving"
    return f"{_GERUNDS[head]} {rest}".strip()


def _sentence(body: str, ground: str | None, rng: random.Random) -> str:
    place = rng.choice(_PLACES).format(rng.choice(_GROUND_WORDS.get(ground, (ground,)))) if ground else ""
    if place and rng.random() < 0.2:
        text = f"{place}, {body}"
    elif place and ", the " in body:
        head, _, tail = body.partition(", the ")
        text = f"{rng.choice(_INTROS)}{head} {place}, the {tail}"
    else:
        text = f"{rng.choice(_INTROS)}{body} {place}".strip()
    if rng.random() < 0.4:
        text = text[0].upper() + text[1:]
    return text + "." if rng.random() < 0.3 else text
