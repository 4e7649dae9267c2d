"""How well the visual tokenizer or the VAE of a model gives clips back that it has never seen."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from lumos.hub.models import ckpts_root, find_folder, read_json, resolve
from lumos.lumina_video.vae import CogVideoXVAE, is_vae
from lumos.lumos1.sampling.settings import resolve_settings
from lumos.media.decoded import psnr
from lumos.shapes import ShapeSpec, render, sample_spec
from lumos.tokenizer.files import tokenizer_files
from lumos.tokenizer.visual import VisualTokenizer

_VAE_CLIPS = {"num_frames": 16, "fps": 8}
"""What the VAE of a small Lumina-Video sees, where its model does not say."""


ThereAndBack = Callable[[torch.Tensor], torch.Tensor]
"""Pixels [B, 3, F, H, W] in [-1, 1] to what codes or latents leave of them."""


@dataclass(frozen=True, kw_only=True)
class Codec:
    """Clips to codes or latents and back, and which clips it is measured on."""

    there_and_back: ThereAndBack
    """Pixels to what is left of them."""
    clips: dict[str, int]
    """width, height, num_frames, fps."""


def there_and_back_of(name: str) -> ThereAndBack:
    """Return the codec of a visual tokenizer, of a VAE, or of a model that has one, by its name or folder."""
    if (vae_folder := _vae_folder(name)) is not None:
        return _vae_codec(vae_folder).there_and_back
    return _of_tokenizer(VisualTokenizer.from_pretrained(tokenizer_files(name)[0]))


def codec_of(model: str) -> Codec:
    """The visual tokenizer of a Lumos-1 model, or the VAE of a Lumina-Video one; also of a folder that is a VAE."""
    if (vae_folder := _vae_folder(model)) is not None:
        return _vae_codec(vae_folder)
    files = resolve(model, weights=False)
    visual = VisualTokenizer.from_pretrained(files.visual_tokenizer)
    settings = resolve_settings(files.defaults, {})
    length = {"num_frames": settings.num_output_frames, "fps": settings.fps}
    return Codec(
        there_and_back=_of_tokenizer(visual),
        clips={"width": settings.width, "height": settings.height, **length},
    )


def psnr_of(model: str, *, num: int, seed: int = 0, batch_size: int = 16) -> list[float]:
    """PSNR in dB of `num` clips coded and decoded by a model's codec, each over all pixels of its 8-bit frames.

    The clips have the size, rate and length of the model's videos; one in seven combinations is held out of training.
    """
    codec = codec_of(model)
    values: list[float] = []
    with tqdm(total=num, desc="codec", unit="clip") as progress:
        for first in range(0, num, batch_size):
            specs = [_spec(index, seed) for index in range(first, min(num, first + batch_size))]
            frames = np.stack([render(spec, **codec.clips) for spec in specs])
            video = torch.from_numpy(frames).permute(0, 4, 1, 2, 3).float() / 127.5 - 1
            values += psnr(frames, codec.there_and_back(video))
            progress.update(len(specs))
    return values


def _of_tokenizer(visual: VisualTokenizer) -> ThereAndBack:
    return lambda video: visual.decode(visual.encode(video))


def _vae_folder(model: str) -> Path | None:
    folder = find_folder(model, ckpts_root())
    places = () if folder is None else (folder / "vae", folder)
    return next((place for place in places if is_vae(place)), None)


def _vae_codec(folder: Path) -> Codec:
    vae, config = CogVideoXVAE.from_pretrained(folder, dtype=torch.float32), read_json(folder / "config.json")
    own = folder.parent / "generation_config.json"
    asked = read_json(own) if folder.name == "vae" and own.is_file() else {}
    clips = {"width": config["sample_width"], "height": config["sample_height"], **_VAE_CLIPS}
    return Codec(
        there_and_back=lambda video: vae.decode(vae.encode(video), video.shape[2]),
        clips={name: int(asked.get(name, value)) for name, value in clips.items()},
    )


def _spec(index: int, seed: int) -> ShapeSpec:
    return sample_spec(random.Random(f"codec-{seed}-{index}"), held_out=None)
