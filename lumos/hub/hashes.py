"""What was downloaded, kept beside it: `.hashes.json` of a folder, and whether its files are still the same.

    {"encoder.jit": {"size": 999, "sha256": "..."}}

Programs and pickles are compared whenever they are loaded, everything else by `lumos doctor`. A folder that nobody
downloaded has no such list, and nothing is compared.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from xllmx.disk.files import atomic_path
from xllmx.safe.json_text import read_object

HASHES = ".hashes.json"


def keep_hash(path: Path, *, sha256: str | None = None) -> None:
    """Write size and SHA-256 of a downloaded file into the list of its folder; `sha256` where it is known already."""
    try:
        kept = _read(path.parent)
    except ValueError:  # a damaged list is made anew: that is what downloading again is for
        kept = {}
    kept[path.name] = {"size": path.stat().st_size, "sha256": sha256 or sha256_of(path)}
    with atomic_path(path.parent / HASHES) as temporary:
        temporary.write_text(json.dumps(dict(sorted(kept.items())), indent=2) + "\n", encoding="utf-8")


def check_hash(path: Path) -> None:
    """Check that a file is as it was downloaded; one of which nothing is kept passes.

    Raises:
        ValueError: it is not, or the list cannot be read.
    """
    entry = _read(path.parent).get(path.name)
    if entry is None:
        return
    kept = path.parent / HASHES
    if not isinstance(entry, dict) or type(entry.get("size")) is not int or not isinstance(entry.get("sha256"), str):
        raise ValueError(f"{kept} says nothing of use about {path.name}; delete it, or download the folder again")
    size = path.stat().st_size
    if size != entry["size"]:
        fault = f"it has {size} bytes and had {entry['size']}"
    elif sha256_of(path) != entry["sha256"]:
        fault = "its SHA-256 is another"
    else:
        return
    remedy = f"download it again, or delete {kept} if you changed it yourself"
    raise ValueError(f"{path} is not the file that was downloaded ({fault}); {remedy}")


def check_folder(folder: Path) -> int:
    """Return how many files of a folder are as they were downloaded; ValueError as `check_hash`."""
    names = [name for name in _read(folder) if "/" not in name and (folder / name).is_file()]
    for name in names:
        check_hash(folder / name)
    return len(names)


def _read(folder: Path) -> dict[str, Any]:
    path = folder / HASHES
    if not path.is_file():
        return {}
    return read_object(path, remedy="delete it, or download the folder again")


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, as hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
