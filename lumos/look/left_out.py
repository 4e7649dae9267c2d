"""Which listed videos a training that reads them as they are would leave out, and why: at the sizes of a model."""

from collections.abc import Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Training:
    """A training of clips as a model makes them."""

    model: str
    """Its name."""
    task: ScaleTask
    """Size, rate and length."""
    planner: ClipPlanner
    """What it makes of a clip."""

    @classmethod
    def of(cls, request: LookRequest, data: str) -> "Training | None":
        """Return the training of a list at the settings of the model that is asked for; None without one.

        Raises:
            ValueError: there is no such model of Lumina-Video, or it does not say the size of its clips.
        """
        if request.model is None:
            return None
        folder = find_folder(request.model, ckpts_root(request.ckpts))
        file = folder / "generation_config.json" if folder is not None else None
        made_for = read_json(file) if file is not None and file.is_file() else {}
        if folder is None or not {"width", "height", "num_frames", "fps"} <= made_for.keys():
            said = f"--model {request.model}: no model of Lumina-Video there that says the size of its clips"
            raise ValueError(f"{said}; give one for which {data} is to be looked at (lumina-tiny), or none")
        clip = resolve_settings(made_for, {})
        side = isqrt(clip.width * clip.height)
        task = ScaleTask(data=data, image_size=side, max_frames=clip.num_frames, target_fps=float(clip.fps))
        vae = OneVAE(str(folder / "vae") if is_vae(folder / "vae") else None)
        return cls(request.model, task, ClipPlanner("task", task, vae=vae.compression))

    def left_out_line(self, videos: Sequence[VideoFacts]) -> str:
        """How many of some videos are left out, and for which reason."""
        rows = np.array([(one.seconds, one.fps, one.width, one.height) for one in videos], np.float64)
        reasons = dict(left_out(self.planner.plans(rows.reshape(-1, 4))))
        task = self.task
        settings = f"image_size={task.image_size} max_frames={task.max_frames} target_fps={task.target_fps:g}"
        said = f"{sum(reasons.values()):,} of {plural(len(videos), 'video')} at {settings} (of {self.model})"
        return line("left out", said + (f": {counted(reasons)}" if reasons else ""))


ASK = line("left out", "--model NAME counts those that training leaves out at its size, rate and length")
"""How to ask, where no model is said."""
