"""The options that say how a model is loaded, which `lumos generate` and the drivers of `eval/` have."""

import argparse
import re
from pathlib import Path
from typing import Any

_PLACE = re.compile(r"(\d+|cpu|disk)=(\d+(?:\.\d+)?) ?([KMG]i?B)", re.IGNORECASE)
_UNITS = {"kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}


def add_placement(parser: Any) -> list[argparse.Action]:
    """Return the options --device-map and --max-memory, after adding them."""
    blocks = "auto: blocks over all GPUs here and the host's memory, for models larger than one GPU"
    room = "most weights on each with --device-map auto: 0=20GiB,1=20GiB,cpu=60GiB (default: what is free)"
    return [
        parser.add_argument("--device-map", choices=("auto",), help=blocks),
        parser.add_argument("--max-memory", type=read_memory, metavar="ROOM", help=room),
    ]


def add_loading(parser: Any) -> None:
    """Add what a driver says of how a model is loaded and sampled, beside device and dtype."""
    add = parser.add_argument
    add("--fast", action="store_true", help="cheaper, by the model's own settings (see lumos generate)")
    add("--lora", type=Path, metavar="FOLDER", help="adapters to merge in (lumos export --adapter)")
    add("--weights", choices=("int8", "fp8"), help="blocks in 8 bits, for small cards; needs torchao (Lumos-1)")


def read_memory(text: str) -> dict[int | str, int]:
    """Return bytes by place of `0=20GiB,cpu=60GiB`; argparse's error for anything else.

    >>> read_memory("0=2GiB,cpu=60GB")
    {0: 2147483648, 'cpu': 60000000000}
    """
    room: dict[int | str, int] = {}
    for word in text.split(","):
        found = _PLACE.fullmatch(word.strip())
        if found is None:
            rule = "write places with their room, as in 0=20GiB,1=20GiB,cpu=60GiB (numbers of GPUs, cpu, disk)"
            raise argparse.ArgumentTypeError(f"{text!r} is no list of places; {rule}")
        place = found[1].lower()
        room[int(place) if place.isdecimal() else place] = int(float(found[2]) * _UNITS[found[3].lower()])
    return room
