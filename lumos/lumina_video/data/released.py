"""Records of the released cache and the pickles they name, as clips of latents.

A row is {path, prompt, pkl, pkl_shape, ori_id, seconds, fps, width, height, unimatch_flow}; its `fps` is that of the
source, and the rate of the latents is written nowhere. Nor is it said where the latent of a single frame stands, so all
such rows have a lead (`lumos.lumina_video.data.latents`), but for those that say `"lead": 0`.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from lumos.lumina_video.data.latent_pickle import read_latent_pickle
from lumos.lumina_video.data.latents import MOST_MOTION, UNKNOWN_MOTION, LatentClip
from lumos.lumina_video.data.row_lists import each_row, number_in, usable
from lumos.media.decoded import DecodedSample
from xllmx.data.kinds import Kinds

_STRETCH = 512
_SHAPE = re.compile(r"\s*[\[(]\s*(\d{1,6})\s*,\s*(\d{1,6})\s*,\s*(\d{1,6})\s*,\s*(\d{1,6})\s*[\])]\s*", re.ASCII)
_REMEDY = "write the record again, or leave the row out"


class ReleasedLatents:
    """The clips of a record, as a sequence of `LatentClip`; each pickle is read when it is asked for."""

    shapes: np.ndarray
    """Int64 [N, 5]: `lumos.lumina_video.data.shards.SHAPE_COLUMNS` of each clip."""
    kinds: Kinds[tuple[int, ...]]
    """The same, of few distinct ones."""
    starts: np.ndarray
    """Int64: the first of every so many clips, and their number; each is in a file of its own."""
    lengths: np.ndarray
    """Int64 [N]: latent positions (frames x rows x columns) of each clip that training may take, without its lead."""
    motion: np.ndarray
    """Float32 [N]: the motion score of each clip, -1 where it is unknown."""
    decoded: Sequence[DecodedSample] = ()
    """No record says how near its latents come to their sources."""
    vae = None
    """No record says which VAE made its latents; only their channels tell."""

    def __init__(self, path: Path, rows: Iterable[Any]) -> None:
        """Take the rows of a record; those that are none of the released cache are left out, with a warning.

        A pickle is looked for at its path, and then, by the end of that, in the record's folder or below it.

        Args:
            path: the record.
            rows: what it holds.

        Raises:
            ValueError: no row is one of the released cache, with a shape, and a motion score and length that are some.
        """
        self._path = path
        self._rows = usable(path, rows, _checked)
        self.shapes = np.array([(*_shape(row), row["lead"]) for row in self._rows], dtype=np.int64).reshape(-1, 5)
        self.kinds = Kinds.of([tuple(shape) for shape in self.shapes.tolist()])
        self.starts = np.append(np.arange(0, len(self._rows), _STRETCH), len(self._rows))
        self.motion = np.array([row["unimatch_flow"] for row in self._rows], dtype=np.float32)
        _, T, H, W, lead = self.shapes.T
        self.lengths = (T - lead) * H * W

    @classmethod
    def of_file(cls, path: str | Path) -> "ReleasedLatents":
        """The clips of a record in JSON lines (.jsonl), JSON (.json), or a list of plain values (.pkl, .pth).

        The last line of a .jsonl is left out where a kill cut it.

        Raises:
            ValueError: it is missing, damaged or no record; as the constructor.
        """
        path = Path(path)
        return cls(path, each_row(path, remedy=_REMEDY))

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> LatentClip:
        if not -len(self) <= index < len(self):
            raise IndexError(f"clip {index} of {len(self)}")
        row = self._rows[index]
        file = _locate(self._path, row["pkl"])
        latent = read_latent_pickle(file)
        if tuple(latent.shape) != _shape(row):
            raise ValueError(
                f"{file}: its latent is {list(latent.shape)}, and {self._path} says {row['pkl_shape']}; {_REMEDY}"
            )
        return LatentClip(
            caption=row["prompt"],
            latent=latent,
            lead=row["lead"],
            motion=row["unimatch_flow"],
            fps=None,
            seconds=row["seconds"],
            source=row["path"],
        )


def _checked(row: Any, where: str) -> dict[str, Any]:
    """What is used of a row, all of its type."""
    if not isinstance(row, Mapping):
        raise ValueError(f"{where} is no object; {_REMEDY}")
    found = {"lead": 1, **{name: value for name, value in row.items() if value is not None}}
    for name in ("path", "prompt", "pkl", "pkl_shape"):
        if not isinstance(found.get(name), str):
            raise ValueError(f"{where} has no {name}, as rows of the released cache have; {_REMEDY}")
    if not _SHAPE.fullmatch(found["pkl_shape"]) or 0 in _shape(found):
        raise ValueError(f"{where}: pkl_shape is {found['pkl_shape']!r:.60}, not [channels, T, H, W]; {_REMEDY}")
    if found["lead"] not in (0, 1) or isinstance(found["lead"], bool | float):
        raise ValueError(f"{where}: lead is {found['lead']!r:.60}; it is 0, or 1 for a latent of the old kind")
    if found["lead"] >= _shape(found)[1]:
        raise ValueError(f"{where}: its only latent is the one of a single frame; {_REMEDY}")
    seconds = _number(found, "seconds", where, least=0.0, missing=None)
    motion = _number(found, "unimatch_flow", where, least=float("-inf"), missing=UNKNOWN_MOTION, most=MOST_MOTION)
    used = {name: found[name] for name in ("path", "prompt", "pkl", "pkl_shape", "lead")}
    return {**used, "seconds": seconds, "unimatch_flow": motion if motion >= 0 else UNKNOWN_MOTION}


def _number(
    row: Mapping[str, Any], name: str, where: str, *, least: float, missing: float | None, most: float = float("inf")
) -> float:
    """A number of a row, which the tools wrote as one or as text."""
    value = row.get(name, missing)
    number = number_in(value, least=least, most=most)
    if number is None:
        bounds = ["finite", f"at least {least:g}" * isfinite(least), f"at most {most:g}" * isfinite(most)]
        rule = f"it must be a number, {' and '.join(filter(None, bounds))}"
        raise ValueError(f"{where}: {name} is {value!r:.60}; {rule}; {_REMEDY}")
    return number


def _shape(row: Mapping[str, Any]) -> tuple[int, ...]:
    match = _SHAPE.fullmatch(row["pkl_shape"])
    assert match is not None
    return tuple(map(int, match.groups()))


def _locate(record: Path, name: str) -> Path:
    """The pickle that a record names: at its path, or, of a moved set, at the longest end of it beside the record.

    A path that is not absolute counts from the record's folder, or else from the working directory.
    """
    path = Path(name)
    parts = [part for part in path.parts if part != path.anchor]
    if not parts or ".." in parts or "\0" in name:
        raise ValueError(f"{record} names {name!r:.100} as a latent; give its whole path, without `..`, or {_REMEDY}")
    ends = [record.parent.joinpath(*parts[start:]) for start in range(len(parts))]
    found = next((place for place in (record.parent / path, path, *ends) if place.is_file()), None)
    if found is None:
        raise ValueError(f"{record} names {name!r:.100}: neither is it there, nor in {record.parent}; move it there")
    return found
