"""What a sentence claims about a clip of shapes, read from its words by rule; the other way round from `caption`."""

import re
from collections.abc import Iterator
from typing import Any, TypeVar

from lumos.shapes import GROUNDS, ObjectClaim, Prompt
from lumos.shapes.describe import PALETTE

K = TypeVar("K")

_SHAPES = {
    "circle": "circles?|dis[ck]s?|dots?|balls?",
    "square": "squares?|box(?:es)?|blocks?",
    "triangle": "triangles?",
    "star": "stars?",
    "ring": "rings?|hoops?|do(?:ugh)?nuts?",
}
_COLOURS = {name: name for name in PALETTE} | {
    "red": "red|scarlet|crimson",
    "yellow": "yellow|gold(?:en)?",
    "green": "green|emerald",
    "purple": "purple|violet",
}
_GROUNDS = {name: name for name in GROUNDS} | {"gray": "gr[ae]y"}
_NUMBERS = {
    1: "an?|one|the|a single|a lone",
    2: "two|a pair of|a couple of|both",
    3: "three",
    4: "four",
    5: "five",
}
_DIGITS = {"1": "one", "2": "two", "3": "three", "4": "four", "5": "five"}
_GO = r"(?:mov|slid|drift|travel|go|float|glid|head|fly|fli)\w*(?: \w+ly)?"
_TOWARDS = "(?:to the |towards? the )?"
_OF = "(?:side )?of(?! the (?:screen|frame|picture|image|video))"
"""Behind left and right: beside something, not at a side of the frame."""
_BECOME = r"(?:get|becom|grow)\w*(?: \w+ and)?"
_MOTIONS = {
    "still": r"(?:stand|stay|hold|sit|keep|remain)\w* (?:still|in place|where it is)|(?:be|is|are) still"
    r"|motionless|at rest|(?:does|do|is|are)? ?not mov\w+|doesn t move|rest(?:s|ing)?",
    "left": rf"{_GO} {_TOWARDS}left(?:wards?)?(?! {_OF})|from right to left",
    "right": rf"{_GO} {_TOWARDS}right(?:wards?)?(?! {_OF})|from left to right",
    "up": rf"{_GO} up(?:wards?)?|ris(?:es?|ing)|climb\w*|ascend\w*|from (?:the )?bottom to (?:the )?top",
    "down": rf"{_GO} down(?:wards?)?|fall(?:s|ing)?|sink(?:s|ing)?|drop\w*|descend\w*"
    r"|from (?:the )?top to (?:the )?bottom",
    "shrink": rf"shrink(?:s|ing)?|contract(?:s|ing)?|dwindl\w*|decreas\w* in size|{_BECOME} smaller",
    "grow": rf"{_BECOME} (?:bigger|larger)|grow(?:s|ing)?|expand(?:s|ing)?|swell\w*|enlarg\w*|increas\w* in size",
    "turn": r"(?:turn|rotat|spin|whirl|twirl|revolv)\w*",
}
_DOING = (
    r"(?:ris|climb|ascend|fall|sink|dropp|descend|shrink|contract|dwindl|grow|expand|swell|enlarg"
    r"|turn|rotat|spinn|whirl|twirl|revolv|rest)ing|motionless|still"
)
"""Motions as they stand before a noun; `still` stands before no verb."""
_RELATIONS = {
    "left": rf"(?:(?:to|on) the )?left {_OF}",
    "right": rf"(?:(?:to|on) the )?right {_OF}",
    "above": "above|over|on top of|higher than",
    "below": "below|under|beneath|underneath|lower than",
}
_SIDES = {
    "left": rf"(?:on|at) the left(?: side)?\b(?! {_OF})",
    "right": rf"(?:on|at) the right(?: side)?\b(?! {_OF})",
    "above": r"at the top|on top(?! of)",
    "below": r"at the bottom",
}
"""Where the first of two stands, said of itself; the other stands across from it."""


def _any(words: dict[Any, str], name: str) -> str:
    return f"(?P<{name}>{'|'.join(words.values())})"


