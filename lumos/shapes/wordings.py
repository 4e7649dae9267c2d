"""Many more wordings of a clip than `lumos.shapes.caption` has: plain words, as people ask for things.

A sentence is put together of parts drawn apart from each other, some millions of ways in all:

    show me a clip of    a red ball       on white      that goes up                 !
    please draw          2 green boxes    , the background is pink
    I want               a spinning star to the left of a hoop                       .
    make                 a violet donut   against a gray wall   get bigger

One in three is worded as ever (`caption.prompt_for`). Evaluation asks in that grammar alone, so its prompts stay what
they were; those of `eval.shapes run --kinds plain` are in words that no sentence made here has.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from lumos.shapes.caption import TAGS, ObjectClaim, Prompt, in_reading_order, mover_of, prompt_for, tags_of
from lumos.shapes.lexicon import (
    AND_WORDS,
    BESIDE_WORDS,
    COLOUR_WORDS,
    GROUND_WORDS,
    LAST_PLACES,
    MOTION_WORDS,
    PLACES,
    RELATION_WORDS,
    SHAPE_WORDS,
    SIDES,
    attribute,
    finite,
    gerund,
)
from lumos.shapes.spec import ShapeSpec

_AS_EVER = 1 / 3
_REQUESTS = (
    "show me", "show me", "show", "draw", "draw", "draw me", "make", "make me", "create", "generate", "render",
    "give me", "I want", "I want to see", "I would like", "I'd like to see", "let me see", "please show me",
    "please draw", "please make", "can you draw", "can you show me", "can you make",
)  # fmt: skip
_STATEMENTS = ("there is", "there is", "here is", "this is", "we see", "you see")
_STATEMENTS_OF_TWO = ("there are", "there are", "here are", "these are", "we see", "you see")
_VIDEOS = ("a video of", "a clip of", "a short clip of", "a short video of", "an animation of", "a movie of")
_PICTURES = ("a picture of", "an image of", "a drawing of", "a photo of")
_NUMBERS = {
    1: ("one", "one", "1", "a single", "just one", "exactly one"),
    2: ("two", "two", "2", "a pair of", "a couple of", "exactly two"),
}
_TAILS = (
    ", the {noun} {finite}", ", the {noun} {finite}", ", and the {noun} {finite}", "; the {noun} {finite}",
    ". The {noun} {finite}", ", where the {noun} {finite}", ", with the {noun} {gerund}", ", the {noun} is {gerund}",
    ", only the {noun} {finite}", " while the {noun} {finite}",
)  # fmt: skip
"""Which of two moves, after both were named."""


_ONE_ABOVE = ("one above the other", "one on top of the other", "one below the other")


@dataclass(frozen=True, kw_only=True)
class _Body:
    """A sentence without request and ground, which is put between the two parts."""

    head: str
    tail: str = ""
    is_sentence: bool = False
    """Whether it has a verb of its own, so that no request can come before it."""
    is_plural: bool = False
    """Whether the head is of two under one noun: there are two stars, there is a star and a ring."""


def wording(spec: ShapeSpec, rng: random.Random, *, moving: bool = True, tags: Sequence[str] = TAGS) -> str | None:
    """One of the many wordings of a clip under one of `tags`, or None if it has none of these (as `caption`)."""
    offered = [tag for tag in tags_of(spec, moving=moving) if tag in tags]
    return wording_for(spec, rng, tag=rng.choice(offered), moving=moving).text if offered else None


def wording_for(spec: ShapeSpec, rng: random.Random, *, tag: str, moving: bool = True) -> Prompt:
    """A wording of `spec` under a tag of `tags_of(spec)`, with its claims."""
    if rng.random() < _AS_EVER:
        return prompt_for(spec, rng, tag=tag)
    ground = spec.ground if rng.random() < 0.6 else None
    claims, relation = _claims(spec, rng, tag=tag)
    if len(claims) == 2:
        body = _two(claims, relation, rng, beside=spec.relation in ("left", "right"))
    elif claims[0].motion:
        body = _moving_one(claims[0], rng)
    else:
        body = _Body(head=_still(claims[0], spec, rng, last=ground is None), is_plural=claims[0].count > 1)
    text = _sentence(body, ground, rng, moving=moving)
    return Prompt(tag=tag, text=text, include=claims, relation=relation, ground=ground)


def _claims(spec: ShapeSpec, rng: random.Random, *, tag: str) -> tuple[tuple[ObjectClaim, ...], str | None]:
    """What is said of the objects, and how the first stands to the second where that is said."""
    first = spec.objects[0]
    if tag == "counting":
        same = len({item.colour for item in spec.objects}) == 1
        colour = first.colour if same and rng.random() < 0.7 else None
        return (ObjectClaim(shape=first.shape, colour=colour, count=len(spec.objects)),), None
    if len(spec.objects) == 1:
        coloured = tag == "colors" or (tag == "motion" and rng.random() < 0.75)
        motion = first.motion if tag == "motion" else None
        return (ObjectClaim(shape=first.shape, colour=first.colour if coloured else None, motion=motion),), None
    placed = tag == "position" or (tag == "motion" and rng.random() < 0.7)
    objects = spec.objects if placed else in_reading_order(spec)
    coloured = (
        tag in ("color_attr", "motion") or first.shape == spec.objects[1].shape or (placed and rng.random() < 0.7)
    )
    mover = mover_of(spec) if tag == "motion" else None
    claims = tuple(
        ObjectClaim(
            shape=item.shape, colour=item.colour if coloured else None, motion=item.motion if item is mover else None
        )
        for item in objects
    )
    return claims, spec.relation if placed else None


def _still(claim: ObjectClaim, spec: ShapeSpec, rng: random.Random, *, last: bool) -> str:
    """One thing, or two of a kind, without a word on motion."""
    if claim.count == 2 and rng.random() < 0.15:
        beside = spec.relation in ("left", "right")
        return f"{_named(claim, rng)} {'side by side' if beside else rng.choice(_ONE_ABOVE)}"
    return _named(claim, rng, last=last)


def _moving_one(claim: ObjectClaim, rng: random.Random) -> _Body:
    """One thing and its motion: "a ball that goes up", "a spinning star", "make a ring grow", ..."""
    phrase, form = rng.choice(MOTION_WORDS[claim.motion or "still"]), rng.random()
    if form < 0.16 and (before := attribute(phrase)):
        return _Body(head=_named(claim, rng, before=before))
    name = _named(claim, rng)
    if form < 0.25:
        return _Body(head=name, tail=f" {finite(phrase)}", is_sentence=True)
    if form < 0.32:
        request = rng.choice(("make {}", "let {}", "I want to see {}", "show me how {}", "I want {} to", "{} should"))
        verb = finite(phrase) if "how" in request else phrase.replace("not move", "stay still")
        return _Body(head=f"{request.format(name)} {verb}", is_sentence=True)
    if form < 0.38:
        return _Body(head=name, tail=rng.choice((", it {}", ". It {}", " and it {}")).format(finite(phrase)))
    rest = f"is {gerund(phrase)}" if form < 0.48 else _relative(phrase, rng) if form < 0.72 else gerund(phrase)
    is_sentence = form < 0.48
    if rng.random() < 0.7:
        return _Body(head=f"{name} {rest}", is_sentence=is_sentence)
    return _Body(head=name, tail=f" {rest}", is_sentence=is_sentence)


def _relative(phrase: str, rng: random.Random) -> str:
    return f"{rng.choice(('that', 'that', 'which'))} {finite(phrase) if rng.random() < 0.7 else f'is {gerund(phrase)}'}"


def _two(claims: tuple[ObjectClaim, ...], relation: str | None, rng: random.Random, *, beside: bool) -> _Body:
    """Two things, how they stand (`beside`: side by side) and which of them moves."""
    names, clause, tail = [_named(claim, rng) for claim in claims], "", ""
    mover = next((number for number, claim in enumerate(claims) if claim.motion), None)
    if mover is not None:
        phrase, form = rng.choice(MOTION_WORDS[claims[mover].motion or "still"]), rng.random()
        if form < 0.3 and (before := attribute(phrase)):
            names[mover] = _named(claims[mover], rng, before=before)
        elif form < 0.5 and mover == 1:  # of the first: "a dot that goes right above a box", "that sinks with a box"
            clause = f" {_relative(phrase, rng)}"
        else:
            noun = rng.choice(SHAPE_WORDS[claims[mover].shape])
            tail = rng.choice(_TAILS).format(noun=noun, finite=finite(phrase), gerund=gerund(phrase))
    elif relation is None and claims[0].shape == claims[1].shape and rng.random() < 0.3:
        return _Body(head=_one_and_one(claims, rng), is_plural=True)
    if relation is not None and rng.random() < 0.12:
        (here, there), (a, b) = rng.choice(SIDES[relation]), names
        return _Body(head=f"{here} {a}, {there} {b}{clause}", tail=tail, is_sentence=True)
    if relation is not None:
        return _Body(head=_placed(names, relation, rng, clause=clause), tail=tail)
    joint = rng.choice(BESIDE_WORDS if beside and rng.random() < 0.3 else AND_WORDS)
    return _Body(head=f"{names[0]} {joint} {names[1]}{clause}", tail=tail)


def _one_and_one(claims: tuple[ObjectClaim, ...], rng: random.Random) -> str:
    """Two of one shape: "two circles, one red and one blue"."""
    noun = _plural(rng.choice(SHAPE_WORDS[claims[0].shape]))
    a, b = (rng.choice(COLOUR_WORDS.get(claim.colour or "", (claim.colour,))) for claim in claims)
    return f"{rng.choice(_NUMBERS[2])} {noun}, one {a} and one {b}"


def _placed(names: list[str], relation: str, rng: random.Random, *, clause: str) -> str:
    """How two stand; `clause`, on the motion of the second, comes last: not "a box that goes right on top"."""
    a, b = names
    if rng.random() < 0.8:
        return f"{a} {rng.choice(RELATION_WORDS[relation])} {b}{clause}"
    here, there = rng.choice(SIDES[relation])
    return f"{a} {here} and {there} {b}{clause}" if clause else f"{a} {here} and {b} {there}"


def _named(claim: ObjectClaim, rng: random.Random, *, before: str = "", last: bool = False) -> str:
    """A noun phrase; `before` comes before the colour, and where it ends the sentence the colour may be said after."""
    noun = rng.choice(SHAPE_WORDS[claim.shape])
    noun = _plural(noun) if claim.count > 1 else noun
    counted = claim.count > 1 or (last and rng.random() < 0.3)
    number = rng.choice(_NUMBERS[claim.count]) if counted else ""
    colour = rng.choice(COLOUR_WORDS.get(claim.colour, (claim.colour,))) if claim.colour else ""
    after, form = "", rng.random()
    if colour and form < 0.06:
        colour = f"{colour}-{rng.choice(('coloured', 'colored'))}"
    elif colour and form < 0.12:
        colour, after = "", rng.choice((f" in {colour}", f" coloured {colour}", f" colored {colour}"))
    elif colour and last and form < 0.25:
        colour, after = (
            "",
            rng.choice((f", {colour}", f" that is {colour}" if claim.count == 1 else f" that are {colour}")),
        )
    words = " ".join(word for word in (before, colour, noun) if word)
    if number:
        return f"{number} {words}{after}"
    return f"{'an' if words[0] in 'aeio' else 'a'} {words}{after}"


def _plural(noun: str) -> str:
    return noun + ("es" if noun.endswith(("x", "s")) else "s")


def _sentence(body: _Body, ground: str | None, rng: random.Random, *, moving: bool) -> str:
    intro = "" if body.is_sentence else _intro(body, rng, moving=moving)
    word = rng.choice(GROUND_WORDS[ground]) if ground else ""
    form = rng.random()
    if not word:
        text = f"{intro}{body.head}{body.tail}"
    elif form < 0.12 and not body.tail.startswith((".", ";")):
        text = f"{intro}{body.head}{body.tail}{rng.choice(LAST_PLACES).format(word)}"
    elif form < 0.24:
        text = f"{rng.choice(PLACES).format(word)}{rng.choice((', ', ' ', ': '))}{intro}{body.head}{body.tail}"
    else:
        text = f"{intro}{body.head} {rng.choice(PLACES).format(word)}{body.tail}"
    return _written(text, rng, is_question=intro.startswith("can you"))


def _intro(body: _Body, rng: random.Random, *, moving: bool) -> str:
    """What comes before a noun phrase: nothing, a request, a statement, "a video of", or a request for one."""
    form = rng.random()
    if form < 0.4:
        return ""
    kinds = _VIDEOS if moving else _PICTURES
    if form < 0.65:
        return f"{rng.choice(_REQUESTS)} "
    if form < 0.73:
        return f"{rng.choice(_STATEMENTS_OF_TWO if body.is_plural else _STATEMENTS)} "
    if form < 0.87:
        return f"{rng.choice(kinds)} "
    return f"{rng.choice(_REQUESTS)} {rng.choice(kinds)} "


def _written(text: str, rng: random.Random, *, is_question: bool) -> str:
    """The text with or without a capital at its start, a full stop, and the like."""
    form, stop = rng.random(), rng.random()
    text = text[0].upper() + text[1:] if form < 0.4 else text
    if is_question and stop < 0.7:
        text += "?"
    elif stop < 0.06:
        text += ", please"
    else:
        text += "." if stop < 0.28 else "!" if stop < 0.34 else ""
    return text.upper() if form > 0.985 else text
