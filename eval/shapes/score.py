"""Whether a clip shows what its prompt asked, in GenEval's manner, and the table over many."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import permutations

from eval.shapes.prompts import Record
from lumos.shapes import MOTIONS, TAGS, Description, ObjectClaim, ObjectReading, Prompt, ShapeSpec, relation_of

_MISSING = "missing: no output that can be read"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether all claims of a prompt hold, and if not, why: "what: seen instead of asked"."""

    reasons: tuple[str, ...] = ()

    @property
    def correct(self) -> bool:
        """Whether nothing is wrong."""
        return not self.reasons


@dataclass(frozen=True, kw_only=True)
class Result:
    """One scored output; for i2v also whether the picture's shapes and colours were kept and the motion followed."""

    record: Record
    verdict: Verdict
    kept: bool | None = None
    followed: bool | None = None


@dataclass(kw_only=True)
class Report:
    """The scores of one kind of prompts. Accuracies are fractions of all prompts, missing outputs included as wrong."""

    kind: str
    num: int
    overall: float
    """Mean over tags, each tag weighing the same."""
    tags: dict[str, dict[str, float]]
    """Per tag `num`, `correct` and `accuracy`."""
    motions: dict[str, dict[str, float]]
    """The same per motion asked, over all prompts that name one."""
    kept: float | None = None
    """i2v: fraction whose objects have the picture's number, shapes and colours."""
    followed: float | None = None
    """i2v: fraction whose objects move as asked."""
    mistakes: dict[str, int] = field(default_factory=dict)
    """How often each sort of claim failed."""
    missing: list[str] = field(default_factory=list)
    """Names of outputs that were not there or could not be read."""

    def to_dict(self) -> dict:
        """A json-able record."""
        return asdict(self)


def check(prompt: Prompt, seen: Description) -> Verdict:
    """Whether `seen` shows exactly what the prompt claims.

    As many objects in all as claimed, no more and no fewer, whatever the tag; each claimed shape, colour and motion;
    the relation in the first frame; the ground if named. What is not claimed is free.
    """
    ground = [] if prompt.ground in (None, seen.ground) else [f"ground: {seen.ground} instead of {prompt.ground}"]
    claims = [claim for claim in prompt.include for _ in range(claim.count)]
    if len(seen.objects) != len(claims):
        return Verdict(reasons=(f"count: {len(seen.objects)} instead of {len(claims)}", *ground))
    ways = [_mismatches(claims, order, prompt.relation) for order in permutations(seen.objects)]
    return Verdict(reasons=(*min(ways, key=len), *ground))


def keeps_picture(spec: ShapeSpec, seen: Description) -> bool:
    """Whether the clip shows as many objects as the picture, of the same shapes and colours."""
    asked = Counter((o.shape, o.colour) for o in spec.objects)
    return asked == Counter((o.shape, o.colour) for o in seen.objects)


def follows_motion(spec: ShapeSpec, prompt: Prompt, seen: Description) -> bool:
    """Whether the objects, told apart by where they start, move as the prompt asks, whatever they look like."""
    if len(seen.objects) != len(spec.objects):
        return False
    order = min(permutations(seen.objects), key=lambda objects: _distance(spec, objects))
    asked = {claim.shape: claim.motion for claim in prompt.include}
    return all(asked[o.shape] in (None, s.motion) for o, s in zip(spec.objects, order, strict=True))


def score(record: Record, seen: Description | None) -> Result:
    """The result of one output; None, for one that is missing or cannot be read, is wrong in every way."""
    i2v = record.kind == "i2v"
    if seen is None:
        wrong = False if i2v else None
        return Result(record=record, verdict=Verdict(reasons=(_MISSING,)), kept=wrong, followed=wrong)
    verdict = check(record.prompt, seen)
    if not i2v:
        return Result(record=record, verdict=verdict)
    followed = follows_motion(record.spec, record.prompt, seen)
    return Result(record=record, verdict=verdict, kept=keeps_picture(record.spec, seen), followed=followed)


def summarise(results: Sequence[Result]) -> Report:
    """The report of the results of one kind."""
    kinds = {result.record.kind for result in results}
    if len(kinds) != 1:
        raise ValueError(f"a report is about one kind of prompts, not {sorted(kinds) or 'none'}: score each apart")
    tags = _accuracies([(result.record.prompt.tag, result.verdict.correct) for result in results])
    motions = _accuracies([(m, r.verdict.correct) for r in results if (m := _motion_asked(r.record.prompt))])
    mistakes = Counter(reason.partition(":")[0] for result in results for reason in result.verdict.reasons)
    return Report(
        kind=kinds.pop(),
        num=len(results),
        overall=sum(tag["accuracy"] for tag in tags.values()) / len(tags),
        tags=tags,
        motions=motions,
        kept=_fraction([result.kept for result in results]),
        followed=_fraction([result.followed for result in results]),
        mistakes=dict(mistakes.most_common()),
        missing=[r.record.name for r in results if r.verdict.reasons == (_MISSING,)],
    )


def table(report: Report) -> str:
    """The report as lines for a person."""
    lines = [f"{report.kind}: {report.num} prompts"]
    lines += [_row(name, counts) for name, counts in report.tags.items()]
    lines.append(f"  {'overall (mean of tags)':<24}{report.overall:8.3f}")
    if report.kept is not None and report.followed is not None:
        lines.append(f"  {'shape and colour kept':<24}{report.kept:8.3f}")
        lines.append(f"  {'motion followed':<24}{report.followed:8.3f}")
    lines += [_row(f"asked: {name}", counts) for name, counts in report.motions.items()]
    if report.mistakes:
        lines.append("  wrong: " + ", ".join(f"{what} {num}" for what, num in report.mistakes.items()))
    if report.missing:
        shown = ", ".join(report.missing[:8]) + (", ..." if len(report.missing) > 8 else "")
        lines.append(f"  missing outputs, counted as wrong: {len(report.missing)} ({shown})")
    return "\n".join(lines)


def _row(name: str, counts: dict[str, float]) -> str:
    return f"  {name:<24}{counts['accuracy']:8.3f}   {counts['correct']:.0f} of {counts['num']:.0f}"


def _mismatches(claims: list[ObjectClaim], objects: Sequence[ObjectReading], relation: str | None) -> list[str]:
    reasons = []
    for claim, item in zip(claims, objects, strict=True):
        for what in ("shape", "colour", "motion"):
            asked, seen = getattr(claim, what), getattr(item, what)
            if asked not in (None, seen):
                reasons.append(f"{what}: {seen} instead of {asked}")
    if relation is not None and (seen := relation_of(objects[0], objects[1])) != relation:
        reasons.append(f"relation: {seen} instead of {relation}")
    return reasons


def _distance(spec: ShapeSpec, objects: Sequence[ObjectReading]) -> float:
    return sum((s.x - o.x) ** 2 + (s.y - o.y) ** 2 for s, o in zip(spec.objects, objects, strict=True))


def _motion_asked(prompt: Prompt) -> str | None:
    return next((claim.motion for claim in prompt.include if claim.motion), None)


def _accuracies(pairs: list[tuple[str, bool]]) -> dict[str, dict[str, float]]:
    counts = Counter(name for name, _ in pairs)
    correct = Counter(name for name, right in pairs if right)
    return {
        name: {"num": counts[name], "correct": correct[name], "accuracy": correct[name] / counts[name]}
        for name in (*TAGS, *MOTIONS)
        if name in counts
    }


def _fraction(values: Sequence[bool | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
