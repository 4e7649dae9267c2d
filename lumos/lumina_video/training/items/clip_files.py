"""Videos that are no latents yet, as the engine's dataset: a window of each, cut here, encoded on the way.

Batches need the length and size of every clip before one is read. A row that says `seconds`, `fps`, `width` and
`height`, as those of the released tools do, is taken at its word; of the others one frame is decoded at the start.
"""

import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64, UInt8
from torch import Tensor

from lumos.lumina_video.sizes import Compression
from lumos.lumina_video.training.items.clip_plans import ClipPlan, ClipPlanner, left_out
from lumos.lumina_video.training.items.data_report import report_motion
from lumos.lumina_video.training.items.file_lists import SAID, read_file_lists
from lumos.lumina_video.training.items.listed_rows import JoinedFiles, facts_of
from lumos.lumina_video.training.task_config import ScaleTask
from lumos.media.crop import crop_to_bucket, nearest_size
from lumos.media.decoding.chosen_frames import read_chosen
from lumos.media.decoding.video_facts import VideoFacts, video_facts
from lumos.media.media_error import TOO_SHORT, MediaError
from xllmx.data.broken import BrokenSampleError
from xllmx.data.kinds import Kinds
from xllmx.ranks.distributed import gather, is_main, num_ranks, patience, rank
from xllmx.rng import generator_for
from xllmx.subset import Subset, within

OTHER_SIZE = "another size than was said of it"
_READERS = 8
"""Threads that open files at the start."""
Facts = Float64[np.ndarray, "N 4"]
"""Seconds, fps, width and height of each clip; not a number where it cannot be opened."""
Planned = Kinds[ClipPlan | str | None]
"""Of each clip what is made of it, the reason for which it is left out, or None where it cannot be opened."""
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ClipSample:
    """A window of a video as it is read."""

    task: ScaleTask
    """How it is trained on."""
    caption: str
    """Its text."""
    frames: UInt8[Tensor, "F H W 3"]
    """Cropped to the task's size."""
    motion: float
    """The motion score; -1: unknown."""
    held_out: bool = False
    """Whether text and motion are said in any case."""


