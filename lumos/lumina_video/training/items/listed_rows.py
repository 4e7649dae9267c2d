"""Rows of lists of files in columns: of a million their names and captions, and 56 bytes more of each."""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from lumos.lumina_video.data.latents import UNKNOWN_MOTION
from lumos.media.decoding.video_facts import VideoFacts
from lumos.media.sets.listed_path import listed_path
from xllmx.data.texts import Texts

UNSAID = (float("nan"),) * 4
"""Stands for length, rate, width and height of a file of which its row does not say them all."""


@dataclass(frozen=True, kw_only=True)
class ListedFile:
    """A row."""

    path: Path
    """The file; in its list relative to that."""
    caption: str
    """Its text."""
    motion: float = UNKNOWN_MOTION
    """The motion score of a video, `unimatch_flow`; -1: unknown."""
    said: VideoFacts | None = None
    """What the list says of the video; None: not all that is needed."""


Row = tuple[str, str, float, tuple[float, float, float, float]]
"""Path as it is written, caption, motion score, and seconds, fps, width and height, or `UNSAID`."""


class ListedFiles:
    """The rows of one list; tasks that name it share them."""

    def __init__(self, folder: Path, rows: Iterable[Row]) -> None:
        """`folder` is where the paths of the rows count from."""
        self._folder, self._paths, self._captions = folder, Texts(), Texts()
        motion, said = array("d"), array("d")
        for path, caption, score, facts in rows:
            self._paths.append(path)
            self._captions.append(caption)
            motion.append(score)
            said.extend(facts)
        self.motion: Float64[np.ndarray, "N"] = np.array(motion)
        self.said: Float64[np.ndarray, "N 4"] = np.array(said).reshape(-1, len(UNSAID))

    def __len__(self) -> int:
        return len(self.motion)

    def __getitem__(self, index: int) -> ListedFile:
        return ListedFile(
            path=listed_path(self._folder, self._paths[index]),
            caption=self._captions[index],
            motion=float(self.motion[index]),
            said=facts_of(self.said[index]),
        )

    @property
    def captions(self) -> Sequence[str]:
        """The texts."""
        return self._captions


class JoinedFiles(Sequence[ListedFile]):
    """The rows of some lists, one behind the other, each made when it is asked for."""

    def __init__(self, lists: Sequence[ListedFiles]) -> None:
        self.lists = list(lists)
        self._starts = np.cumsum([0, *map(len, self.lists)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, index: Any) -> Any:
        """Return a row; of a slice a list of some."""
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        place = range(len(self))[index]
        number = int(np.searchsorted(self._starts, place, side="right")) - 1
        return self.lists[number][place - int(self._starts[number])]

    @property
    def said(self) -> Float64[np.ndarray, "N 4"]:
        """Seconds, fps, width and height of each row, or `UNSAID`."""
        return np.concatenate([np.empty((0, len(UNSAID))), *(one.said for one in self.lists)])

    @property
    def motion(self) -> Float64[np.ndarray, "N"]:
        """The motion score of each row, -1 where it is unknown."""
        return np.concatenate([np.empty(0), *(one.motion for one in self.lists)])


def facts_of(said: Float64[np.ndarray, "4"]) -> VideoFacts | None:
    """Return what seconds, fps, width and height say; None of `UNSAID`."""
    seconds, fps, width, height = said.tolist()
    return None if fps != fps else VideoFacts(seconds=seconds, fps=fps, width=int(width), height=int(height))
