"""Videos for VBench-I2V (image to video), in the folder its scorer takes: `OUT/PROMPT-K.mp4`, flat and nothing else.

    torchrun --nproc-per-node 8 -m eval.vbench_i2v --images crop --model 1B/stage-2-joint-384p
    python -m eval.check vbench_i2v outputs/vbench_i2v

1118 prompts over 355 images, 5 videos each. Each video starts from the image's official crop, of ratio 7-4 as
released or another of 1-1, 8-5, 7-4, 16-9: the folder `crop` of VBench's own download (its script
vbench2_beta_i2v/download_data.sh). The scorer is then given the same ratio. The same command goes on where it was
stopped.
"""

import argparse
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from eval.driver.beginning import VIDEOS
from eval.driver.command import Driver, drive
from eval.prompts.lists import FOLDER
from eval.vbench.prompts import LISTS, NUM_PROMPTS, NUM_VIDEOS, VIDEOS_PER_PROMPT, read_videos
from eval.vbench.t2v import work_of
from xllmx.safe.inside import inside, is_file

if TYPE_CHECKING:
    from eval.driver.work import Work
    from lumos.cli.jobs.pipeline import SettingsFor

_TOLERANCE = 0.02
"""How far the shape of a crop may be from its ratio: whole pixels, and no more."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status (`xllmx.run.exit_status`)."""
    return drive(DRIVER, arguments)


def work(options: argparse.Namespace, settings_for: "SettingsFor") -> "Work":
    """The videos that the options ask for, all of one size: the model's nearest to the ratio of the crops."""
    from dataclasses import replace

    path = LISTS["vbench_i2v"].find(options.prompts)
    prompts = read_videos(path, "vbench_i2v")
    ratio = parse_ratio(options.ratio)
    asked = prompts[: options.first]
    images = crops([prompt.image for prompt in asked if prompt.image], options.images, options.ratio)
    if options.settings.get("width") is None and options.settings.get("height") is None:
        settings = settings_for(options.settings, image=Image.new("RGB", ratio))
        options.settings.pop("target_size", None)  # it has said the size by now
        options.settings |= {"width": settings.width, "height": settings.height}
    made = work_of(options, settings_for, benchmark="vbench_i2v", path=path, prompts=prompts, images=images)
    return replace(made, remarks=[*made.remarks, *other_shapes(images, ratio)])


def crops(names: Sequence[str], folder: Path, ratio: str) -> dict[str, Path]:
    """Image name -> file, in the folder of a ratio inside `folder`, else in `folder` itself.

    Raises ValueError that names every image that is not there, or is none.
    """
    place = folder / ratio if (folder / ratio).is_dir() else folder
    bring = "take the list from VBench itself"
    files = {name: inside(place, name, said_by="the list of prompts", remedy=bring) for name in dict.fromkeys(names)}
    missing = [name for name, path in files.items() if not is_file(path)]
    if missing:
        remedy = "bring them with VBench's vbench2_beta_i2v/download_data.sh, and give the folder with --images"
        raise ValueError(f"{len(missing)} of {len(files)} crops are not in {place}: {'; '.join(missing)}; {remedy}")
    broken = [name for name, path in files.items() if _size(path) is None]
    if broken:
        raise ValueError(f"{len(broken)} crops in {place} are no images: {'; '.join(broken)}; download them again")
    return files


def other_shapes(images: Mapping[str, Path], ratio: tuple[int, int]) -> list[str]:
    """A remark on the images that are no crops of a ratio, if there are any."""
    sizes = {name: _size(path) or (1, 1) for name, path in images.items()}
    wrong = [
        f"{name} ({width}x{height})"
        for name, (width, height) in sizes.items()
        if abs(width * ratio[1] / (height * ratio[0]) - 1) > _TOLERANCE
    ]
    if not wrong:
        return []
    rule = f"{len(wrong)} images are no crops of {ratio[0]}-{ratio[1]}, e.g. {wrong[0]}"
    return [f"{rule}: they are cut to the middle, and the scorer compares with others"]


def parse_ratio(text: str) -> tuple[int, int]:
    """The two numbers of a ratio `7-4`; ValueError for anything else."""
    found = re.fullmatch(r"([1-9][0-9]*)-([1-9][0-9]*)", text)
    if found is None:
        raise ValueError(f"--ratio is {text!r}; it must be width-height, for example 7-4")
    return int(found[1]), int(found[2])


def _size(path: Path) -> tuple[int, int] | None:
    try:
        with Image.open(path) as image:
            return image.size
    except (OSError, SyntaxError, ValueError):
        return None


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--images", type=Path, default=FOLDER / "crop", help="folder of crops (default: eval/prompts/crop)"
    )
    parser.add_argument("--ratio", default="7-4", help="of the crops, width-height (default: 7-4)")


DRIVER = Driver(
    name="vbench_i2v",
    description=__doc__,
    task="i2v",
    num_outputs=VIDEOS_PER_PROMPT,
    batch_size=1,
    work=work,
    lists=LISTS["vbench_i2v"],
    model=VIDEOS,
    num_prompts=NUM_PROMPTS["vbench_i2v"],
    num_scored=NUM_VIDEOS["vbench_i2v"],
    add_options=_add_options,
)
