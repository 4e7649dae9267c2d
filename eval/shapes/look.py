"""One clip in words: what the reader sees in it, and whether that is what was asked."""

from dataclasses import dataclass
from pathlib import Path

from eval.shapes.outputs import read_output
from eval.shapes.parse import claims_of
from eval.shapes.score import check
from lumos.cli.jobs.record import read_record
from lumos.shapes import Description, ObjectReading, describe


@dataclass(frozen=True, kw_only=True)
class Look:
    """What was found of one clip."""

    text: str
    """Lines for a person."""
    is_unread: bool
    """Whether a prompt was there that the reader of sentences cannot read: such a clip has no score."""


def look(path: Path, prompt: str | None = None) -> Look:
    """Say what a clip shows and, where it is known what was asked, its score: 1, or 0 and why.

    What was asked is `prompt`, else the prompt of the record beside the clip; one that asks for nothing of this world
    is said, and not scored. Raises `ValueError` for a file that is no clip.
    """
    frames = read_output(path)
    seen = describe(frames)
    lines = [f"{path}: {len(frames)} frame(s), {in_words(seen)}"]
    asked = prompt or (read_record(path) or {}).get("prompt")
    if not isinstance(asked, str):
        return Look(text="\n".join(lines), is_unread=False)
    lines.append(f"  asked: {asked}")
    try:
        claims = claims_of(asked)
    except ValueError as error:
        return Look(text="\n".join([*lines, f"  no score: {error}"]), is_unread=True)
    verdict = check(claims, seen)
    lines.append("  score: 1, as asked" if verdict.correct else f"  score: 0, {'; '.join(verdict.reasons)}")
    return Look(text="\n".join(lines), is_unread=False)


def in_words(seen: Description) -> str:
    """What was seen, for a person: `red circle (right) left of blue ring (still) on white`."""
    joint = {"left": " left of ", "right": " right of ", "above": " above ", "below": " below "}
    objects = joint.get(seen.relation or "", ", ").join(map(_object, seen.objects))
    return f"{objects or 'nothing'} on {seen.ground}"


def _object(item: ObjectReading) -> str:
    return f"{item.colour} {item.shape} ({item.motion})"
