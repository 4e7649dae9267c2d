"""What is said of clips before training: that they come back as blotches, or are not such as the model makes."""

import logging
from collections import Counter

from lumos.hub.models import named_folder
from lumos.lumos1.data.clips import ClipDataset
from lumos.lumos1.data.shards import CLIPS, SHAPE_COLUMNS
from lumos.lumos1.made_for import made_for
from lumos.lumos1.sequence import SPATIAL_FACTOR
from lumos.media.decoded import low_psnr
from xllmx.ranks.distributed import is_main

_LOG = logging.getLogger(__name__)


def report_clips(name: str, clips: ClipDataset, *, init_from: str | None) -> None:
    """Warn, on the main rank, of shards of low PSNR, and of sizes and rates other than those of the model.

    Args:
        name: of the stream.
        clips: its clips; of a record that does not say their shapes three are read.
        init_from: the model that is trained on, by name or folder (`task.init_from`).
    """
    if not is_main():
        return
    if said := low_psnr(clips.decoded, remedy=CLIPS.remedy):
        _LOG.warning("stream %s: %s", name, said)
    if init_from is None:
        return
    try:
        model = made_for(named_folder(init_from), name=init_from)
    except ValueError as error:  # how it generates is no matter of training
        _LOG.warning("stream %s: what %s is made for cannot be told: %s", name, init_from, error)
        return
    if model is not None and (said := model.differences(*_sizes_and_rates(clips))):
        _LOG.warning("stream %s: %s", name, said)


def _sizes_and_rates(clips: ClipDataset) -> tuple[Counter[tuple[int, int]], Counter[float]]:
    """How many clips there are of each (width, height) in pixels, and videos of each rate."""
    frames, rows, columns, rate = (SHAPE_COLUMNS.index(name) for name in ("T", "H", "W", "fps"))
    counted = list(zip([kind.shape for kind in clips.kinds.values], clips.kinds.counts().tolist(), strict=True))
    known = [
        ((shape[frames], shape[rows], shape[columns], shape[rate]), number)
        for shape, number in counted
        if shape[frames] > 0
    ] or [((T, H, W, fps), 1) for T, H, W, fps in _looked_up(clips)]
    sizes: Counter[tuple[int, int]] = Counter()
    rates: Counter[float] = Counter()
    for (T, H, W, fps), number in known:
        sizes[W * SPATIAL_FACTOR, H * SPATIAL_FACTOR] += number
        if T > 1:
            rates[float(fps)] += number
    return sizes, rates


def _looked_up(clips: ClipDataset) -> list[tuple[int, ...]]:
    """(T, H, W, fps) of the first, the middle and the last clip."""
    found = []
    for index in sorted({0, len(clips) // 2, len(clips) - 1}):
        try:
            clip = clips[index]
        except ValueError:  # a broken sample, which training reports and replaces
            continue
        found.append((*clip.codes.shape, clip.fps))
    return found
