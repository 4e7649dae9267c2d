"""Where the file is that a row of a list names; imported without torch.

"clips/a.mp4"              in the list's folder
"~/clips/a.mp4"            in the user's home, as in a shell
"café.mp4"                 written with é as one sign or as two: as the disk has it
"https://localhost/a.mp4"  nowhere: it is said what to do (`not_brought`)
"""

from contextlib import suppress
from pathlib import Path
from typing import Literal
from unicodedata import normalize

_FORMS: tuple[Literal["NFC", "NFD"], ...] = ("NFC", "NFD")
"""An accent with its letter, or after it: what people type, and what macOS stores."""


def listed_path(folder: Path, name: str) -> Path:
    """Return where the file lies that a list in `folder` names, there or not; with ~/ as `in_home` has it."""
    name = in_home(name, folder)
    return folder / name if name.isascii() else _as_stored(folder, name)


def in_home(name: str, folder: Path) -> str:
    """Return a path that is written in `folder`, the user's home in the place of a ~/ that it begins with.

    Where the folder has something called ~, that is meant. The data of trainings and those of a data YAML come through
    here as rows of lists do, since a shell leaves the ~ of key=~/data as it is.
    """
    if name.startswith("~/") and not _is_there(folder / "~"):
        with suppress(RuntimeError):  # nobody's home: it is a folder of that name
            return str(Path(name).expanduser())
    return name


def not_brought(scheme: str, *, read: str) -> str:
    """Return what to say of an address of a scheme that is not read; `read` says which are."""
    return f"{scheme}:// is not read here, {read}; download the file and write its path on this disk"


def _as_stored(folder: Path, name: str) -> Path:
    """Return the file in whichever form each part of its path is on the disk; as it is written where there is none."""
    if _is_there(folder / name):
        return folder / name
    place = folder
    for part in Path(name).parts:
        forms = [place / part, *(place / normalize(form, part) for form in _FORMS)]
        found = next((one for one in forms if _is_there(one)), None)
        if found is None:
            return folder / name
        place = found
    return place


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name that is too long or none, a folder that is closed: reading it says so
        return False
