"""GenEval's verdict on one image, from what a detector found in it (arXiv 2310.11513, section 3).

An image is right if it shows every object asked for, in its number, colour and place, and none too many:

    object      a detection of its class above 0.3; in counting prompts above 0.9; at most 16 of a class, surest first
    colour      as CLIP names the surest ones, each alone on grey
    position    offset of centres less a tenth of both sizes; left, right, above, below where that points so by 0.5
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool

_NAMES = (
    "person,bicycle,car,motorcycle,airplane,bus,train,truck,boat,traffic light,fire hydrant,stop sign,"
    "parking meter,bench,bird,cat,dog,horse,sheep,cow,elephant,bear,zebra,giraffe,backpack,umbrella,handbag,tie,"
    "suitcase,frisbee,skis,snowboard,sports ball,kite,baseball bat,baseball glove,skateboard,surfboard,"
    "tennis racket,bottle,wine glass,cup,fork,knife,spoon,bowl,banana,apple,sandwich,orange,broccoli,carrot,"
    "hot dog,pizza,donut,cake,chair,couch,potted plant,bed,dining table,toilet,tv,laptop,computer mouse,"
    "tv remote,computer keyboard,cell phone,microwave,oven,toaster,sink,refrigerator,book,clock,vase,scissors,"
    "teddy bear,hair drier,toothbrush"
)
CLASSES = tuple(_NAMES.split(","))
"""COCO's 80 classes in COCO's order, under the names that the prompts use."""

COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white")

SURE, SURE_TO_COUNT = 0.3, 0.9
"""Scores that a detection must exceed, in other prompts and in counting ones."""
MOST_OF_A_CLASS = 16

_NEAR = 0.1
"""Share of both sizes within which two centres have no direction from each other."""
_POINTS = 0.5
"""Component of the unit offset beyond which it points along an axis."""

Box = tuple[float, float, float, float]
"""Left, top, right, bottom, in pixels."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Detection:
    """One object in an image."""

    name: str
    """One of `CLASSES`."""
    score: float
    box: Box
    mask: Bool[np.ndarray, "H W"] | None = None
    """True where the object is; None where only its box is known."""


ColoursOf = Callable[[Sequence[Detection]], Sequence[str]]
"""Detections of one class in the image -> the colour of each, one of `COLOURS`."""


def found_objects(detections: Sequence[Detection], *, counting: bool) -> dict[str, list[Detection]]:
    """The detections that count, by class, the surest first."""
    least = SURE_TO_COUNT if counting else SURE
    found: dict[str, list[Detection]] = {}
    for one in sorted(detections, key=lambda one: one.score, reverse=True):
        same = found.setdefault(one.name, []) if one.score > least else []
        if one.score > least and len(same) < MOST_OF_A_CLASS:
            same.append(one)
    return found


def verdict(
    found: Mapping[str, Sequence[Detection]], metadata: Mapping[str, Any], *, colours_of: ColoursOf
) -> tuple[bool, str]:
    """Whether an image is right, and every reason why not, a line each.

    Args:
        found: of `found_objects`.
        metadata: the record of the prompt: `include` with class, count, and colour or position; `exclude`.
        colours_of: names the colours of objects in the image.
    """
    reasons: list[str] = []
    groups: list[Sequence[Detection] | None] = []
    for wanted in metadata.get("include", []):
        objects = found.get(wanted["class"], [])[: wanted["count"]]
        reason = _lacking(objects, wanted) or _miscoloured(objects, wanted, colours_of)
        reason = reason or _misplaced(objects, wanted, groups)
        reasons += [reason] if reason else []
        groups.append(None if reason else objects)
    for unwanted in metadata.get("exclude", []):
        number = len(found.get(unwanted["class"], []))
        if number >= unwanted["count"]:
            reasons.append(f"expected {unwanted['class']}<{unwanted['count']}, found {number}")
    return not reasons, "\n".join(reasons)


def directions(box: Box, other: Box) -> set[str]:
    """How a box stands to another one: `left of`, `right of`, `above`, `below`; two of them at a slant, none if near.

    ::

        offset d of the centres, less 0.1 (w + w', h + h') of both sizes on each axis, over |d|; beyond 0.5 it points
    """
    corners = np.array([box, other], dtype=float).reshape(2, 2, 2)
    centre, other_centre = corners.mean(axis=1)
    sizes = np.abs(corners[:, 1] - corners[:, 0]).sum(axis=0)
    offset = centre - other_centre
    beyond = np.maximum(np.abs(offset) - _NEAR * sizes, 0) * np.sign(offset)
    if (np.abs(beyond) < 1e-3).all():
        return set()
    x, y = beyond / np.linalg.norm(offset)
    pointed = {"left of": -x, "right of": x, "above": -y, "below": y}
    return {name for name, value in pointed.items() if value > _POINTS}


def _lacking(objects: Sequence[Detection], wanted: Mapping[str, Any]) -> str:
    name, count = wanted["class"], wanted["count"]
    return f"expected {name}>={count}, found {len(objects)}" if len(objects) < count else ""


def _miscoloured(objects: Sequence[Detection], wanted: Mapping[str, Any], colours_of: ColoursOf) -> str:
    if "color" not in wanted:
        return ""
    colour, named = wanted["color"], list(colours_of(objects))
    if named.count(colour) >= wanted["count"]:
        return ""
    counted = ", ".join(f"{named.count(one)} {one}" for one in COLOURS if one in named)
    return (
        f"expected {colour} {wanted['class']}>={wanted['count']}, found {named.count(colour)} {colour}; and {counted}"
    )


def _misplaced(
    objects: Sequence[Detection], wanted: Mapping[str, Any], groups: Sequence[Sequence[Detection] | None]
) -> str:
    """Why the objects do not stand as asked to those of an earlier entry, or nothing."""
    if "position" not in wanted:
        return ""
    direction, index = wanted["position"]
    targets = groups[index]
    if targets is None:
        return f"no target for {wanted['class']} to be {direction}"
    for one in objects:
        for target in targets:
            if direction not in (seen := directions(one.box, target.box)):
                return f"expected {wanted['class']} {direction} target, found {' and '.join(sorted(seen))} target"
    return ""
