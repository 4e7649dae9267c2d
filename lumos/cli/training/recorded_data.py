"""What shards record of their clips against what a task takes of them; imported without torch.

Said here is what the task would say too, which it does of data in a store, of records, and of several processes.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lumos.cli.training.run_config import LuminaVideoRunConfig, RunConfig
from lumos.lumina_video.data.recorded_shapes import recorded_shapes
from lumos.lumina_video.training.items.latent_cuts import check_area, check_some_fit
from lumos.lumina_video.training.stated_model import check_channels, stated_model
from lumos.lumos1.data.recorded_shapes import recorded_clips
from lumos.lumos1.sequence_lengths import sequence_lengths
from lumos.lumos1.training.items.lengths_after_cut import check_lengths, check_some_left, cut_shapes, dropped_of
from lumos.media.sets.data_yaml import Entry


def check_latents(config: LuminaVideoRunConfig, setting: str, entries: Sequence[Entry]) -> None:
    """Check that the model takes the latents that a setting names, and the task one of them at least.

    Raises:
        ValueError: it does not, as far as their shards tell.
    """
    found = [recorded_shapes(entry.path) for entry in entries if isinstance(entry.path, Path)]
    known = [one for one in found if one is not None]
    key = setting.removesuffix(".data")
    if (model := stated_model(config.task)) is not None:
        check_channels(key, (shape[0] for one in known for shape in one.shapes), model)
    if not known or len(known) < len(entries):
        return
    group, name = key.removeprefix("task.").split(".", 1)
    task = {"tasks": config.task.tasks, "eval_tasks": config.task.eval_tasks}[group][name]
    shapes = [shape for one in known for shape in one.shapes]
    check_area(key, shapes, task, side_px=known[0].spatial)
    total, first = sum(one.total for one in known), known[0]
    check_some_fit(key, shapes, task, total=total, first=first.first, frames_per_latent=first.temporal)


def check_codes(config: RunConfig, setting: str, entries: Sequence[Entry]) -> None:
    """Check that clips of codes that a setting names are as short as the task wants them.

    Raises:
        ValueError: one is too long with `task.too_long=error`, or else none is left, as far as their shards tell.
    """
    task = config.task
    known = []
    for entry in entries:
        found = recorded_clips(entry.path) if isinstance(entry.path, Path) else None
        if found is not None:
            which = entry.chosen(len(found.which)).of(found.which)
            known.append((found.shapes, np.bincount(which, minlength=len(found.shapes))))
    if not known:
        return
    shapes = cut_shapes(np.concatenate([shapes for shapes, _ in known]), task.duration_s)
    counts, lengths = np.concatenate([counts for _, counts in known]), sequence_lengths(shapes)
    if task.too_long == "error":
        check_lengths(setting, lengths, counts, max_length=task.max_length)
    elif len(known) == len(entries):
        dropped = dropped_of(shapes, lengths, max_length=task.max_length, action=task.too_long)
        check_some_left(setting, int(counts[~dropped].sum()), total=int(counts.sum()), max_length=task.max_length)
