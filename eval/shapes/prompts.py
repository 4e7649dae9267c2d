"""Prompts for evaluation: reserved wordings of clips, so that training has seen none of them.

Those of the kind `plain` are sentences of `eval.shapes.plain`; all others are worded by the grammar of captions.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from eval.shapes.plain import plain_prompts
from lumos.media.files import replacing, require_folder
from lumos.media.writing import write_image
from lumos.shapes import (
    MOTIONS,
    TAGS,
    Prompt,
    ShapeSpec,
    is_held_out,
    is_reserved,
    prompt_for,
    render,
    sample_spec,
    tags_of,
)
from lumos.shapes.spec import ROUND_SHAPES
from xllmx.safe.json_text import read_json
from xllmx.settings.config import convert

KINDS: tuple[str, ...] = ("t2v", "t2i", "i2v", "held_out")
"""Videos from text, images from text, videos from text and first frame, and videos of held-out combinations."""
PLAIN = "plain"
"""Videos from text in plain words, which are made only where they are asked for."""
ALL_KINDS: tuple[str, ...] = (*KINDS, PLAIN)

TASK_OF_KIND: dict[str, str] = {kind: kind if kind in ("t2i", "i2v") else "t2v" for kind in ALL_KINDS}
"""What a model must be able to make for them."""

TAGS_OF_KIND: dict[str, tuple[str, ...]] = {
    "t2v": TAGS,
    "t2i": TAGS[:-1],
    "i2v": ("motion",),
    "held_out": ("motion",),
    PLAIN: TAGS,
}
_OBJECTS_OF_TAG = {"single_object": 1, "colors": 1, "two_object": 2, "position": 2, "color_attr": 2}
_MOST_CLIPS = 20_000  # drawn for one prompt; the rarest (held out, one motion) takes some hundreds
_WORDINGS = 10  # tried on a clip: one in ten is reserved


@dataclass(frozen=True, kw_only=True)
class Record:
    """One prompt of an evaluation and the clip it was drawn from."""

    id: int
    kind: str
    prompt: Prompt
    spec: ShapeSpec
    """For i2v its first frame is the picture given; otherwise only one of many clips that would be right."""

    @property
    def name(self) -> str:
        """The stem of the output's file."""
        return f"{self.id:05d}"

    @property
    def moving(self) -> bool:
        """Whether a video is asked for."""
        return self.kind != "t2i"

    def first_frame(self, *, width: int, height: int) -> np.ndarray:
        """The clip's first frame, uint8 [height, width, 3]."""
        return render(self.spec, width=width, height=height, num_frames=1)[0]

    def to_dict(self) -> dict:
        """A json-able record."""
        return {"id": self.id, "kind": self.kind, "prompt": self.prompt.to_dict(), "spec": self.spec.to_dict()}