class ClipFiles:
    """Map-style dataset of `ClipSample`, of lists of {path, prompt}; paths are relative to their list.

    A batch has clips of one of the `sizes` (T, H, W) and of one type, as a data YAML names them: the `bucket_keys`.
    `lengths` are frames at the task's rate. Where in a clip its window begins is drawn as it is read (`drawn`).
    """

    def __init__(self, name: str, task: ScaleTask, *, vae: Compression, held_out: bool = False) -> None:
        """Read the lists, and open the videos of which they do not say enough.

        Clips that are too short, slow or small are left out with a warning; those that cannot be opened are broken
        samples. `name` and `held_out` make the settings' name, `vae` says what a latent stands for.

        Raises:
            ValueError: a list is damaged, a setting is not given, or no clip can be used.
        """
        self._task, self._held_out = task, held_out
        key = f"task.{'eval_tasks' if held_out else 'tasks'}.{name}"
        self._planner = ClipPlanner(key, task, vae=vae)
        lists = read_file_lists(Path(task.data), media_type="video")
        facts, self._unopened = _facts_of_all(key, lists.rows)
        planned = self._planner.plans(facts)
        self._report(key, planned, lists.rows, facts)
        used = np.flatnonzero(~_are(planned, str)[lists.taken])
        self.subsets: list[Subset] = within(lists.subsets, used)
        self._rows, self._taken = lists.rows, lists.taken[used]
        self._planned = planned[self._taken].by_first()
        report_motion(key, self._rows.motion[self._taken], total=len(used), is_list=True)
        counts = [
            count if isinstance(plan, ClipPlan) else 0
            for plan, count in zip(self._planned.values, self._planned.counts().tolist(), strict=True)
        ]
        if not any(counts):
            why = self._why_not(planned, lists.rows, facts)
            raise ValueError(f"{key}: none of the {len(planned)} clips that {task.data} lists can be used: {why}")
        usual = self._planned.values[int(np.argmax(counts))]  # stands for what is found broken when it is read
        shown = [plan if isinstance(plan, ClipPlan) else usual for plan in self._planned.values]
        plans = [plan for plan in shown if isinstance(plan, ClipPlan)]
        self.sizes: Kinds[tuple[int, int, int]] = self._planned.given([plan.size for plan in plans]).by_first()
        self.bucket_keys: Kinds[Any] = self.sizes.paired(lists.types[used]).by_first()
        self.lengths: Kinds[int] = self._planned.given([plan.num_listed for plan in plans]).by_first()

    def __len__(self) -> int:
        return len(self._taken)

    def __getitem__(self, index: int) -> ClipSample:
        """Return the clip, its window the same each time.

        Raises:
            BrokenSampleError: it cannot be read, or is not what was said of it.
        """
        return self.drawn(index, seed=0)

    def drawn(self, index: int, seed: int) -> ClipSample:
        """Return the clip, its window drawn from the seed; as `__getitem__`."""
        place, plan = int(self._taken[index]), self._planned[index]
        if not isinstance(plan, ClipPlan):
            raise BrokenSampleError(self._unopened[place])
        row = self._rows[place]
        draw = float(torch.rand((), generator=generator_for(seed, index, stream="window"), dtype=torch.float64))
        try:
            frames = self._read(row.path, plan, draw=draw)
        except ValueError as error:
            raise BrokenSampleError(str(error)) from error
        return ClipSample(
            task=self._task, caption=row.caption, frames=torch.from_numpy(frames), motion=row.motion,
            held_out=self._held_out,
        )  # fmt: skip

    def _read(self, path: Path, plan: ClipPlan, *, draw: float) -> UInt8[np.ndarray, "F H W 3"]:
        def rule(num_frames: int, source_fps: Fraction) -> list[int]:
            rate = float(source_fps)
            if plan.num_frames > num_frames / rate * self._planner.window.fps + 1:
                raise MediaError("source", TOO_SHORT, f"{num_frames / rate:.2f} s, more was said of it")
            return self._planner.window.frames(plan.num_frames, num_frames=num_frames, source_fps=rate, draw=draw)

        def cut(pixels: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "h w 3"]:
            height, width = pixels.shape[:2]
            if nearest_size(width, height, self._planner.crops) != plan.crop:
                raise MediaError("source", OTHER_SIZE, f"it is {width}x{height}; correct its list")
            return crop_to_bucket(pixels[None], plan.crop)[0]

        step_s = 1 / Fraction(self._planner.window.fps)
        return read_chosen(path, rule, step_s=step_s, prepare=cut, least_px=max(plan.crop)).frames

    def _report(self, key: str, planned: Planned, rows: JoinedFiles, facts: Facts) -> None:
        """Log on the main rank how many are left out or cannot be opened, and why."""
        if not is_main():
            return
        if reasons := left_out(planned):
            number = sum(count for _, count in reasons)
            counts = ", ".join(f"{count} {reason}" for reason, count in reasons)
            first = self._fault(int(np.flatnonzero(_are(planned, str))[0]), rows, facts)
            _LOG.warning("%s: %d of %d clips are left out: %s; the first: %s", key, number, len(planned), counts, first)
        if self._unopened:
            said = f"{len(self._unopened)} of {len(planned)} clips cannot be opened and count as broken"
            first = self._unopened[min(self._unopened)]
            _LOG.warning("%s: %s (trainer.max_broken); the first: %s", key, said, first)

    def _why_not(self, planned: Planned, rows: JoinedFiles, facts: Facts) -> str:
        if not len(planned):
            return "the lists are empty"
        place = int(np.argmin(_are(planned, ClipPlan)))
        return self._unopened.get(place) or self._fault(place, rows, facts)

    def _fault(self, place: int, rows: JoinedFiles, facts: Facts) -> str:
        """Why the clip of a row is left out."""
        known = facts_of(facts[place])
        assert known is not None
        try:
            return f"{self._planner.plan(rows[place].path, known)} is taken of none"
        except MediaError as error:
            return str(error)


def _are(planned: Planned, kind: type) -> np.ndarray:
    """A mask, True where a clip has a plan of a kind."""
    return np.array([isinstance(plan, kind) for plan in planned.values], bool)[planned.which]


def _facts_of_all(key: str, rows: JoinedFiles) -> tuple[Facts, dict[int, str]]:
    """Seconds, fps, width and height of each row, and of those that cannot be opened why."""
    facts = rows.said
    unknown = np.flatnonzero(np.isnan(facts[:, 0])).tolist()
    if unknown and is_main():
        what = f"that do not say {', '.join(SAID)}"
        _LOG.info("%s: %d of %d clips are opened, those of rows %s", key, len(unknown), len(rows), what)
    opened = _all_opened({place: rows[place].path for place in unknown})
    unopened: dict[int, str] = {}
    for place in unknown:
        found = opened[place]
        if isinstance(found, str):
            unopened[place] = found
        else:
            facts[place] = found.seconds, found.fps, found.width, found.height
    return facts, unopened


def _all_opened(paths: Mapping[int, Path]) -> dict[int, VideoFacts | str]:
    """Return what each file is, or why it cannot be opened. Each rank opens its share, so that all know the same."""
    mine = list(paths)[rank() :: num_ranks()]
    with patience(), ThreadPoolExecutor(_READERS) as readers:
        facts = list(readers.map(_opened, [paths[place] for place in mine]))
    return dict(pair for part in gather(list(zip(mine, facts, strict=True))) for pair in part)


def _opened(path: Path) -> VideoFacts | str:
    try:
        return video_facts(path)
    except MediaError as error:
        return str(error)
