"""Small sets of latents on disk, made in a moment, and a training on them."""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch

from lumos.lumina_video.data.latents import LatentClip, VAEIdentity
from lumos.lumina_video.data.shards import LatentWriter
from lumos.lumina_video.training.task import LuminaVideoTaskConfig, ScaleTask
from tests.lumos.lumina_video.tiny import CONFIG, LATENT_CHANNELS, tiny_text_encoder_folder
from tests.lumos.media.clips import Form, picture, write_clip
from xllmx.settings.config import convert

VAE = VAEIdentity(channels=LATENT_CHANNELS, scale=1.0, spatial=8, temporal=4)
CAPTIONS = ("a red circle moves to the left", "a blue square", "a green bar above a red circle")


def latent_clip(index: int, *, shape: tuple[int, int, int] = (4, 8, 12), **fields: Any) -> LatentClip:
    """A clip of normal numbers, the same for the same index."""
    latent = torch.randn(LATENT_CHANNELS, *shape, generator=torch.Generator().manual_seed(index)).bfloat16()
    told = {"lead": 0, "motion": float(index % 5) - (index % 5 == 0), "fps": 8.0, "seconds": 2.0, **fields}
    return LatentClip(caption=CAPTIONS[index % 3], latent=latent, source=f"{index}.mp4", **told)


def write_latents(folder: Path, *, num: int = 30, shape: tuple[int, int, int] = (4, 8, 12), **fields: Any) -> Path:
    """A folder of so many clips of one shape."""
    with LatentWriter(folder, vae=fields.pop("vae", VAE), shard_size=16) as writer:
        for index in range(num):
            writer.add(latent_clip(index, shape=shape, **fields))
    return folder


def write_raw_clips(folder: Path, *, num: int = 4) -> Path:
    """A list of so many videos of 96x64, 24 frames at 8 a second; each has its motion score."""
    folder.mkdir(exist_ok=True)
    rows = []
    for index in range(num):
        write_clip(
            folder / f"{index}.mp4", 24, Form(fps=Fraction(8)), paint=lambda n, start=24 * index: picture(start + n)
        )
        rows.append({"path": f"{index}.mp4", "prompt": CAPTIONS[index % 3], "unimatch_flow": float(index)})
    path = folder / "list.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def tasks_of(folder: Path) -> dict[str, dict[str, Any]]:
    """Settings of an image and three video tasks, one a scale, on latents that are written into the folder."""
    images, videos = folder / "images", folder / "videos"
    if not videos.is_dir():
        write_latents(images, num=14, shape=(1, 8, 4))
        write_latents(videos)
    common = {"data": str(videos), "media_type": "video", "max_frames": 12, "target_fps": 8}
    return {
        "images": {
            "data": str(images), "media_type": "image", "micro_bsz": 6, "global_bsz": 6, "task_ratio": 2,
            "f_patch_size": 2, "time_shift": 1,
        },
        "fine": {**common, "micro_bsz": 6, "global_bsz": 6, "task_ratio": 4, "time_shift": 2},
        "middle": {**common, "micro_bsz": 6, "global_bsz": 6, "task_ratio": 1, "f_patch_size": 2, "time_shift": 4},
        "coarse": {
            **common, "micro_bsz": 6, "global_bsz": 12, "task_ratio": 3, "f_patch_size": 2, "patch_size": 4,
            "time_shift": 8, "snr_type": "lognorm",
        },
    }  # fmt: skip


def task_config(folder: Path, **settings: Any) -> LuminaVideoTaskConfig:
    """The whole settings of the task."""
    encoder = folder / "text_encoder"
    if not encoder.is_dir():
        tiny_text_encoder_folder(encoder)
    fields = {
        "tasks": tasks_of(folder), "text_encoder": str(encoder), "system_prompt": "", "model": CONFIG.to_dict(),
        **settings,
    }  # fmt: skip
    return convert(LuminaVideoTaskConfig, fields, "task")


__all__ = ["ScaleTask", "latent_clip", "run_config", "task_config", "tasks_of", "write_latents"]


def run_config(folder: Path, run: str = "run", *, steps: int = 5, **groups: Any) -> Path:
    """The YAML of a training of the tiny model on the tasks of `folder`, as people write it; `groups` win."""
    task = {"text_encoder": str(folder / "text_encoder"), "system_prompt": "", "model": CONFIG.to_dict()}
    task_config(folder)  # writes the parts
    trainer = {
        "run_dir": str(folder / run), "max_steps": steps, "device": "cpu", "precision": "fp32", "log_every": 1,
        "save_every": 0, "progress": False, "clip_grad_norm": 2.0, "ema_decay": 0.99, "ema_every": 2,
    }  # fmt: skip
    fields = {
        "model": "lumina_video",
        "trainer": {**trainer, **groups.pop("trainer", {})},
        "optim": {"lr": 1e-3, "eps": 1e-15, "weight_decay": 0.0, "schedule": "constant", **groups.pop("optim", {})},
        "task": {**task, "tasks": tasks_of(folder), **groups.pop("task", {})},
        **groups,
    }
    path = folder / f"{run}.yaml"
    path.write_text(json.dumps(fields))
    return path
