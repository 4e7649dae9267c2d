"""Which listed videos a training that reads them as they are would leave out, and why: at the sizes of a model."""

from collections.abc import Sequence
from math import isqrt

import numpy as np

from lumos.hub.models import ckpts_root, find_folder, read_json
from lumos.look.report import LookRequest
from lumos.look.words import counted, line, plural
from lumos.lumina_video.settings import resolve_settings
from lumos.lumina_video.training.items.clip_plans import ClipPlanner, left_out
from lumos.lumina_video.training.items.one_vae import OneVAE
from lumos.lumina_video.training.task_config import ScaleTask
from lumos.lumina_video.vae import is_vae
from lumos.media.decoding.video_facts import VideoFacts


def left_out_lines(data: str, videos: Sequence[VideoFacts], request: LookRequest) -> list[str]:
    """How many of some videos are left out for which reason, where the size, rate and length are those of a model.

    Args:
        data: the list, for messages.
        videos: what is known of each.
        request: of its `model` the settings are taken; without one it is said how to ask.

    Raises:
        ValueError: there is no such model of Lumina-Video, or it does not say the size of its clips.
    """
    if not videos:
        return []
    if request.model is None:
        asked = "--model NAME counts those that training leaves out at its size, rate and length"
        return [line("left out", f"{asked}, --dry-run of the training at its own")]
    task, vae = _task_of(request, data)
    rows = [(one.seconds, one.fps, one.width, one.height) for one in videos]
    reasons = dict(left_out(ClipPlanner("task", task, vae=vae.compression).plans(np.array(rows, np.float64))))
    settings = f"image_size={task.image_size} max_frames={task.max_frames} target_fps={task.target_fps:g}"
    said = f"{sum(reasons.values()):,} of {plural(len(videos), 'video')} at {settings} (of {request.model})"
    return [line("left out", said + (f": {counted(reasons)}" if reasons else ""))]


def _task_of(request: LookRequest, data: str) -> tuple[ScaleTask, OneVAE]:
    folder = find_folder(request.model or "", ckpts_root(request.ckpts))
    file = folder / "generation_config.json" if folder is not None else None
    made_for = read_json(file) if file is not None and file.is_file() else {}
    if folder is None or not {"width", "height", "num_frames", "fps"} <= made_for.keys():
        raise ValueError(f"--model {request.model}: no model of Lumina-Video there that says the size of its clips")
    clip = resolve_settings(made_for, {})
    side = isqrt(clip.width * clip.height)
    task = ScaleTask(data=data, image_size=side, max_frames=clip.num_frames, target_fps=float(clip.fps))
    return task, OneVAE(str(folder / "vae") if is_vae(folder / "vae") else None)
