"""Names that a file gives to others: they stay in its folder, whoever wrote it."""

from pathlib import Path, PurePosixPath, PureWindowsPath

_MOST_CHARACTERS = 4096


def inside(folder: Path, name: object, *, said_by: Path | str, remedy: str) -> Path:
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
    return folder / name


def bare_name(name: object, *, said_by: Path | str, remedy: str) -> str:
    """Return `name` if it is that of a file, without folders; ValueError as `inside`."""
    path = inside(Path(), name, said_by=said_by, remedy=remedy)
    if len(path.parts) != 1 or path.name != name:
        raise ValueError(f"{said_by} names {_shown(name)}, and only the name of a file may stand there; {remedy}")
    return path.name


def _shown(name: object) -> str:
    text = ascii(name)
    return text if len(text) <= 100 else f"{text[:100]}..."
