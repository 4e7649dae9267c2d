"""The picture or the clip that a video begins with, kept beside the record: both go wherever their folder goes.

clip.mp4
clip.mp4.json                  "image": "picture-3f0c9a1e4711.png", "image_hash": "3f0c9a1e4711..."
picture-3f0c9a1e4711.png       one file for all outputs that begin with it
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lumos.cli.jobs.outputs import move
from lumos.cli.jobs.prompts import CLIP_SUFFIXES, IMAGE_SUFFIXES
from lumos.hub.hashes import sha256_of

_DIGITS = 12


def picture_entries(image: Path) -> dict[str, str]:
    """Return what a record says of a picture: the name of the copy beside it, and the hash of its bytes."""
    digest = sha256_of(image)
    suffix = image.suffix.lower()
    return {
        "image": f"picture-{digest[:_DIGITS]}{suffix if suffix in (*IMAGE_SUFFIXES, *CLIP_SUFFIXES) else ''}",
        "image_hash": digest,
    }


def keep_picture(image: Path, entries: Mapping[str, Any], *, beside: Path, staging: Path) -> None:
    """Copy a picture beside a record, unless it lies there already, or has changed since it was looked at.

    Args:
        image: the picture.
        entries: what the record says of it (`picture_entries`).
        beside: the record.
        staging: a folder of this process's own on the same file system.
    """
    place, copy = beside.with_name(entries["image"]), staging / entries["image"]
    if place.is_file() and sha256_of(place) == entries["image_hash"]:
        return
    shutil.copyfile(image, copy)
    if sha256_of(copy) == entries["image_hash"]:
        move(copy, place)
