"""Names that a file gives to others: they stay in its folder, whoever wrote it."""

import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TypeVar, cast

from xllmx.store.address import Address

_MOST_CHARACTERS = 4096

_P = TypeVar("_P", bound=Path | Address)


def inside(folder: _P, name: object, *, said_by: Path | Address | str, remedy: str) -> _P:
    """Return the path of `name` in `folder`, which need not exist.

    Args:
        folder: where it has to lie; links inside it are the business of whoever made the folder.
        name: what stands in the file, a relative path.
        said_by: the file that names it, for errors.
        remedy: what to do instead.

    Raises:
        ValueError: it is no text, or leads out of the folder.
    """
    if not isinstance(name, str) or not 0 < len(name) <= _MOST_CHARACTERS or "\0" in name:
        raise ValueError(f"{said_by} names {_shown(name)}, which is no path of a file; {remedy}")
    path, elsewhere = PurePosixPath(name), PureWindowsPath(name)
    if path.is_absolute() or elsewhere.root or ".." in (*path.parts, *elsewhere.parts) or name.startswith("~"):
        raise ValueError(f"{said_by} names {_shown(name)}, which lies outside {folder}; {remedy}")
    return cast(_P, folder / name)


def listed_file(folders: Sequence[Path], name: object, *, said_by: Path | str, remedy: str) -> Path:
    """Return the file that a list names, in the first of the folders that has it.

    Args:
        folders: where it may lie.
        name: a path from one of the folders on, or a whole one that leads into one of them.
        said_by: the list, for errors.
        remedy: what to do where it is in none of them.

    Raises:
        ValueError: it is no text, leads elsewhere, or is not there.
    """
    for folder in folders:
        asked, root = name, os.path.normpath(folder.absolute())
        if isinstance(name, str) and Path(name).is_absolute():
            whole = os.path.normpath(name)
            if not Path(whole).is_relative_to(root):
                continue
            asked = os.path.relpath(whole, root)
        path = inside(folder, asked, said_by=said_by, remedy=remedy)
        if is_file(path):
            return path
    where = " or ".join(str(folder) for folder in folders)
    raise ValueError(f"{said_by}: the image {_shown(name)} is not in {where}; {remedy}")


def is_file(path: Path) -> bool:
    """Whether a file is there; a name that no file can have is none."""
    try:
        return path.is_file()
    except OSError:  # longer than 255 bytes, or in a folder that may not be read
        return False


def bare_name(name: object, *, said_by: Path | str, remedy: str) -> str:
    """Return `name` if it is that of a file, without folders; ValueError as `inside`."""
    path = inside(Path(), name, said_by=said_by, remedy=remedy)
    if len(path.parts) != 1 or path.name != name:
        raise ValueError(f"{said_by} names {_shown(name)}, and only the name of a file may stand there; {remedy}")
    return path.name


def _shown(name: object) -> str:
    text = ascii(name)
    return text if len(text) <= 100 else f"{text[:100]}..."
