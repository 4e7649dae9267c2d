"""What training makes of videos, of which length, rate and size are known: a window, cropped, or why it takes none.

With image_size 64, max_frames 16 and target_fps 8:

    2.5 s, 16 fps, 96x64 px     16 frames of 64x32 px
    0.9 s, 16 fps, 96x64 px     too short
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from lumos.lumina_video.encoding.clip_window import ClipWindow
from lumos.lumina_video.encoding.crops import crop_sizes
from lumos.lumina_video.sizes import Compression
from lumos.lumina_video.training.items.listed_rows import facts_of
from lumos.lumina_video.training.items.samples import num_frames_of, sides_of
from lumos.lumina_video.training.task_config import ScaleTask
from lumos.media.crop import nearest_size
from lumos.media.decoding.video_facts import VideoFacts
from lumos.media.media_error import TOO_SMALL, MediaError
from xllmx.data.kinds import Kinds


@dataclass(frozen=True)
class ClipPlan:
    """What is made of a clip."""

    num_frames: int
    """Of the window."""
    crop: tuple[int, int]
    """(width, height) in pixels."""
    size: tuple[int, int, int]
    """(T, H, W) of the latent after the cut."""
    num_listed: int
    """Frames by which batches are sorted."""


class ClipPlanner:
    """How a task takes its clips."""

    def __init__(self, key: str, task: ScaleTask, *, vae: Compression) -> None:
        """`key` names the settings of the task, `vae` says what a latent stands for.

        Raises:
            ValueError: a setting is not given, or leaves no whole patch.
        """
        self._task, self._vae = task, vae
        self.window = _window(key, task, vae)
        assert task.image_size is not None
        self._side: int = task.image_size
        self.crops = crop_sizes(task.image_size)
        self._crop_of: dict[tuple[int, int], tuple[int, int]] = {}  # of a million videos a few sizes are looked for

    def plan(self, path: Path, facts: VideoFacts) -> ClipPlan:
        """Return what is made of a clip; raises `MediaError` for one that is left out."""
        task = self._task
        try:
            num_frames = self.window.num_frames(facts.seconds, facts.fps)
        except MediaError as error:
            raise MediaError(path, error.reason, error.detail) from None
        if facts.width * facts.height < self._side**2:
            found = f"{facts.width}x{facts.height} px, fewer than {self._side}x{self._side}; it is never scaled up"
            raise MediaError(path, TOO_SMALL, found)
        sides = facts.width, facts.height
        crop = self._crop_of.get(sides) or self._crop_of.setdefault(sides, nearest_size(*sides, self.crops))
        length = num_frames_of(num_frames // self._vae.temporal, task, frames_per_latent=self._vae.temporal)
        size = length, *sides_of(crop[1] // self._vae.spatial, crop[0] // self._vae.spatial, task)
        if not min(size):
            raise MediaError(path, TOO_SMALL, f"{num_frames} frames of {crop[0]}x{crop[1]} px for scale {task.scale}")
        return ClipPlan(num_frames, crop, size, self.window.num_listed(facts.seconds))

    def plans(self, facts: Float64[np.ndarray, "N 4"]) -> Kinds[ClipPlan | str | None]:
        """Return of each clip what is made of it, the reason for which it is left out, or None where nothing is known.

        Clips that the rules above cannot tell apart are looked at once: of a million that takes half a second.

        Args:
            facts: seconds, fps, width and height of each; not a number where they are not known.
        """
        known = ~np.isnan(facts[:, 0])
        seconds, fps, width, height = facts[known].T
        window, most = self.window, self.window.most_frames
        sides = np.unique((width.astype(np.int64) << 32) + height.astype(np.int64), return_inverse=True)[1].reshape(-1)
        listed = np.clip(np.floor(seconds * window.fps), 0, most).astype(np.int64)
        whole, slow = seconds >= most / window.fps, fps < window.fps / 2
        told = ((sides * (most + 1) + listed) * 2 + whole) * 2 + slow
        _, firsts, which = np.unique(told, return_index=True, return_inverse=True)
        found = [None, *(self._plan_or_reason(row) for row in facts[known][firsts])]
        numbers = np.zeros(len(facts), np.int64)
        numbers[known] = which.reshape(-1) + 1
        return Kinds(found, numbers).by_first()

    def _plan_or_reason(self, said: Float64[np.ndarray, "4"]) -> ClipPlan | str:
        facts = facts_of(said)
        assert facts is not None
        try:
            return self.plan(Path(), facts)
        except MediaError as error:
            return error.reason


def left_out(plans: Kinds[ClipPlan | str | None]) -> list[tuple[str, int]]:
    """Return for which reasons how many clips are left out, the commonest first."""
    reasons: Counter[str] = Counter()
    for plan, count in zip(plans.values, plans.counts().tolist(), strict=True):
        if isinstance(plan, str):
            reasons[plan] += count
    return reasons.most_common()


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
