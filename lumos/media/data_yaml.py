"""A data YAML: `META: [{path, ratio}]`, sets of clips and how often each is taken."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from xllmx.safe.yaml_text import read_yaml
from xllmx.setting import suggestion


class MissingClipsError(ValueError):
    """A data YAML names clips that are not there (yet)."""


def entries_of(path: Path, *, more_keys: Sequence[str] = ()) -> list[tuple[Path, float]]:
    """Paths and ratios: of a data YAML, or the path itself once; an entry may have `more_keys`."""
    if path.suffix not in (".yaml", ".yml"):
        return [(path, 1.0)]
    try:
        meta = read_yaml(path)
        if not isinstance(meta, dict) or set(meta) != {"META"} or not isinstance(meta["META"], list):
            raise ValueError("it must hold one list META of {path, ratio}")
        return [_entry(path, entry, ("path", "ratio", *more_keys)) for entry in meta["META"]]
    except MissingClipsError:
        raise
    except Exception as error:  # whatever the YAML parser raises
        raise ValueError(f"{path}: not a data YAML: {' '.join(str(error).split())}") from error


def _entry(yaml: Path, entry: Any, keys: Sequence[str]) -> tuple[Path, float]:
    if not isinstance(entry, dict) or "path" not in entry:
        raise ValueError(f"entry {entry!r} has no path; write {{path: ..., ratio: 1.0}}")
    for key in set(entry) - set(keys):
        raise ValueError(f"unknown key {key!r}; {suggestion(str(key), keys)}")
    ratio = float(entry.get("ratio", 1.0))
    if not 0 < ratio < float("inf"):
        raise ValueError(f"ratio is {ratio}; it must be above 0 (leave the entry out to use none of it)")
    candidates = [yaml.parent / entry["path"], Path(entry["path"])]
    for candidate in candidates:
        if candidate.exists():
            return candidate, ratio
    places = " and no ".join(map(str, candidates))
    raise MissingClipsError(f"{yaml}: there is no {places}; pre-tokenise first or correct the path")


def repeated(length: int, ratio: float) -> np.ndarray:
    """Indices of `length` clips taken `ratio` times: every one floor(ratio) times, the rest evenly spread."""
    whole, total = int(ratio), round(ratio * length)
    rest = total - whole * length
    spread = np.arange(rest) * length // max(rest, 1)
    return np.concatenate([np.tile(np.arange(length), whole), spread]).astype(np.int64)
