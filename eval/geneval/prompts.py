"""GenEval's official metadata, one json object a line, and where it and the rewritten prompts come from.

What is published under MIT is the metadata (djghosh13/geneval), under Apache-2.0 the rewritten prompts.
"""

from pathlib import Path
from typing import Any

from eval.prompts.lists import BRING, PromptLists, foreign, read_list
from eval.prompts.sources import REWRITTEN_IN, Source
from xllmx.safe.json_text import json_lines, unwritable

NUM_PROMPTS = 553
IMAGES_PER_PROMPT = 4

_MOST_OBJECTS = 100
_LONG = "prompt_rewrite_qwen32b"
"""Where the released rewritten file keeps the long prompt of a record."""


def read_metadata(path: Path) -> list[dict[str, Any]]:
    """The records of a GenEval metadata file, in the order that names their folders; ValueError for another file."""
    records = []
    for number, record in json_lines(read_list(path), f"{path} is not GenEval's metadata: it", remedy=BRING):
        if not isinstance(record, dict) or not {"tag", "include", "prompt"} <= record.keys():
            raise foreign(path, f"line {number} lacks tag, include or prompt", "GenEval's metadata")
        for name, kind in (("tag", str), ("prompt", str), ("include", list)):
            if not isinstance(record[name], kind) or not record[name]:
                raise foreign(path, f"line {number}: {name} is {record[name]!r:.80}", "GenEval's metadata")
        for name in ("include", "exclude"):
            if fault := _fault_of_objects(record.get(name, [])):
                raise foreign(path, f"line {number}: {name} has {fault}", "GenEval's metadata")
        if not record["tag"].isidentifier() or unwritable(record["prompt"]) or not record["prompt"].strip():
            raise foreign(path, f"line {number}: its tag or prompt is none", "GenEval's metadata")
        records.append(record)
    if not records:
        raise foreign(path, "it is empty", "GenEval's metadata")
    return records


def _fault_of_objects(objects: Any) -> str | None:
    """What is wrong with the objects that an image is to show or not to show, or None."""
    for item in objects if isinstance(objects, list) else [objects]:
        name, count = (item.get("class"), item.get("count")) if isinstance(item, dict) else (None, None)
        whole = isinstance(count, int) and not isinstance(count, bool) and 0 < count <= _MOST_OBJECTS
        if not isinstance(objects, list) or not isinstance(name, str) or not name.strip() or not whole:
            return f"{item!r:.80}, which is no object with a class and a count from 1 to {_MOST_OBJECTS}"
    return None


def read_official(path: Path) -> list[dict[str, Any]]:
    """The official records of a metadata file, or of the released rewritten copy of it, which lacks `exclude`.

    The scorer counts an image of too many objects as right where a counting prompt's record has no `exclude`; the
    official one excludes one object more than is asked for, which is put back here. Raises ValueError for another file
    that lacks it.
    """
    records = read_metadata(path)
    is_rewritten = any(_LONG in record for record in records)
    for number, record in enumerate(records, start=1):
        if record["tag"] == "counting" and "exclude" not in record and not is_rewritten:
            rule = "asks to count and has no 'exclude': it is not GenEval's official metadata"
            raise ValueError(f"{path}, line {number} {rule}; run: lumos evaluate prompts geneval")
    return [_official(record) for record in records] if is_rewritten else records


def rewritten_in(path: Path) -> dict[str, str]:
    """Prompt -> long prompt of the released rewritten copy; of the official metadata, nothing."""
    records = read_metadata(path)
    return {record["prompt"]: text for record in records if isinstance(text := record.get(_LONG), str) and text.strip()}


def _official(record: dict[str, Any]) -> dict[str, Any]:
    """A record of the rewritten copy as the official file has it, its keys in the same order."""
    counted = (
        {"exclude": [{"class": item["class"], "count": item["count"] + 1} for item in record["include"]]}
        if record["tag"] == "counting" and "exclude" not in record
        else {}
    )
    head = {name: record[name] for name in ("tag", "include")}
    return {
        **head,
        **counted,
        **{name: value for name, value in record.items() if not name.startswith("prompt_rewrite")},
    }


def _prompts_in(text: str) -> list[str]:
    return [record["prompt"] for _, record in json_lines(text, "the metadata")]


def _long_in(text: str) -> dict[str, str]:
    return {record["prompt"]: record[_LONG] for _, record in json_lines(text, "the rewritten prompts")}


LISTS = PromptLists(
    benchmark="geneval",
    official=Source(
        name="evaluation_metadata.jsonl",
        sha256="5c48e0813e812e3c373fa5c8ed07a8f0a483be30272b4427b0559c8048e67c13",
        size=85209,
        repository="djghosh13/geneval",
        revision="af4902f24d3ca90ebbb446dd9891a59e0f82725f",
        path="prompts/evaluation_metadata.jsonl",
    ),
    rewritten=Source(
        name="the rewritten prompts for geneval",
        sha256="b78709d528df597ffff4a299ebb5e027243619480d96fed255456a102109c0da",
        size=544810,
        repository=REWRITTEN_IN,
        revision="HEAD",
    ),
    names=("geneval_evaluation_metadata.jsonl", "evaluation_metadata.jsonl", "geneval_metadata.jsonl"),
    prompts_in=_prompts_in,
    long_in=_long_in,
)
