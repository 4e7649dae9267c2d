"""The scores of a GenEval results file, what `evaluation/evaluate_images.py` writes: one json object an image.

The total is that of GenEval's summary_scores.py (MIT).
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from eval.geneval.prompts import IMAGES_PER_PROMPT
from eval.report.scores import Score, Scores
from eval.report.sheets import Picture, Sheet, first_of_each, still
from xllmx.safe.json_text import json_lines, parse_json, read_text

TAGS: dict[str, int] = {
    "single_object": 80,
    "two_object": 99,
    "counting": 80,
    "colors": 94,
    "position": 100,
    "color_attr": 100,
}
"""Tag -> number of its prompts, 553 in all; each has four images."""

_FIELDS = {"filename", "tag", "correct", "reason", "metadata"}


def read_results(path: Path, records: Sequence[dict[str, Any]] | None = None) -> Scores:
    """The accuracy of each tag over its images, and the mean of tags if every prompt has its four images.

    Args:
        path: the results file.
        records: the official metadata, to which the metadata of every result is compared; None: only counts are.
    """
    results = _read(path)
    tags: dict[str, list[bool]] = defaultdict(list)
    for result in results:
        tags[result["tag"]].append(bool(result["correct"]))
    prompts = Counter(record["tag"] for record in records) if records is not None else Counter(TAGS)
    problems = _problems(results, records)
    parts = tuple(
        _score(tag, tags.get(tag, []), num_expected=IMAGES_PER_PROMPT * num, problem=problems.get(tag, ""))
        for tag, num in prompts.items()
    )
    strangers = [tag for tag in tags if tag not in prompts]
    missing = [f"{part.name}: {part.problem}" for part in parts if part.problem]
    missing += [f"{tag}: the benchmark has no such tag" for tag in strangers]
    totals = {} if missing else total_of({part.name: part.value or 0.0 for part in parts})
    return Scores(
        benchmark="geneval",
        parts=parts,
        totals=totals,
        missing=tuple(missing),
        remarks=_remarks(results, records),
        official=dict(prompts) == TAGS,
        scorer="; ".join(sorted({str(result["scorer"]) for result in results if "scorer" in result})),
        verdicts={_sample(result): (bool(result["correct"]), str(result["reason"])) for result in results},
    )


def total_of(tags: Mapping[str, float]) -> dict[str, float]:
    """GenEval's `overall`: the plain mean of the tags' accuracies, whatever their numbers of images."""
    return {"overall": sum(tags.values()) / len(tags)}


def image_sheets(
    folder: Path, records: Sequence[dict[str, Any]], verdicts: dict[str, tuple[bool, str]], *, num: int
) -> Iterator[Sheet]:
    """Yields the four images of about `num` prompts, the first of every tag, and the scorer's verdicts if given."""
    chosen = first_of_each([(record["tag"], index) for index, record in enumerate(records)], num)
    for tag, index in chosen:
        pictures = []
        for copy in range(IMAGES_PER_PROMPT):
            name = f"{index:05d}/samples/{copy:05d}.png"
            correct, reason = verdicts.get(name, (None, ""))
            pictures.append(Picture(file=folder / name, jpeg=still(folder / name), correct=correct, reason=reason))
        yield Sheet(group=tag, prompt=records[index]["prompt"], pictures=pictures)


def _read(path: Path) -> list[dict[str, Any]]:
    remedy = "give what evaluate_images.py wrote"
    lines = list(json_lines(read_text(path, remedy=remedy), f"{path} is no GenEval results file: it", remedy=remedy))
    results = [result for _, result in lines]
    lacking = next((number for number, result in lines if not _is_result(result)), None)
    if lacking is not None or not results:
        why = (
            f"line {lacking} lacks {', '.join(sorted(_FIELDS))} (correct true or false, metadata a json object in a "
            "string, the others texts)"
            if lacking
            else "it is empty"
        )
        raise ValueError(f"{path} is no GenEval results file: {why}; {remedy}")
    return results


def _is_result(result: Any) -> bool:
    if not isinstance(result, dict) or not result.keys() >= _FIELDS or not isinstance(result["correct"], bool | int):
        return False
    if not all(isinstance(result[name], str) for name in _FIELDS - {"correct"}):
        return False
    try:
        return isinstance(parse_json(result["metadata"], "it"), dict)
    except ValueError:
        return False


def _score(tag: str, correct: Sequence[bool], *, num_expected: int, problem: str) -> Score:
    if not correct:
        problem = "no image was scored"
    elif len(correct) != num_expected:
        problem = f"{len(correct)} images were scored, the tag has {num_expected}"
    value = sum(correct) / len(correct) if correct else None
    return Score(name=tag, value=value, num=len(correct), num_expected=num_expected, problem=problem)


def _problems(results: Sequence[Mapping[str, Any]], records: Sequence[dict[str, Any]] | None) -> dict[str, str]:
    """Tag -> what is wrong with its results although their number may be right."""
    official = None if records is None else {json.dumps(record, sort_keys=True) for record in records}
    wrong: Counter[str] = Counter()
    images: Counter[tuple[str, str]] = Counter()
    for result in results:
        metadata = parse_json(result["metadata"], "the metadata")
        images[result["tag"], json.dumps(metadata, sort_keys=True)] += 1
        if official is not None and json.dumps(metadata, sort_keys=True) not in official:
            wrong[result["tag"]] += 1
        elif official is None and result["tag"] == "counting" and "exclude" not in metadata:
            wrong["counting"] += 1
    problems = {tag: f"{num} images were scored against other metadata than the official" for tag, num in wrong.items()}
    for (tag, _), num in images.items():
        if num != IMAGES_PER_PROMPT:
            problems.setdefault(tag, f"a prompt has {num} images instead of {IMAGES_PER_PROMPT}")
    return problems


def _remarks(results: Sequence[Mapping[str, Any]], records: Sequence[dict[str, Any]] | None) -> tuple[str, ...]:
    """GenEval's own two lines about images and prompts, and what was not compared."""
    prompts: dict[str, bool] = defaultdict(bool)
    for result in results:
        prompts[result["metadata"]] |= bool(result["correct"])
    correct = sum(bool(result["correct"]) for result in results)
    some = sum(prompts.values())
    remarks = [
        f"{correct} of {len(results)} images are correct ({correct / len(results):.2%})",
        f"{some} of {len(prompts)} prompts have a correct image ({some / len(prompts):.2%})",
    ]
    if records is None:
        remarks.append("the metadata was not compared to the official: bring it with lumos evaluate prompts")
    return tuple(remarks)


def _sample(result: Mapping[str, Any]) -> str:
    return "/".join(Path(result["filename"]).parts[-3:])
