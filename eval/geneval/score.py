"""Scores of a folder of GenEval images by the maintained recipe: NOT GenEval's official score.

    python -m eval.geneval.score IMAGES RESULTS

The rules are GenEval's (`eval.geneval.judge`), the detector is another one (`eval.geneval.detector`), so that it runs
where GenEval's own environment does not. Writes RESULTS/results.jsonl in GenEval's format, each line labelled.
Needs scipy: pip install -e '.[score]'.
"""

import argparse
import importlib.util
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from tqdm import tqdm

from eval.geneval.detector import CLIP, DETECTOR, ClipColours, Mask2FormerDetector, weights_of
from eval.geneval.folder import METADATA, SAMPLES
from eval.geneval.judge import Detection, found_objects, verdict
from eval.geneval.recipe import MAINTAINED, NOT_OFFICIAL
from lumos.media.files import replacing
from lumos.media.inputs import choose_device
from lumos.media.reading import read_image
from xllmx.disk.place import check_folder, require_folder
from xllmx.run.exit_status import status_of
from xllmx.run.option_parser import OptionParser
from xllmx.safe.json_text import read_object

Detector = Callable[[Image.Image], Sequence[Detection]]
Colours = Callable[[Image.Image, Sequence[Detection]], Sequence[str]]

RESULTS = "results.jsonl"


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status (`xllmx.run.exit_status`)."""
    return status_of("eval.geneval.score", lambda: _main(_parser().parse_args(arguments)), words=arguments)


def _main(options: argparse.Namespace) -> int:
    images = images_of(options.images)
    check_folder(options.results)
    print(f"eval.geneval.score: the {MAINTAINED} recipe, {NOT_OFFICIAL}: {options.detector} and {options.clip}")
    if importlib.util.find_spec("scipy") is None:
        raise ValueError("the detector needs scipy, which is not installed; pip install -e '.[score]'")
    device = choose_device(options.device)
    detector, colours = _loaded(options, device)
    scorer = f"{MAINTAINED}: {weights_of(options.detector)}, {weights_of(options.clip)}; {NOT_OFFICIAL}"
    results = [
        {**judged(path, detector=detector, colours=colours), "scorer": scorer}
        for path in tqdm(images, unit="image", disable=None)
    ]
    require_folder(options.results)
    with replacing(options.results / RESULTS) as temporary:
        temporary.write_text("".join(json.dumps(result) + "\n" for result in results), encoding="utf-8")
    right = sum(result["correct"] for result in results)
    print(f"{options.results / RESULTS}: {right} of {len(results)} images are right ({NOT_OFFICIAL})")
    return 0


def judged(path: Path, *, detector: Detector, colours: Colours) -> dict[str, Any]:
    """The line of one image: whether it is right, why not, and what was found in it."""
    metadata = read_object(path.parent.parent / METADATA)
    image = Image.fromarray(read_image(path))
    found = found_objects(detector(image), counting=metadata["tag"] == "counting")
    correct, reason = verdict(found, metadata, colours_of=lambda objects: colours(image, objects))
    details = {name: [[*one.box, one.score] for one in objects] for name, objects in found.items()}
    return {
        "filename": str(path),
        "tag": metadata["tag"],
        "prompt": metadata["prompt"],
        "correct": correct,
        "reason": reason,
        "metadata": json.dumps(metadata),
        "details": json.dumps(details),
    }


def images_of(folder: Path) -> list[Path]:
    """The images of all prompts, in order; ValueError for a folder that has none."""
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder; give the --out of eval.geneval")
    prompts = sorted(path for path in folder.iterdir() if path.name.isdigit() and path.is_dir())
    images = [image for path in prompts for image in sorted((path / SAMPLES).glob("*.png"))]
    if not images:
        raise ValueError(f"{folder} has no images NUMBER/{SAMPLES}/NUMBER.png; give the --out of eval.geneval")
    return images


def _loaded(options: argparse.Namespace, device: torch.device) -> tuple[Detector, Colours]:
    try:
        return Mask2FormerDetector(options.detector, device=device), ClipColours(options.clip, device=device)
    except OSError as error:
        remedy = "give folders with --detector and --clip where the hub cannot be reached"
        raise ValueError(f"the detector could not be loaded: {error}; {remedy}") from error


def _parser() -> OptionParser:
    parser = OptionParser(
        prog="python -m eval.geneval.score", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("images", type=Path, help="the folder that eval.geneval made")
    parser.add_argument("results", type=Path, help="folder to write results.jsonl into")
    parser.add_argument("--detector", default=DETECTOR, help=f"hub id or folder (default: {DETECTOR})")
    parser.add_argument("--clip", default=CLIP, help=f"hub id or folder (default: {CLIP})")
    parser.add_argument("--device", help="cpu, cuda, cuda:1 (default: a GPU if there is one)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
