"""Videos that are no latents yet, as the engine's dataset: a window of each, cut here, encoded on the way.

Batches need the length and size of every clip before one is read. A row that says `seconds`, `fps`, `width` and
`height`, as those of the released tools do, is taken at its word; of the others one frame is decoded at the start.
"""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from lumos.lumina_video.encoding.clip_window import ClipWindow
from lumos.lumina_video.encoding.crops import crop_sizes
from lumos.lumina_video.sizes import Compression
from lumos.lumina_video.training.items.data_report import report_motion
from lumos.lumina_video.training.items.file_lists import SAID, ListedFile, read_file_lists
from lumos.lumina_video.training.items.samples import num_frames_of, sides_of
from lumos.lumina_video.training.task_config import ScaleTask
from lumos.media.crop import crop_to_bucket, nearest_size
from lumos.media.decoding.chosen_frames import read_chosen
from lumos.media.decoding.video_facts import VideoFacts, video_facts
from lumos.media.frames import TOO_SHORT, TOO_SMALL, MediaError
from xllmx.data.broken import BrokenSampleError
from xllmx.data.kinds import Kinds
from xllmx.ranks.distributed import gather, is_main, num_ranks, patience, rank
from xllmx.rng import generator_for
from xllmx.subset import Subset, within

OTHER_SIZE = "another size than was said of it"
_READERS = 8
"""Threads that open files at the start."""
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


