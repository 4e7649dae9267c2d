"""GenEval's rules on objects that a stand-in detector found."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from eval.geneval.judge import (
    CLASSES,
    COLOURS,
    MOST_OF_A_CLASS,
    Box,
    Detection,
    directions,
    found_objects,
    verdict,
)

HERE, LEFT, ABOVE, SLANTED = (100, 100, 140, 140), (0, 100, 40, 140), (100, 0, 140, 40), (0, 0, 40, 40)


def one(name: str, *, score: float = 0.95, box: Box = HERE) -> Detection:
    return Detection(name=name, score=score, box=box)


def judged(detections: Sequence[Detection], metadata: dict[str, Any], colours: Sequence[str] = ()) -> tuple[bool, str]:
    found = found_objects(detections, counting=metadata.get("tag") == "counting")
    return verdict(found, metadata, colours_of=lambda objects: list(colours)[: len(objects)])


def test_there_are_80_classes_and_all_that_the_official_prompts_name(shared_data: Path) -> None:
    lines = (shared_data / "prompts" / "geneval_evaluation_metadata.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    named = {item["class"] for record in records for item in [*record["include"], *record.get("exclude", [])]}
    assert (len(CLASSES), len(set(CLASSES))) == (80, 80)
    assert named <= set(CLASSES)
    assert {item["color"] for record in records for item in record["include"] if "color" in item} <= set(COLOURS)


@pytest.mark.parametrize(("score", "counting", "is_found"), [(0.31, False, True), (0.3, False, False),
                                                           (0.9, True, False), (0.91, True, True)])  # fmt: skip
def test_an_object_counts_above_the_threshold_of_its_tag(score: float, counting: bool, is_found: bool) -> None:
    assert ("dog" in found_objects([one("dog", score=score)], counting=counting)) is is_found


def test_of_a_class_the_surest_16_count() -> None:
    many = [one("dog", score=0.4 + number / 100) for number in range(MOST_OF_A_CLASS + 4)]
    found = found_objects([*many, one("cat")], counting=False)
    assert [round(dog.score, 2) for dog in found["dog"]] == [round(0.59 - n / 100, 2) for n in range(16)]
    assert len(found["cat"]) == 1


def test_counting_wants_the_number_and_no_more() -> None:
    metadata = {"tag": "counting", "include": [{"class": "dog", "count": 2}], "exclude": [{"class": "dog", "count": 3}]}
    assert judged([one("dog")], metadata) == (False, "expected dog>=2, found 1")
    assert judged([one("dog")] * 2 + [one("dog", score=0.8)], metadata) == (True, "")
    assert judged([one("dog")] * 3, metadata) == (False, "expected dog<3, found 3")


def test_colours_are_those_of_the_surest() -> None:
    metadata = {"tag": "colors", "include": [{"class": "cup", "count": 2, "color": "red"}]}
    assert judged([one("cup")] * 3, metadata, ["red", "red", "blue"]) == (True, "")
    said = "expected red cup>=2, found 1 red; and 1 red, 1 blue"
    assert judged([one("cup")] * 3, metadata, ["blue", "red", "red"]) == (False, said)


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        (LEFT, {"left of"}),
        (ABOVE, {"above"}),
        (SLANTED, {"left of", "above"}),
        ((200, 100, 240, 140), {"right of"}),
        ((100, 200, 140, 240), {"below"}),
        (HERE, set()),
        ((107, 107, 147, 147), set()),  # 7 of the 0.1 (40 + 40) that count as near
        ((130, 100, 170, 140), {"right of"}),  # (30 - 8) / 30
        ((112, 100, 152, 140), set()),  # (12 - 8) / 12 points too little
    ],
)
def test_directions_are_of_centres_less_a_tenth_of_the_sizes(box: Box, expected: set[str]) -> None:
    assert directions(box, HERE) == expected


def test_a_place_is_that_of_every_object_to_every_target() -> None:
    wanted = [{"class": "cat", "count": 1}, {"class": "dog", "count": 1, "position": ["left of", 0]}]
    metadata = {"tag": "position", "include": wanted}
    assert judged([one("cat"), one("dog", box=LEFT)], metadata) == (True, "")
    found = judged([one("cat"), one("dog", box=ABOVE)], metadata)
    assert found == (False, "expected dog left of target, found above target")
    lone = judged([one("dog", box=LEFT)], metadata)
    assert lone == (False, "expected cat>=1, found 0\nno target for dog to be left of")
