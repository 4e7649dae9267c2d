"""What a sentence claims about a clip of shapes, read from its words by rule; the other way round from `caption`."""

import re
from collections.abc import Iterator
from typing import Any, TypeVar

from lumos.shapes import GROUNDS, ObjectClaim, Prompt
from lumos.shapes.describe import PALETTE

K = TypeVar("K")

_SHAPES = {
    "circle": "circles?|dis[ck]s?|dots?",
    "square": "squares?|box(?:es)?",
    "triangle": "triangles?",
    "star": "stars?",
    "ring": "rings?|hoops?",
}
_COLOURS = {name: name for name in PALETTE} | {"purple": "purple|violet"}
_GROUNDS = {name: name for name in GROUNDS} | {"gray": "gr[ae]y"}
_NUMBERS = {1: "an?|one|the", 2: "two", 3: "three", 4: "four", 5: "five"}
_GO = r"(?:mov|slid|drift|travel|go|float|glid)\w*"
_BECOME = r"(?:get|becom|grow)\w*"
_MOTIONS = {
    "still": r"(?:stand|stay)\w* (?:still|in place)|(?:does|do|is|are)? ?not mov\w+|rest(?:s|ing)?",
    "left": rf"{_GO} (?:to the )?left(?:wards?)?(?! of)",
    "right": rf"{_GO} (?:to the )?right(?:wards?)?(?! of)",
    "up": rf"{_GO} up(?:wards?)?|ris(?:es?|ing)",
    "down": rf"{_GO} down(?:wards?)?|fall(?:s|ing)?|sink(?:s|ing)?",
    "shrink": rf"shrink(?:s|ing)?|contract(?:s|ing)?|{_BECOME} smaller",
    "grow": rf"{_BECOME} (?:bigger|larger)|grow(?:s|ing)?|expand(?:s|ing)?",
    "turn": r"(?:turn|rotat|spin)\w*",
}
_RELATIONS = {
    "left": r"(?:(?:to|on) the )?left of",
    "right": r"(?:(?:to|on) the )?right of",
    "above": "above|over",
    "below": "below|under|beneath",
}


def _any(words: dict[Any, str], name: str) -> str:
    return f"(?P<{name}>{'|'.join(words.values())})"


_PLACE = re.compile(rf"\b(?:on|against|in front of) an? {_any(_GROUNDS, 'ground')} (?:back)?ground\b")
_SIZE = "(?:(?:big|large|small|little|tiny|bright) )*"
_NOUN = re.compile(
    rf"\b(?:{_any(_NUMBERS, 'number')} {_SIZE})?(?:{_any(_COLOURS, 'colour')} )?{_any(_SHAPES, 'shape')}\b"
)


def claims_of(text: str) -> Prompt:
    """The claims of a sentence in the manner of the captions, its tag guessed from them.

    Words outside the world are passed over: "a red circle on the moon" claims a red circle. `ValueError` if no shape is
    named, or more than two sorts of objects.
    """
    words = " ".join(re.sub(r"[^a-z ]", " ", text.lower()).split())
    place = _PLACE.search(words)
    objects, relation = _read(_PLACE.sub(" ", words))
    if not objects:
        raise ValueError(f"{text!r} names no shape; the words for one are circle, square, triangle, star and ring")
    if len(objects) > 2:
        raise ValueError(f"{text!r} names {len(objects)} sorts of objects; the reader takes one or two")
    claims = tuple(ObjectClaim(**claim) for claim in objects)
    ground = _key(_GROUNDS, place["ground"]) if place else None
    return Prompt(tag=_tag(claims, relation), text=text, include=claims, relation=relation, ground=ground)


def _read(words: str) -> tuple[list[dict[str, Any]], str | None]:
    """The objects a sentence names, each a dict of claims, and how the first stands to the second."""
    objects: list[dict[str, Any]] = []
    relation = None
    for noun, rest in _nouns(words):
        claim = {name: _key(table, noun[name]) for name, table in (("shape", _SHAPES), ("colour", _COLOURS))}
        known = next((o for o in objects if noun["number"] == "the" and _same(o, claim)), None)
        if known is None:
            known = {**claim, "count": _key(_NUMBERS, noun["number"]) or 1, "motion": None}
            objects.append(known)
        known["motion"] = known["motion"] or _first(_MOTIONS, rest)
        if len(objects) == 1:
            relation = _first(_RELATIONS, rest)
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
