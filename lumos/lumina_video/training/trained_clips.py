"""The clips that a training is on, as settings of generation: what its model is asked for where nothing is said."""

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

from lumos.lumina_video.sizes import Compression
from lumos.lumina_video.training.items.clip_files import ClipFiles
from lumos.lumina_video.training.items.image_files import ImageFiles
from lumos.lumina_video.training.items.latent_stream import LatentStream
from lumos.lumina_video.training.task_config import ScaleTask


def defaults_of_clips(
    tasks: Mapping[str, ScaleTask], streams: Mapping[str, LatentStream | ImageFiles | ClipFiles], *, vae: Compression
) -> dict[str, Any]:
    """Return size, length and rate of the commonest video of the tasks, or else the size of a picture.

    It is as long as the patches of every scale divide, so that any preset of these scales makes it.

    Args:
        tasks: by name.
        streams: the data of each.
        vae: says what a latent stands for.
    """
    counted: Counter[tuple[int, int, int, int]] = Counter()
    for name, stream in streams.items():
        task = tasks[name]
        if isinstance(stream, ImageFiles):
            side = (task.image_size or 0) // vae.spatial
            counted[1, side - side % task.side_multiple, side - side % task.side_multiple, 0] += len(stream)
            continue
        moving = task.media_type == "video"
        rate = _rate(task, stream) if moving else 0
        for (frames, rows, columns), number in zip(stream.sizes.values, stream.sizes.counts().tolist(), strict=True):
            counted[frames * vae.temporal if moving else 1, rows, columns, rate] += number
    videos = {shape: number for shape, number in counted.items() if shape[0] > 1}
    chosen = videos or counted
    if not chosen:
        return {}
    frames, rows, columns, fps = max(chosen, key=lambda shape: (chosen[shape], shape))
    if videos:
        whole = vae.temporal * math.lcm(*(task.f_patch_size for task in tasks.values() if task.media_type == "video"))
        frames -= frames % whole if frames > whole else 0
    said = {"width": columns * vae.spatial, "height": rows * vae.spatial, "num_frames": frames}
    return said | ({"fps": fps} if fps else {})


def _rate(task: ScaleTask, stream: LatentStream | ClipFiles) -> int:
    """Return the frames a second of the videos of a task, whole; 0 where nobody wrote it down."""
    fps = task.target_fps or (stream.first_rate if isinstance(stream, LatentStream) else None)
    return round(fps or 0)
