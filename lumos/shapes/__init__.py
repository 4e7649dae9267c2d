"""A world small enough to learn and to score: clips of coloured shapes, their captions, a reader of pixels by rule."""

from lumos.shapes.caption import TAGS, ObjectClaim, Prompt, caption, prompt_for, tags_of
from lumos.shapes.describe import Description, ObjectReading, describe, relation_of
from lumos.shapes.render import render
from lumos.shapes.spec import (
    COLOURS,
    GROUNDS,
    MOTIONS,
    RELATIONS,
    SHAPES,
    ObjectSpec,
    ShapeSpec,
    is_held_out,
    is_reserved,
    sample_spec,
)

__all__ = [
    "COLOURS",
    "GROUNDS",
    "MOTIONS",
    "RELATIONS",
    "SHAPES",
    "TAGS",
    "Description",
    "ObjectClaim",
    "ObjectReading",
    "ObjectSpec",
    "Prompt",
    "ShapeSpec",
    "caption",
    "describe",
    "is_held_out",
    "is_reserved",
    "prompt_for",
    "relation_of",
    "render",
    "sample_spec",
    "tags_of",
]
