"""Clips whose prompt changes half-way: whether each half does what its own text asks.

One object moves, grows or shrinks for the length of the model's own clips, and is then asked for the opposite, so that
it stays in the picture. The same clips without the change are made beside them: what the second text has done is the
difference of the second halves.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from eval.shapes.outputs import find_output, read_output
from eval.shapes.pictures.strips import write_strips
from eval.shapes.prompts import Record, make_prompts
from eval.shapes.run import claim_folder, fill_folder, write_json
from eval.shapes.score import check
from lumos.cli.jobs.record import model_hash
from lumos.cli.models.door import find_model, refuse_settings
from lumos.shapes import Prompt, ShapeSpec, describe, is_held_out, is_reserved, prompt_for
from xllmx.settings.number_range import COUNT, Range, check_numbers

OPPOSITES = {"left": "right", "right": "left", "up": "down", "down": "up", "grow": "shrink", "shrink": "grow"}
_BATCH = 8
_WORDINGS = 1000


@dataclass(frozen=True, kw_only=True)
class Changing:
    """A prompt, and the one it becomes."""

    first: Record
    """The clip is named after it."""
    second: Prompt
    """Of the same object, with the opposite motion."""


@dataclass(frozen=True, kw_only=True)
class ChangedClips:
    """How many clips are right."""

    way: str
    """`changed`, or `unchanged`: the first text to the end."""
    first: Annotated[int, Range(0)]
    """First halves that show what the first text asks."""
    second: Annotated[int, Range(0)]
    """Second halves that show what the second text asks."""
    both: Annotated[int, Range(0)]
    """Clips of which both do."""
    num: Annotated[int, COUNT]
    """Clips."""

    def __post_init__(self) -> None:
        check_numbers(self)


def changing_prompts(num: int, seed: int) -> list[Changing]:
    """`num` pairs of prompts of one object; every wording is one that training has never seen."""
    rng, drawn, found = random.Random(f"change-{seed}"), num, list[Changing]()
    while len(found) < num:
        drawn *= 2
        records = make_prompts("t2v", drawn, seed, tags=("motion",), motions=tuple(OPPOSITES))
        pairs = [(record, _opposite(record, rng)) for record in records]
        found = [Changing(first=record, second=second) for record, second in pairs if second is not None]
    return found[:num]


def measure_change(
    model: str, *, num: int, seed: int = 0, fast: bool = False, settings: Mapping[str, Any], out: Path
) -> list[ChangedClips]:
    """Make the clips of both ways, twice as long as the model's own, in folders of `out`; those that are there stay.

    Raises:
        ValueError: settings that the model does not have.
    """
    found = find_model(model)
    refuse_settings(found, settings)
    chosen = {**(found.kind.fast_settings(found.files.defaults) if fast else {}), **settings}
    own = found.settings_for(chosen, image=None)
    length, at = own.num_output_frames - 1, own.num_output_frames
    asked = {**chosen, "num_frames": at + length}
    found.settings_for(asked, image=None)  # refuses what is no setting
    made_by = {"model": model, "model_hash": model_hash(found.files), "num": num, "seed": seed, "settings": asked}
    claim_folder(out, {"tag": "change", **made_by})
    prompts = changing_prompts(num, seed)
    second_of = {one.first.id: one.second for one in prompts}
    records, pipeline = [one.first for one in prompts], found.load([])

    def generate(batch: Sequence[Record], *, changes: bool) -> list[np.ndarray]:
        texts = [
            [(0, record.prompt.text), (at, second_of[record.id].text)] if changes else record.prompt.text
            for record in batch
        ]
        seeds = [seed + record.id for record in batch]
        images = [None] * len(batch)
        output = pipeline(texts, image=images, negative_prompt=images, seed=seeds, callback=None, **asked)
        return [np.stack([np.asarray(frame) for frame in frames]) for frames in output.frames]

    results = []
    for way in ("changed", "unchanged"):
        folder, changes = out / way, way == "changed"
        fill_folder(records, partial(generate, changes=changes), folder, batch_size=_BATCH, fps=own.fps)
        clips = [read_output(path) for record in records if (path := find_output(folder, record))]
        firsts = [
            check(one.first.prompt, describe(clip[:at])).correct for one, clip in zip(prompts, clips, strict=True)
        ]
        seconds = [check(one.second, describe(clip[at:])).correct for one, clip in zip(prompts, clips, strict=True)]
        both = [first and second for first, second in zip(firsts, seconds, strict=True)]
        counts = {"first": sum(firsts), "second": sum(seconds), "both": sum(both), "num": len(clips)}
        results.append(ChangedClips(way=way, **counts))
        write_strips(out / f"{way}.png", records, clips, both)
    return results


def save_change(results: Sequence[ChangedClips], folder: Path) -> None:
    """Write `change.json`."""
    write_json(folder / "change.json", {"tag": "change", **{result.way: asdict(result) for result in results}})


def change_table(results: Sequence[ChangedClips]) -> str:
    """The scores as lines for a person."""
    lines = [f"change: {results[0].num} clips, right in      first half  second half  both"]
    for result in results:
        shares = [count / result.num for count in (result.first, result.second, result.both)]
        lines.append(f"  {result.way:<30}{shares[0]:10.3f}{shares[1]:13.3f}{shares[2]:6.3f}")
    return "\n".join(lines)


def _opposite(record: Record, rng: random.Random) -> Prompt | None:
    """A reserved wording of the opposite motion; None of a clip of several objects, or one kept from training."""
    claims = record.prompt.include
    if len(record.spec.objects) != 1 or len(claims) != 1:
        return None
    motion = OPPOSITES[record.spec.objects[0].motion]
    item = replace(record.spec.objects[0], motion=motion)
    if is_held_out(item.colour, item.shape, motion):
        return None
    spec = ShapeSpec(objects=(item,), ground=record.spec.ground)
    for _ in range(_WORDINGS):
        prompt = prompt_for(spec, rng, tag="motion")
        if (
            is_reserved(prompt.text)
            and prompt.include[0].colour == claims[0].colour
            and prompt.ground in (None, record.prompt.ground)
        ):
            return prompt
    return None
