"""GenEval's results: accuracies, and every reason not to make a total of them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eval.geneval.report import TAGS, read_results, total_of

RECORDS: list[dict[str, Any]] = [
    {"tag": tag, "include": [{"class": "dog", "count": 1}], "prompt": f"{tag} {index}"}
    | ({"exclude": [{"class": "dog", "count": 2}]} if tag == "counting" else {})
    for tag, num in TAGS.items()
    for index in range(num)
]
Results = list[dict[str, Any]]


def results(correct: Callable[[dict[str, Any], int], bool]) -> Results:
    return [
        {
            "filename": f"images/{number:05d}/samples/{copy:05d}.png",
            "tag": record["tag"],
            "correct": correct(record, copy),
            "reason": "" if correct(record, copy) else "expected dog>=1, found 0",
            "metadata": json.dumps(record),
        }
        for number, record in enumerate(RECORDS)
        for copy in range(4)
    ]


def write(tmp_path: Path, lines: Results) -> Path:
    path = tmp_path / "results.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.mark.parametrize("records", [RECORDS, None])
def test_tags_and_overall(tmp_path: Path, records: Results | None) -> None:
    """Three of four in colors, one of four elsewhere: the mean of tags, not of images."""
    path = write(tmp_path, results(lambda record, copy: copy < (3 if record["tag"] == "colors" else 1)))
    scores = read_results(path, records)
    assert {part.name: part.value for part in scores.parts} == {t: 0.75 if t == "colors" else 0.25 for t in TAGS}
    assert scores.totals == {"overall": pytest.approx(2 / 6)}
    assert (scores.missing, scores.official) == ((), True)
    assert any("553 of 553 prompts have a correct image" in remark for remark in scores.remarks)
    assert scores.verdicts["00000/samples/00003.png"] == (False, "expected dog>=1, found 0")


def without_a_tag(lines: Results) -> Results:
    return [line for line in lines if line["tag"] != "position"]


def without_an_image(lines: Results) -> Results:
    return lines[1:]


def one_twice_for_another(lines: Results) -> Results:
    return [lines[4], *lines[1:]]


def without_exclude(lines: Results) -> Results:
    for line in lines:
        metadata = json.loads(line["metadata"])
        metadata.pop("exclude", None)
        line["metadata"] = json.dumps(metadata)
    return lines


@pytest.mark.parametrize("records", [RECORDS, None])
@pytest.mark.parametrize(
    ("spoil", "missing"),
    [
        (without_a_tag, "position: no image was scored"),
        (without_an_image, "single_object: 319 images were scored, the tag has 320"),
        (one_twice_for_another, "single_object: a prompt has"),
        (without_exclude, "counting: 320 images were scored against other metadata than the official"),
    ],
)
def test_no_total_of_incomplete_results(
    tmp_path: Path, spoil: Callable[[Results], Results], missing: str, records: Results | None
) -> None:
    scores = read_results(write(tmp_path, spoil(results(lambda record, copy: True))), records)
    assert scores.totals == {}
    assert len(scores.missing) == 1
    assert scores.missing[0].startswith(missing)


def test_other_prompts_are_not_the_benchmark(tmp_path: Path) -> None:
    lines = [line for line in results(lambda record, copy: True) if line["metadata"] == json.dumps(RECORDS[0])]
    scores = read_results(write(tmp_path, lines), RECORDS[:1])
    assert (scores.totals, scores.official) == ({"overall": 1.0}, False)


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    fields = {"filename": "a", "tag": "colors", "correct": True, "reason": ""}
    unpacked, broken = (json.dumps({**fields, "metadata": metadata}) for metadata in ({"tag": "colors"}, "{"))
    contents = (("{}", "line 1 lacks"), ("", "empty"), ("not json", "no GenEval results file"))
    for content, why in (*contents, (unpacked, "json object in a string"), (broken, "json object in a string")):
        (tmp_path / "results.jsonl").write_text(content)
        with pytest.raises(ValueError, match=why):
            read_results(tmp_path / "results.jsonl")


def test_geneval_is_the_mean_of_tags_not_of_images() -> None:
    tags = dict(zip(TAGS, (1.0, 0.5, 0.25, 0.75, 0.0, 0.5), strict=True))
    assert total_of(tags) == {"overall": 0.5}
    assert sum(TAGS.values()) == 553