_ANY_SHAPE = "|".join(_SHAPES.values())
_BEHIND = "(?:(?:back)?ground|backdrop|canvas|screen|wall)"
_SIZE = "(?:(?:big|large|small|little|tiny|bright|nice|plain) )*"
_A = "(?: an?| the)?(?: plain)?"
_PLACE = re.compile(
    rf"\b(?:(?:on|against|over|in front of|with(?={_A} \w+ {_BEHIND}\b)){_A} {_any(_GROUNDS, 'ground')}"
    rf"(?: {_BEHIND}\b|\b(?! {_BEHIND}| (?:colou?red )?{_SIZE}(?:{_ANY_SHAPE})\b))"
    rf"|(?:the )?(?:back)?ground (?:is )?{_any(_GROUNDS, 'said')}\b"
    rf"|{_any(_GROUNDS, 'last')} (?:back)?ground\b)"
)
_NOUN = re.compile(
    rf"\b(?:{_any(_NUMBERS, 'number')} {_SIZE})?(?:(?P<doing>{_DOING}) )?{_SIZE}"
    rf"(?:{_any(_COLOURS, 'colour')} (?:colou?red )?)?(?:five pointed )?{_any(_SHAPES, 'shape')}\b"
    rf"(?: (?:in |(?:(?:that|which) (?:is|are) )?(?:colou?red )?){_any(_COLOURS, 'after')}\b"
    rf"(?! {_SIZE}(?:{_ANY_SHAPE})\b))?"
)
_ONE_AND_ONE = re.compile(rf"(?:two|a pair of|a couple of) (?:five pointed )?({_ANY_SHAPE}) one (\w+) and one (\w+)")


def claims_of(text: str) -> Prompt:
    """The claims of a sentence in the manner of the captions, its tag guessed from them.

    Words outside the world are passed over: "a red circle on the moon" claims a red circle. `ValueError` if no shape is
    named, or more than two sorts of objects.
    """
    words = _plain(text)
    place = _PLACE.search(words)
    objects, relation = _read(_PLACE.sub(" ", words))
    if not objects:
        raise ValueError(f"{text!r} names no shape; the words for one are circle, square, triangle, star and ring")
    if len(objects) > 2:
        raise ValueError(f"{text!r} names {len(objects)} sorts of objects; the reader takes one or two")
    claims = tuple(ObjectClaim(**claim) for claim in objects)
    ground = _key(_GROUNDS, place["ground"] or place["said"] or place["last"]) if place else None
    return Prompt(tag=_tag(claims, relation), text=text, include=claims, relation=relation, ground=ground)


def _plain(text: str) -> str:
    """The words of a sentence, digits as words, and of "two circles, one red and one blue" each said apart."""
    letters = re.sub(r"[^a-z ]", " ", re.sub(r"\b[1-5]\b", lambda digit: _DIGITS[digit[0]], text.lower()))
    return _ONE_AND_ONE.sub(r"a \2 \1 and a \3 \1", " ".join(letters.split()))


def _read(words: str) -> tuple[list[dict[str, Any]], str | None]:
    """The objects a sentence names, each a dict of claims, and how the first stands to the second."""
    objects: list[dict[str, Any]] = []
    nouns = list(_nouns(words))
    relation = _first(_SIDES, words[: nouns[0][0].start()]) if nouns else None
    for noun, rest in nouns:
        colour = _key(_COLOURS, noun["colour"] or noun["after"])
        claim = {"shape": _key(_SHAPES, noun["shape"]), "colour": colour}
        known = next((o for o in objects if noun["number"] == "the" and _same(o, claim)), None)
        if known is None:
            known = {**claim, "count": _key(_NUMBERS, noun["number"]) or 1, "motion": None}
            objects.append(known)
        doing = "be still" if noun["doing"] == "still" else noun["doing"] or ""
        known["motion"] = known["motion"] or _first(_MOTIONS, doing) or _first(_MOTIONS, rest)
        if len(objects) == 1:
            relation = relation or _first(_RELATIONS, rest) or _first(_SIDES, rest)
    return objects, relation if len(objects) == 2 else None


def _same(known: dict[str, Any], claim: dict[str, Any]) -> bool:
    """Whether "the <claim>" is an object named before."""
    return known["shape"] == claim["shape"] and claim["colour"] in (None, known["colour"])


def _nouns(words: str) -> Iterator[tuple[re.Match, str]]:
    """Each noun with the words between it and the next."""
    found = list(_NOUN.finditer(words))
    ends = [*(noun.start() for noun in found), len(words)][1:]
    for noun, end in zip(found, ends, strict=True):
        yield noun, words[noun.end() : end]


def _key(table: dict[K, str], word: str | None) -> K | None:
    return next((key for key, pattern in table.items() if word and re.fullmatch(pattern, word)), None)


def _first(table: dict[str, str], words: str) -> str | None:
    """The entry found in the words, the earliest where there are several."""
    places = {
        key: match.start() for key, pattern in table.items() if (match := re.search(rf"\b(?:{pattern})\b", words))
    }
    return min(places, key=places.__getitem__, default=None)


def _tag(claims: tuple[ObjectClaim, ...], relation: str | None) -> str:
    if any(claim.motion for claim in claims):
        return "motion"
    if len(claims) == 2:
        return "position" if relation else "color_attr" if all(claim.colour for claim in claims) else "two_object"
    return "counting" if claims[0].count > 1 else "colors" if claims[0].colour else "single_object"
