"""The shapes world in GenEval's clothes: its metadata, and a scorer by rule that writes GenEval's results file.

    python -m eval.shapes.geneval prompts --num 12 --out shapes.jsonl
    python -m eval.shapes.geneval score IMAGES --out results.jsonl

Driver, check and report take it for GenEval: the same tags, folders and files, and nothing to download.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from eval.shapes.prompts import make_prompts
from eval.shapes.score import check
from lumos.media.files import replacing
from lumos.media.reading import read_image
from lumos.shapes import ObjectClaim, Prompt, describe
from xllmx.disk.place import check_file
from xllmx.run.exit_status import status_of
from xllmx.run.option_parser import OptionParser
from xllmx.safe.json_text import read_object

_OPPOSITE = {"left": "right of", "right": "left of", "above": "below", "below": "above"}
_RELATION = {words: relation for relation, words in _OPPOSITE.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status (`xllmx.run.exit_status`)."""
    return status_of("eval.shapes.geneval", lambda: _main(_parser().parse_args(arguments)), words=arguments)


def _main(options: argparse.Namespace) -> int:
    check_file(options.out)
    if options.command == "prompts":
        records = [metadata_of(record.prompt) for record in make_prompts("t2i", options.num, options.seed)]
    else:
        records = list(score_images(options.folder))
    with replacing(options.out) as temporary:
        temporary.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    print(f"{len(records)} {'prompts' if options.command == 'prompts' else 'images scored'} in {options.out}")
    return 0


def metadata_of(prompt: Prompt) -> dict[str, Any]:
    """The prompt of an image as a record of GenEval's metadata.

    GenEval says how the second object stands to the first, we how the first stands to the second. `ground` is ours.
    """
    include: list[dict[str, Any]] = []
    for claim in prompt.include:
        colour = {} if claim.colour is None else {"color": claim.colour}
        include.append({"class": claim.shape, "count": claim.count, **colour})
    if prompt.relation is not None:
        include[1]["position"] = [_OPPOSITE[prompt.relation], 0]
    record = {"tag": prompt.tag, "include": include, "prompt": prompt.text}
    if prompt.tag == "counting":
        record["exclude"] = [{"class": claim.shape, "count": claim.count + 1} for claim in prompt.include]
    return record if prompt.ground is None else {**record, "ground": prompt.ground}


def prompt_of(record: Mapping[str, Any]) -> Prompt:
    """The prompt that `metadata_of` made the record from; `ValueError` for a record that is not of the shapes world."""
    try:
        position = next((item["position"][0] for item in record["include"] if "position" in item), None)
        return Prompt(
            tag=record["tag"],
            text=record["prompt"],
            include=tuple(
                ObjectClaim(shape=item["class"], colour=item.get("color"), count=item["count"])
                for item in record["include"]
            ),
            relation=None if position is None else _RELATION[position],
            ground=record.get("ground"),
        )
    except (LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"{record} is no shapes prompt in GenEval's form ({type(error).__name__}: {error})") from error


def score_images(folder: Path) -> Iterator[dict[str, Any]]:
    """Yields a line of GenEval's results for every image, found as GenEval's scorer finds them and read by rule."""
    prompts = sorted(path for path in folder.iterdir() if path.is_dir() and path.name.isdigit())
    if not prompts:
        raise ValueError(f"{folder} has no prompt's folder 00000, 00001, ...: give what the driver wrote")
    for path in prompts:
        record = read_object(path / "metadata.jsonl", remedy="make the folder again")
        prompt = prompt_of(record)
        for image in sorted(image for image in (path / "samples").iterdir() if re.match(r"\d+\.png", image.name)):
            seen = describe(read_image(image)[None])
            verdict = check(prompt, seen)
            yield {
                "filename": str(image),
                "tag": record["tag"],
                "prompt": record["prompt"],
                "correct": verdict.correct,
                "reason": "\n".join(verdict.reasons),
                "metadata": json.dumps(record),
                "details": json.dumps([[item.shape, item.colour] for item in seen.objects]),
            }


def _parser() -> OptionParser:
    parser = OptionParser(
        prog="python -m eval.shapes.geneval",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, dest="command", metavar="prompts|score")
    prompts = commands.add_parser("prompts", help="write metadata of shapes prompts never trained on")
    prompts.add_argument("--num", type=int, default=60)
    prompts.add_argument("--seed", type=int, default=0)
    scoring = commands.add_parser("score", help="score a folder of images by rule")
    scoring.add_argument("folder", type=Path)
    for command in (prompts, scoring):
        command.add_argument("--out", type=Path, required=True, help="jsonl file to write")
    return parser


if __name__ == "__main__":
    sys.exit(main())
