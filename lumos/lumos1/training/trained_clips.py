"""The clips that a training is on, as settings of generation: what its model is asked for where nothing is said."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from lumos.lumos1.sequence import SPATIAL_FACTOR, num_frames_of, num_latent_frames
from lumos.lumos1.training.items.clip_stream import ClipStream

_MOST_SIZES = 100


def defaults_of_clips(streams: Mapping[str, ClipStream]) -> dict[str, Any]:
    """Return size, length and rate of the commonest video, and the size of the commonest picture, by their settings.

    Of pictures alone the default is a picture. Empty where no stream says the shapes of its clips (released records).
    """
    videos: Counter[tuple[int, ...]] = Counter()
    pictures: Counter[tuple[int, ...]] = Counter()
    for stream in streams.values():
        for shape, number in zip(stream.shapes.values, stream.shapes.counts().tolist(), strict=True):
            if shape[0] > 0:
                (videos if shape[0] > 1 else pictures)[shape] += number
    said: dict[str, Any] = {}
    if picture := _commonest(pictures):
        said |= dict(zip(("image_width", "image_height"), _size(picture), strict=True))
    if not (clip := _commonest(videos) or picture):
        return {}
    frames, _, _, fps, seconds = clip
    width, height = _size(clip)
    said |= {"width": width, "height": height}
    if frames == 1:
        said["num_frames"] = 1
    elif fps * seconds > 0 and num_latent_frames(fps * seconds) == frames:
        said |= {"fps": fps, "duration": seconds}
    else:
        said |= {"num_frames": num_frames_of(frames)} | ({"fps": fps} if fps > 0 else {})
    sizes = list(dict.fromkeys(_size(shape) for shape, _ in (videos or pictures).most_common()))
    return said | ({"sizes": [list(size) for size in sizes]} if len(sizes) <= _MOST_SIZES else {})


def _commonest(counted: Counter[tuple[int, ...]]) -> tuple[int, ...] | None:
    """Return the commonest shape (T, H, W, fps, seconds), the largest of several."""
    return max(counted, key=lambda shape: (counted[shape], shape), default=None)


def _size(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return (width, height) in pixels."""
    return shape[2] * SPATIAL_FACTOR, shape[1] * SPATIAL_FACTOR