@dataclass(frozen=True)
class _Plan:
    """What is made of a clip."""

    num_frames: int
    crop: tuple[int, int]
    """(width, height) in pixels."""
    size: tuple[int, int, int]
    """(T, H, W) of the latent after the cut."""
    num_listed: int
    """By which batches are sorted."""


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
        self._task, self._held_out, self._vae = task, held_out, vae
        key = f"task.{'eval_tasks' if held_out else 'tasks'}.{name}"
        self._window = _window(key, task, vae)
        assert task.image_size is not None
        self._crops = crop_sizes(task.image_size)
        self._crop_of: dict[tuple[int, int], tuple[int, int]] = {}  # of a million videos a few sizes are looked for
        lists = read_file_lists(Path(task.data), media_type="video")
        plans = self._plans(key, lists.rows)
        used = np.flatnonzero([isinstance(plans[row], _Plan | str) for row in lists.taken])
        self.subsets: list[Subset] = within(lists.subsets, used)
        taken = [lists.taken[place] for place in used.tolist()]
        self._rows, self._planned = [lists.rows[row] for row in taken], [plans[row] for row in taken]
        report_motion(key, [row.motion for row in self._rows], total=len(self._rows), is_list=True)
        counted = Counter(plan for plan in self._planned if isinstance(plan, _Plan))
        if not counted:
            why = next((str(plan) for plan in plans if plan), "the lists are empty")
            raise ValueError(f"{key}: none of the {len(plans)} clips that {task.data} lists can be used: {why}")
        usual = counted.most_common(1)[0][0]  # stands for what cannot be opened, and is found broken when it is read
        shown = [plan if isinstance(plan, _Plan) else usual for plan in self._planned]
        self.sizes: Kinds[tuple[int, int, int]] = Kinds.of([plan.size for plan in shown])
        self.bucket_keys: Kinds[Any] = Kinds.of(
            [(plan.size, lists.types[place]) for plan, place in zip(shown, used.tolist(), strict=True)]
        )
        self.lengths: Kinds[int] = Kinds.of([plan.num_listed for plan in shown])

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> ClipSample:
        """Return the clip, its window the same each time.

        Raises:
            BrokenSampleError: it cannot be read, or is not what was said of it.
        """
        return self.drawn(index, seed=0)

    def drawn(self, index: int, seed: int) -> ClipSample:
        """Return the clip, its window drawn from the seed; as `__getitem__`."""
        row, plan = self._rows[index], self._planned[index]
        if not isinstance(plan, _Plan):
            raise BrokenSampleError(str(plan))
        draw = float(torch.rand((), generator=generator_for(seed, index, stream="window"), dtype=torch.float64))
        try:
            frames = self._read(row.path, plan, draw=draw)
        except ValueError as error:
            raise BrokenSampleError(str(error)) from error
        return ClipSample(
            task=self._task, caption=row.caption, frames=torch.from_numpy(frames), motion=row.motion,
            held_out=self._held_out,
        )  # fmt: skip

    def _read(self, path: Path, plan: _Plan, *, draw: float) -> UInt8[np.ndarray, "F H W 3"]:
        def rule(num_frames: int, source_fps: Fraction) -> list[int]:
            rate = float(source_fps)
            if plan.num_frames > num_frames / rate * self._window.fps + 1:
                raise MediaError("source", TOO_SHORT, f"{num_frames / rate:.2f} s, more was said of it")
            return self._window.frames(plan.num_frames, num_frames=num_frames, source_fps=rate, draw=draw)

        def cut(pixels: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "h w 3"]:
            height, width = pixels.shape[:2]
            if nearest_size(width, height, self._crops) != plan.crop:
                raise MediaError("source", OTHER_SIZE, f"it is {width}x{height}; correct its list")
            return crop_to_bucket(pixels[None], plan.crop)[0]

        step_s = 1 / Fraction(self._window.fps)
        return read_chosen(path, rule, step_s=step_s, prepare=cut, least_px=max(plan.crop)).frames

    def _plans(self, key: str, rows: Sequence[ListedFile]) -> list["_Plan | MediaError | str"]:
        """Of each row what is made of it, why it is left out, or, in words, why it cannot be opened."""
        unknown = [place for place, row in enumerate(rows) if row.said is None]
        if unknown and is_main():
            what = f"that do not say {', '.join(SAID)}"
            _LOG.info("%s: %d of %d clips are opened, those of rows %s", key, len(unknown), len(rows), what)
        opened = _all_opened({place: rows[place].path for place in unknown})
        plans: list[_Plan | MediaError | str] = []
        for place, row in enumerate(rows):
            facts = opened[place] if row.said is None else row.said
            plans.append(facts if isinstance(facts, str) else self._plan(row.path, facts))
        _report(key, plans)
        return plans

    def _plan(self, path: Path, facts: VideoFacts) -> "_Plan | MediaError":
        side, task = self._task.image_size, self._task
        assert side is not None
        try:
            num_frames = self._window.num_frames(facts.seconds, facts.fps)
        except MediaError as error:
            return MediaError(path, error.reason, error.detail)
        if facts.width * facts.height < side**2:
            found = f"{facts.width}x{facts.height} px, fewer than {side}x{side}; it is never scaled up"
            return MediaError(path, TOO_SMALL, found)
        sides = facts.width, facts.height
        crop = self._crop_of.get(sides) or self._crop_of.setdefault(sides, nearest_size(*sides, self._crops))
        length = num_frames_of(num_frames // self._vae.temporal, task, frames_per_latent=self._vae.temporal)
        size = length, *sides_of(crop[1] // self._vae.spatial, crop[0] // self._vae.spatial, task)
        if not min(size):
            return MediaError(path, TOO_SMALL, f"{num_frames} frames of {crop[0]}x{crop[1]} px for scale {task.scale}")
        return _Plan(num_frames, crop, size, self._window.num_listed(facts.seconds))


def _window(key: str, task: ScaleTask, vae: Compression) -> ClipWindow:
    needed = {
        "image_size": "the side of the square that they are cropped to the pixels of",
        "max_frames": "the frames of a window at most",
        "target_fps": "the frames a second that are taken of them",
    }
    for name, meaning in needed.items():
        if getattr(task, name) is None:
            raise ValueError(f"{task.data} lists videos: set {key}.{name}, {meaning}")
    assert task.max_frames is not None
    assert task.target_fps is not None
    if task.max_frames < vae.temporal * task.f_patch_size:
        raise ValueError(
            f"{key}.max_frames is {task.max_frames}; a patch of scale {task.scale} takes {task.f_patch_size} "
            f"latents of {vae.temporal} frames; raise it"
        )
    return ClipWindow(fps=task.target_fps, most_frames=task.max_frames, frames_per_latent=vae.temporal)


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


def _report(key: str, plans: Sequence["_Plan | MediaError | str"]) -> None:
    """Log on the main rank how many are left out or cannot be opened, and why."""
    left_out = [plan for plan in plans if isinstance(plan, MediaError)]
    if left_out and is_main():
        reasons = Counter(error.reason for error in left_out)
        counts = ", ".join(f"{number} {reason}" for reason, number in reasons.most_common())
        said = f"{len(left_out)} of {len(plans)} clips are left out: {counts}; the first: {left_out[0]}"
        _LOG.warning("%s: %s", key, said)
    broken = [plan for plan in plans if isinstance(plan, str)]
    if broken and is_main():
        said = f"{len(broken)} of {len(plans)} clips cannot be opened and count as broken (trainer.max_broken)"
        _LOG.warning("%s: %s; the first: %s", key, said, broken[0])
