"""Which sizes items are cut to: those that are asked for, or else those that the model is made for."""

import argparse
import re
import sys

from lumos.media.crop import PATCH_PX
from lumos.media.made_for import MadeFor

MOST_SIDE = 2**14
"""Pixels of a side."""
_SIZE = re.compile(r"([0-9]{1,9})x([0-9]{1,9})")
_MADE_FOR = {"target_fps": "fps", "target_duration": "duration"}


def read_sizes(text: str) -> list[tuple[int, int]]:
    """The sizes (width, height) of `448x256`, or of several with commas between them.

    Raises:
        ValueError: one is no size, or a side is no multiple of 32.
    """
    sizes = []
    for word in text.lower().replace(" ", "").split(","):
        if (match := _SIZE.fullmatch(word)) is None:
            raise ValueError(
                f"--size is {text!r:.80}; write width x height in pixels, as in 448x256, with commas between several"
            )
        sizes.append((int(match[1]), int(match[2])))
    return checked_sizes(sizes, said_by="--size")


def checked_sizes(sizes: list[tuple[int, int]], *, said_by: str) -> list[tuple[int, int]]:
    """The sizes, each once. Raises `ValueError` for a side that is no multiple of 32 or too long."""
    for width, height in sizes:
        if width % PATCH_PX or height % PATCH_PX or not 0 < width <= MOST_SIDE or not 0 < height <= MOST_SIDE:
            nearest = "x".join(
                str(max(1, round(min(side, MOST_SIDE) / PATCH_PX)) * PATCH_PX) for side in (width, height)
            )
            raise ValueError(
                f"{said_by} is {width}x{height}; each side must be a multiple of {PATCH_PX} px and at most "
                f"{MOST_SIDE}: take {nearest}"
            )
    return list(dict.fromkeys(sizes))


def complete(options: argparse.Namespace, model: MadeFor | None) -> None:
    """Fill in the size, the rate and the length that were not given with those of the model; say which.

    Raises:
        ValueError: both `--size` and `--target_size` are given, or the model is of sizes that nothing is cut to.
    """
    if options.size is not None and options.target_size is not None:
        raise ValueError(f"--size {options.size} says the size; leave --target_size {options.target_size} out")
    if model is None:
        return
    taken: dict[str, int | str] = {}
    if options.target_size is not None and model.target_size is None and options.rank == 0:
        made_for = ",".join(f"{width}x{height}" for width, height in model.sizes)
        print(
            f"pre_tokenize: warning: --target_size {options.target_size} cuts to sizes of any aspect, and "
            f"{model.model} is made for {made_for}; --size {made_for} cuts to these",
            file=sys.stderr,
        )
    if options.size is None and options.target_size is None:
        if model.target_size is not None:
            options.target_size = taken["target_size"] = model.target_size
        else:
            sizes = checked_sizes(list(model.sizes), said_by=f"the size of {model.model} (give another as --size): it")
            options.size = taken["size"] = ",".join(f"{width}x{height}" for width, height in sizes)
    for name, field in _MADE_FOR.items() if options.modality == "video" else ():
        value = getattr(model, field)
        if value is not None and getattr(options, name) is None:
            setattr(options, name, value)
            taken[name] = value
    if taken and options.rank == 0:
        words = " ".join(f"--{name} {value}" for name, value in taken.items())
        print(f"not given, so as {model.model} is made for: {words}", flush=True)
