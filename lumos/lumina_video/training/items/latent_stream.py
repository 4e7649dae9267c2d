"""The latents of one task as the engine's dataset: those that its scale can take, by their size after the cut."""

import logging
from typing import Any

import numpy as np

from lumos.lumina_video.config import LuminaVideoConfig
from lumos.lumina_video.data.latent_set import LatentSet
from lumos.lumina_video.data.latents import LatentClip
from lumos.lumina_video.sizes import RELEASED
from lumos.lumina_video.training.items.latent_cuts import check_area, check_some_fit, sizes_after_cut
from lumos.lumina_video.training.items.samples import Sample
from lumos.lumina_video.training.stated_model import check_channels
from lumos.lumina_video.training.task_config import ScaleTask
from xllmx.data.broken import BrokenSampleError
from xllmx.data.kinds import Kinds
from xllmx.ranks.distributed import is_main
from xllmx.subset import within

_LOG = logging.getLogger(__name__)


class LatentStream:
    """Map-style dataset of `Sample`.

    A batch has clips of one of the `sizes` (T, H, W) and of one type, as a data YAML names them: the `bucket_keys`.
    `lengths` count their tokens.

    `subsets` are the clips of which an epoch sees a part.
    """

    def __init__(
        self, name: str, latents: LatentSet, task: ScaleTask, *, model: LuminaVideoConfig, held_out: bool = False
    ) -> None:
        """Choose which clips are used, from their shapes; none is read. `name` and `held_out` make the settings' name.

        Raises:
            ValueError: latents of other channels than the model's, larger than the task's pictures, or none that its
                scale divides.
        """
        self._latents, self._task, self._held_out = latents, task, held_out
        self._key = f"task.{'eval_tasks' if held_out else 'tasks'}.{name}"
        kinds = latents.kinds
        check_channels(self._key, (shape[0] for shape in kinds.values), model)
        vae = latents.vae or RELEASED
        self._frames_per_latent = vae.temporal
        check_area(self._key, kinds.values, task, side_px=vae.spatial)
        sizes = sizes_after_cut(kinds.values, task, frames_per_latent=vae.temporal)
        fits = np.array([min(size) > 0 for size in sizes], dtype=bool)
        self._used: np.ndarray | range = range(len(kinds))
        self.subsets, self.shard_starts = list(latents.subsets), latents.shard_starts
        if not fits.all():
            used = self._used = np.flatnonzero(fits[kinds.which]).astype(np.uint32)
            self.subsets, self.shard_starts = within(latents.subsets, used), np.searchsorted(used, latents.shard_starts)
        first = int(kinds.which[0]) if len(kinds) else 0
        check_some_fit(self._key, kinds.values, task, total=len(kinds), first=first, frames_per_latent=vae.temporal)
        _report(self._key, len(kinds), len(self._used), task)
        self.sizes = Kinds(sizes, kinds.which if fits.all() else kinds.which[used]).compact()
        types = latents.types if latents.types is None or fits.all() else latents.types[used]
        self.bucket_keys: Kinds[Any] = self.sizes if types is None else self.sizes.paired(types)
        scale = task.scale
        lengths = [t * h * w // (scale.frames * scale.pixels**2) for t, h, w in self.sizes.values]
        self.lengths: Kinds[int] = self.sizes.given(lengths)

    def __len__(self) -> int:
        return len(self._used)

    def __getitem__(self, index: int) -> Sample:
        """Return the clip.

        Raises:
            BrokenSampleError: it cannot be read, is not finite, or was encoded at another rate.
        """
        try:
            clip = self._latents[int(self._used[index])]
            _check_rate(self._key, clip, self._task)
        except ValueError as error:
            raise BrokenSampleError(str(error)) from error
        return Sample(
            task=self._task,
            caption=clip.caption,
            latent=clip.kept,
            frames_per_latent=self._frames_per_latent,
            motion=clip.motion,
            held_out=self._held_out,
        )

    @property
    def first_rate(self) -> float | None:
        """Frames a second of the first clip, those of all made in one go; None where nobody wrote it down."""
        first = self._first()
        return None if first is None else first.fps

    def check_rate(self) -> None:
        """Check the frame rate of the first clip, that of all made in one go; one that is damaged is passed over.

        Raises:
            ValueError: it was encoded at another rate than the task's.
        """
        if (first := self._first()) is not None:
            _check_rate(self._key, first, self._task)

    def _first(self) -> LatentClip | None:
        """Return the first clip; None where it is damaged."""
        try:
            return self._latents[int(self._used[0])]
        except ValueError:
            return None


def _check_rate(key: str, clip: LatentClip, task: ScaleTask) -> None:
    if task.target_fps is not None and clip.fps is not None and clip.fps != task.target_fps and not clip.is_image:
        raise ValueError(
            f"{clip.source} was encoded at {clip.fps:g} frames a second, target_fps is {task.target_fps:g}; correct "
            f"{key}.target_fps, or encode the clips at that rate"
        )


def _report(key: str, total: int, num_used: int, task: ScaleTask) -> None:
    """Log on the main rank what is left out."""
    if num_used < total and is_main():
        _LOG.warning(
            "%s: %d of %d clips are left out: no %s, or too small for scale %s", key, total - num_used, total,
            task.media_type, task.scale,
        )  # fmt: skip