def make_prompts(
    kind: str,
    num: int,
    seed: int = 0,
    *,
    tags: Sequence[str] | None = None,
    motions: Sequence[str] = MOTIONS,
) -> list[Record]:
    """`num` records of a kind, its tags and, under motion, motions in turn; every wording is reserved and used once.

    `tags` and `motions` are for measures that ask for some of them alone.

    held_out: the text itself names a colour, shape and motion that training never shows together. Every other kind is
    drawn from the combinations that training may show. The same arguments give the same records at any time.
    plain: its sentences are few and the same at any seed; where more are asked for, all of them.
    """
    if kind not in ALL_KINDS:
        raise ValueError(f"kind={kind!r} is not one of {', '.join(ALL_KINDS)}")
    rng = random.Random(f"{kind}-{seed}")
    if kind == PLAIN:
        chosen = enumerate(plain_prompts()[:num])
        return [Record(id=id_, kind=kind, prompt=prompt, spec=_clip_of(prompt, rng)) for id_, prompt in chosen]
    tags = TAGS_OF_KIND[kind] if tags is None else tags
    used: set[str] = set()
    records = []
    for index in range(num):
        tag, motion = tags[index % len(tags)], motions[index // len(tags) % len(motions)]
        spec, prompt = _draw(rng, kind, tag, motion=motion if tag == "motion" else None, used=used)
        used.add(_letters(prompt.text))
        records.append(Record(id=index, kind=kind, prompt=prompt, spec=spec))
    return records


def names_held_out(prompt: Prompt) -> bool:
    """Whether the text names a colour, shape and motion that training never shows together."""
    return any(c.colour and c.motion and is_held_out(c.colour, c.shape, c.motion) for c in prompt.include)


def save_prompts(records: Sequence[Record], path: Path, *, width: int = 64, height: int = 64) -> None:
    """Writes the records as json; for i2v also the first frames, as pngs in a folder beside it (`first_frames_of`)."""
    require_folder(path.parent)
    folder = first_frames_of(path)
    for record in records:
        if record.kind == "i2v":
            folder.mkdir(exist_ok=True)
            write_image(folder / f"{record.name}.png", record.first_frame(width=width, height=height))
    with replacing(path) as temporary:
        temporary.write_text(json.dumps([record.to_dict() for record in records], indent=1) + "\n")


def load_prompts(path: Path) -> list[Record]:
    """The records of a file written by `save_prompts`; `ValueError` if it is none."""
    remedy = "make one with: lumos evaluate shapes prompts --kind t2v --num 280 --out FILE.json"
    content = read_json(path, remedy=remedy)
    if not isinstance(content, list):
        raise ValueError(f"{path} is no file of shapes prompts (it holds no list); {remedy}")
    try:
        records = [convert(Record, record, f"record {number}") for number, record in enumerate(content)]
    except ValueError as error:
        raise ValueError(f"{path} is no file of shapes prompts ({error}); {remedy}") from error
    if not records:
        raise ValueError(f"{path} is no file of shapes prompts (it is empty); {remedy}")
    return records


def first_frames_of(path: Path) -> Path:
    """The folder of first frames beside a file of prompts."""
    return path.with_name(path.stem + "_first_frames")


def _draw(rng: random.Random, kind: str, tag: str, *, motion: str | None, used: set[str]) -> tuple[ShapeSpec, Prompt]:
    """A clip and an unused reserved wording of it under `tag`, asking for `motion` if one is given."""
    moving, held_out = kind != "t2i", kind == "held_out"
    for _ in range(_MOST_CLIPS):
        spec = sample_spec(rng, num_objects=_OBJECTS_OF_TAG.get(tag), moving=moving, held_out=held_out)
        if tag not in tags_of(spec, moving=moving) or motion not in (None, *(o.motion for o in spec.objects)):
            continue
        for _ in range(_WORDINGS):
            prompt = prompt_for(spec, rng, tag=tag)
            if not is_reserved(prompt.text) or _letters(prompt.text) in used:
                continue
            if motion in (None, *(c.motion for c in prompt.include)) and (not held_out or names_held_out(prompt)):
                return spec, prompt
    raise ValueError(f"no more unused wordings of tag {tag!r} for kind {kind!r}: ask for fewer prompts")


def _clip_of(prompt: Prompt, rng: random.Random) -> ShapeSpec:
    """One of the clips that show what a prompt claims, and no held-out combination."""
    claims = [claim for claim in prompt.include for _ in range(claim.count)]
    for _ in range(_MOST_CLIPS):
        drawn = sample_spec(rng, num_objects=len(claims))
        fits = prompt.relation in (None, drawn.relation) and all(
            claim.motion in (None, item.motion) and not (item.motion == "turn" and claim.shape in ROUND_SHAPES)
            for claim, item in zip(claims, drawn.objects, strict=True)
        )
        if not fits:
            continue
        objects = tuple(
            replace(item, shape=claim.shape, colour=claim.colour or item.colour)
            for claim, item in zip(claims, drawn.objects, strict=True)
        )
        spec = ShapeSpec(objects=objects, ground=prompt.ground or drawn.ground)
        if not spec.held_out:
            return spec
    raise ValueError(f"no clip that training may show is as {prompt.text!r} asks")


def _letters(text: str) -> str:
    """What two wordings must differ in: letters only, as `is_reserved` reads them."""
    return "".join(c for c in text.lower() if c.isalnum())
