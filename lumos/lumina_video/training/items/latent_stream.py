"""The latents of one task as the engine's dataset: those that its scale can take, by their size after the cut."""

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np

from lumos.lumina_video.config import LuminaVideoConfig
from lumos.lumina_video.data.latent_set import LatentSet
from lumos.lumina_video.data.latents import LatentClip
from lumos.lumina_video.data.shards import SHAPE_COLUMNS
from lumos.lumina_video.sizes import RELEASED
from lumos.lumina_video.training.items.samples import Sample, num_frames_of, sides_of
from lumos.lumina_video.training.task_config import ScaleTask
from lumos.media.crop import PATCH_PX
from lumos.media.shards.known_shards import Shape
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
        shapes = np.array(kinds.values, np.int64).reshape(-1, len(SHAPE_COLUMNS))
        _check_channels(self._key, shapes, model)
        vae = latents.vae or RELEASED
        self._frames_per_latent = vae.temporal
        _check_area(self._key, shapes, task, side_px=vae.spatial)
        sizes = [_size_after_cut(shape, task, frames_per_latent=vae.temporal) for shape in kinds.values]
        fits = np.array([min(size) > 0 for size in sizes], dtype=bool)
        self._used: np.ndarray | range = range(len(kinds))
        self.subsets, self.shard_starts = list(latents.subsets), latents.shard_starts
        if not fits.all():
            used = self._used = np.flatnonzero(fits[kinds.which]).astype(np.uint32)
            self.subsets, self.shard_starts = within(latents.subsets, used), np.searchsorted(used, latents.shard_starts)
        _report(self._key, kinds, len(self._used), task)
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


def _size_after_cut(shape: Sequence[int], task: ScaleTask, *, frames_per_latent: int) -> tuple[int, int, int]:
    """Return (T, H, W) that is trained on of a clip with a row of `shapes`; a 0 in it where the clip is too small."""
    _, frames, rows, columns, lead = shape
    if (frames == 1) != (task.media_type == "image"):
        return 0, 0, 0
    return num_frames_of(frames - lead, task, frames_per_latent=frames_per_latent), *sides_of(rows, columns, task)


def _check_channels(key: str, shapes: np.ndarray, model: LuminaVideoConfig) -> None:
    other = set(shapes[:, 0].tolist()) - {model.in_channels}
    if other:
        raise ValueError(
            f"{key}: its latents have {other.pop()} channels, the model in_channels={model.in_channels}: they "
            "are of another VAE; encode the clips with the VAE of this model"
        )


def _check_area(key: str, shapes: np.ndarray, task: ScaleTask, *, side_px: int) -> None:
    if task.image_size is None or not len(shapes):
        return
    rows, columns = shapes[(shapes[:, 2] * shapes[:, 3]).argmax(), 2:4].tolist()
    if rows * columns * side_px**2 > round((task.image_size / PATCH_PX) ** 2) * PATCH_PX**2:
        raise ValueError(
            f"{key}: a clip has {columns * side_px}x{rows * side_px} px, more than the square of image_size="
            f"{task.image_size}; raise {key}.image_size, or encode the clips smaller"
        )


def _check_rate(key: str, clip: LatentClip, task: ScaleTask) -> None:
    if task.target_fps is not None and clip.fps is not None and clip.fps != task.target_fps and not clip.is_image:
        raise ValueError(
            f"{clip.source} was encoded at {clip.fps:g} frames a second, target_fps is {task.target_fps:g}; correct "
            f"{key}.target_fps, or encode the clips at that rate"
        )


def _report(key: str, kinds: Kinds[Shape], num_used: int, task: ScaleTask) -> None:
    """Log on the main rank what is left out.

    Raises:
        ValueError: nothing is left.
    """
    total, kind = len(kinds), task.media_type
    if not total:
        raise ValueError(f"{key}: {task.data} holds no clips; make them with pre_tokenize, or correct the path")
    if all((frames == 1) != (kind == "image") for _, frames, *_ in kinds.values):
        raise ValueError(
            f"{key}: media_type is {kind}, and none of the {total} latents of {task.data} is one; correct "
            f"{key}.media_type or {key}.data"
        )
    if not num_used:
        _, frames, rows, columns, lead = kinds[0]
        raise ValueError(
            f"{key}: scale {task.scale} (frames x pixels) divides none of the {total} {kind} "
            f"latents, the first of {frames - lead} frames of {rows}x{columns}; take media_type, scale and max_frames "
            "that fit them"
        )
    if num_used < total and is_main():
        _LOG.warning(
            "%s: %d of %d clips are left out: no %s, or too small for scale %s", key, total - num_used, total,
            kind, task.scale,
        )  # fmt: skip
