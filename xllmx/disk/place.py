"""Where something is going to be written: looked at before the work that makes it, which may take hours.

One look for all commands. Nothing is made, so that a dry run may look too.
"""

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from xllmx.disk.files import reason
from xllmx.disk.temporary import temporary_beside

Inputs = dict[tuple[int, int], str]
"""(device, inode) of a file or folder that is read -> what the user calls it; so links of both kinds are seen."""

_NAME_BYTES, _PATH_BYTES = 255, 4096


def inputs_of(named: Mapping[str, Path | str | None]) -> Inputs:
    """Return what may not be written over, from `{"--image": path}`; what is None or not there is left out."""
    found = {}
    for name, path in named.items():
        if path is not None and Path(path).exists():
            state = Path(path).stat()
            found[state.st_dev, state.st_ino] = name
    return found


def check_text(text: str, *, what: str) -> None:
    """Check that a text can be written as UTF-8, and so be tokenised and stand in JSON.

    Raises:
        ValueError: it holds half of a surrogate pair: a cut emoji, or a byte that is no UTF-8.
    """
    for place, character in enumerate(text):
        if 0xD800 <= ord(character) <= 0xDFFF:
            half = f"{what} has half a character (U+{ord(character):04X}) at position {place + 1}"
            raise ValueError(f"{half}: a cut emoji, or a byte that is no UTF-8; mend the text")


def check_file(path: Path, *, beside: Sequence[str] = (), inputs: Inputs | None = None) -> None:
    """Check that a file can be written at `path` later on.

    Args:
        path: the file; its folder may not be there yet.
        beside: endings of what is written with it: `.json` for the record `<path>.json`.
        inputs: what may not be written over.

    Raises:
        ValueError: its name is too long or no text, a folder or a device stands there, its folder cannot be made or
            written to, or it is an input.
    """
    _check_name(path, beside=beside)
    for one in (path, *(path.with_name(path.name + ending) for ending in beside)):
        if one.is_dir():
            raise ValueError(f"{one} is a folder; choose another name for the output")
        if one.exists() and not one.is_file():
            raise ValueError(f"{one} is no ordinary file; choose another name for the output")
        _check_no_input(one, inputs)
    _check_home(path.parent)


def check_folder(path: Path, *, inputs: Inputs | None = None) -> None:
    """Check that a folder can be made at `path`, or written to if it is there: a file without a name is made there.

    Args:
        path: the folder.
        inputs: what it may neither be nor lie in.

    Raises:
        ValueError: as `check_file`.
    """
    _check_name(path / "any", beside=())
    for one in (path, *path.absolute().parents):
        _check_no_input(one, inputs)
    home = _check_home(path)
    try:
        with tempfile.TemporaryFile(dir=home):
            pass
    except OSError as error:
        raise ValueError(f"cannot write to {path}: {reason(error)} ({home})") from error


def check_new_folder(path: Path, *, inputs: Mapping[str, Path | str | None], marks: Sequence[str]) -> None:
    """Check that a folder can be made at `path` in place of what is there.

    Args:
        path: the folder.
        inputs: what it may neither be nor hold nor lie in, by what the user calls it.
        marks: names of which one is in every folder that may be replaced.

    Raises:
        ValueError: as `check_folder`, or something else stands there, which would be removed.
    """
    check_folder(path, inputs=inputs_of(inputs))
    for name, held in inputs.items():
        above = [] if held is None or not path.exists() else Path(held).resolve().parents
        if any(parent.exists() and parent.samefile(path) for parent in above):
            raise ValueError(f"{path} holds {name}, which would be removed; choose another folder")
    if path.is_dir() and any(path.iterdir()) and not any((path / mark).is_file() for mark in marks):
        rule = f"it has no {' or '.join(marks)}, and something else would be removed"
        raise ValueError(f"{path} is not written over: {rule}; choose another folder")


def require_folder(folder: str | Path) -> None:
    """Make a folder if needed, and check that it can be written to; ValueError that names it otherwise."""
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ValueError(f"cannot write to {folder}: {reason(error)}") from error


def nearest_folder(path: Path) -> Path:
    """Return `path`, or the nearest above it, that is there; it may be a file, or a link to nothing."""
    return next(home for home in (path, *path.absolute().parents) if os.path.lexists(home))


def _check_name(path: Path, *, beside: Sequence[str]) -> None:
    check_text(str(path), what=f"the name {path.name!r}")
    if "\0" in str(path):
        raise ValueError(f"the name {path.name!r} has a character that no file name can have; leave it out")
    endings = [len(os.fsencode(ending)) for ending in beside]
    longest = max([len(os.fsencode(path.name)) + ending for ending in (0, *endings)])
    parts = [*(len(os.fsencode(part)) for part in path.parts[:-1]), longest]
    most = _limit(path, "PC_NAME_MAX", _NAME_BYTES)
    if max(parts) > most:
        with_record = f", {max(parts)} with {' and '.join(beside)}" if beside and max(parts) == longest else ""
        name = path.name if parts[-1] > most else max(path.parts, key=lambda part: len(os.fsencode(part)))
        rule = f"is longer than a file name can be ({len(os.fsencode(name))} bytes{with_record}; at most {most})"
        raise ValueError(f"the name {_shortened(name)!r} {rule}; give a shorter one")
    temporary = os.fsencode(temporary_beside(path).absolute())
    whole = max(len(temporary), len(os.fsencode(path.absolute())) + max([0, *endings]))
    if whole >= (most := _limit(path, "PC_PATH_MAX", _PATH_BYTES)):
        raise ValueError(
            f"the path {_shortened(str(path))!r} has {whole} bytes; at most {most - 1}: choose another folder"
        )


def _check_no_input(path: Path, inputs: Inputs | None) -> None:
    if inputs and path.exists():
        state = path.stat()
        if name := inputs.get((state.st_dev, state.st_ino)):
            raise ValueError(f"{path} is {name}, and would be written over; choose another place for the output")


def _check_home(folder: Path) -> Path:
    """Return the nearest folder that is there: what is missing is made in it. ValueError if it cannot be."""
    home = nearest_folder(folder)
    if not home.exists():
        raise ValueError(f"cannot write to {folder}: {home} is a link to nothing; remove it, or choose another folder")
    if not home.is_dir():
        raise ValueError(f"cannot write to {folder}: Not a directory; a file stands where a folder is needed ({home})")
    if not os.access(home, os.W_OK | os.X_OK):
        raise ValueError(f"cannot write to {folder}: Permission denied; choose a folder you may write to ({home})")
    return home


def _limit(path: Path, name: str, usual: int) -> int:
    """Return a limit of the file system that `path` is on or will be."""
    for home in path.absolute().parents:
        try:
            return min(usual, os.pathconf(home, name))
        except (OSError, ValueError, AttributeError):  # not there yet, or another system
            continue
    return usual


def _shortened(name: str) -> str:
    return name if len(name) <= 60 else f"{name[:40]}...{name[-15:]}"
