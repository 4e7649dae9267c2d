"""One clip in words: what the reader sees in it, and whether that is what was asked."""

from pathlib import Path

from eval.shapes.outputs import read_output
from eval.shapes.parse import claims_of
from eval.shapes.score import check
from lumos.cli.jobs.record import read_record
from lumos.shapes import Description, ObjectReading, describe


def look(path: Path, prompt: str | None = None) -> str:
    """Lines that say what a clip shows and, where it is known what was asked, its score: 1, or 0 and why.

    What was asked is `prompt`, else the prompt of the record beside the clip. Raises `ValueError` for a file that is no
    clip, or a prompt that asks for nothing of this world.
    """
    frames = read_output(path)
    seen = describe(frames)
    lines = [f"{path}: {len(frames)} frame(s), {in_words(seen)}"]
    asked = prompt or (read_record(path) or {}).get("prompt")
    if asked is not None:
        verdict = check(claims_of(asked), seen)
        lines.append(f"  asked: {asked}")
        lines.append("  score: 1, as asked" if verdict.correct else f"  score: 0, {'; '.join(verdict.reasons)}")
    return "\n".join(lines)


def in_words(seen: Description) -> str:
    """What was seen, for a person: `red circle (right) left of blue ring (still) on white`."""
    joint = {"left": " left of ", "right": " right of ", "above": " above ", "below": " below "}
    objects = joint.get(seen.relation or "", ", ").join(map(_object, seen.objects))
    return f"{objects or 'nothing'} on {seen.ground}"


def _object(item: ObjectReading) -> str:
    return f"{item.colour} {item.shape} ({item.motion})"
