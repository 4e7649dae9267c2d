"""What nobody foresaw, kept for whoever mends it: a file of traceback, versions and command; one line for people."""

import os
import platform
import re
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path

from xllmx.disk.files import write_text
from xllmx.full_memory import is_full

PACKAGES = (
    "torch",
    "numpy",
    "transformers",
    "diffusers",
    "safetensors",
    "tokenizers",
    "omegaconf",
    "pyarrow",
    "pillow",
    "av",
    "accelerate",
    "einops",
)
"""Whose versions stand in a report."""

_SHOWN = 300
_LINE = 540
"""Characters of a line about memory, what its beginning says left out."""
_MOST_CHARACTERS = 200_000
"""Of a traceback: that of an endless recursion through long texts is cut."""
_SECRET = re.compile("token|password|secret|key$", re.IGNORECASE)


class UnforeseenError(Exception):
    """An error whose report is saved; its text is the line for people."""


def unforeseen(error: BaseException, *, folder: Path | None = None, words: Sequence[str] | None = None) -> str:
    """Save a report of an error that nobody foresaw; return the line that says so, with the report's path.

    Args:
        error: what was raised.
        folder: where the report goes if that can be; otherwise into the user's cache, or a temporary folder.
        words: the command line; None is that of this process.
    """
    what = f"{type(error).__name__}: {' '.join(str(error).split())[:_SHOWN]}".rstrip(": ")
    saved = save_report(error, folder=folder, words=words)
    where = f"report in {saved}" if saved else "no report could be saved; --debug shows it"
    return f"this was not foreseen: {what}; {where}"


def save_report(error: BaseException, *, folder: Path | None = None, words: Sequence[str] | None = None) -> Path | None:
    """Write what `report_of` returns, as a file of its own; None where no folder takes it. Raises nothing."""
    name = f"error-{time.strftime('%Y%m%dT%H%M%S')}-{os.environ.get('RANK', '0')}-{os.getpid()}.txt"
    for place in _places(folder):
        try:
            write_text(place / name, report_of(error, sys.argv if words is None else words))
            return place / name
        except Exception:  # a report of a failed report helps nobody: the next folder
            continue
    return None


def report_of(error: BaseException, words: Sequence[str]) -> str:
    """Return traceback, versions and command; nothing of the environment, and no word that may be a secret."""
    trace = "".join(traceback.format_exception(error))
    if len(trace) > _MOST_CHARACTERS:
        trace = f"{trace[: _MOST_CHARACTERS // 2]}\n[...]\n{trace[-_MOST_CHARACTERS // 2 :]}"
    versions = [f"{name} {version}" for name in PACKAGES if (version := _version(name))]
    lines = [
        trace.rstrip(),
        "",
        f"python {platform.python_version()}, {platform.platform()}",
        ", ".join(versions),
        f"command: {_without_secrets(words)!r}",
    ]
    return "\n".join(lines).encode("utf-8", "backslashreplace").decode() + "\n"


@contextmanager
def reported_into(folder: Path) -> Iterator[None]:
    """Within it what nobody foresees is saved in `folder`, and goes on as `UnforeseenError`."""
    try:
        yield
    except UnforeseenError:
        raise
    except Exception as error:
        if is_foreseen(error) or memory_line(error):
            raise
        raise UnforeseenError(unforeseen(error, folder=folder)) from error


def is_foreseen(error: BaseException) -> bool:
    """Whether an error is one that the user can mend: its own text says how."""
    return isinstance(error, ValueError | OSError)


def memory_line(
    error: BaseException, remedy: str = "give a smaller batch, size or number of frames, or free some memory"
) -> str | None:
    """Return what to say of an error that says that memory, of the host or a GPU, is full; None for any other."""
    if not is_full(error):
        return None
    said = " ".join(str(error).split())[: min(_SHOWN, max(_LINE - len(remedy), 40))]
    return f"memory is full{f' ({said})' if said else ''}; {remedy}"


def _places(folder: Path | None) -> Iterator[Path]:
    if folder is not None:
        yield folder
    cache = os.environ.get("XDG_CACHE_HOME")
    with suppress(RuntimeError):  # nobody's home
        yield Path(cache) / "lumos-open" if cache else Path.home() / ".cache" / "lumos-open"
    yield Path(tempfile.gettempdir()) / f"lumos-open-{os.getuid()}"


def _without_secrets(words: Sequence[str]) -> list[str]:
    shown: list[str] = []
    hidden = False
    for word in words:
        name, equals, _ = word.partition("=")
        secret = _SECRET.search(name) is not None and (name.startswith("-") or bool(equals))
        shown.append("***" if hidden else f"{name}=***" if secret and equals else word)
        hidden = secret and not equals
    return shown


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
