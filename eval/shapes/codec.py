"""How well the visual tokenizer of a model gives clips back that it has never seen."""

import random
from collections.abc import Iterator

import numpy as np
import torch
from tqdm import tqdm

from lumos.hub.models import resolve
from lumos.lumos1.sampling.settings import resolve_settings
from lumos.media.frames import to_frames
from lumos.shapes import ShapeSpec, render, sample_spec
from lumos.tokenizer.visual import VisualTokenizer


def psnr_of(model: str, *, num: int, seed: int = 0, batch_size: int = 16) -> list[float]:
    """PSNR in dB of `num` clips coded and decoded by a model's tokenizer, each over all pixels of its 8-bit frames.

    The clips have the size, rate and length of the model's videos; one in seven combinations is held out of training.
    """
    files = resolve(model, weights=False)
    visual = VisualTokenizer.from_pretrained(files.visual_tokenizer)
    settings = resolve_settings(files.defaults, {})
    size = {"width": settings.width, "height": settings.height}
    length = {"num_frames": settings.num_output_frames, "fps": settings.fps}
    values: list[float] = []
    with tqdm(total=num, desc="codec", unit="clip") as progress:
        for first in range(0, num, batch_size):
            specs = [_spec(index, seed) for index in range(first, min(num, first + batch_size))]
            frames = np.stack([render(spec, **size, **length) for spec in specs])
            video = torch.from_numpy(frames).permute(0, 4, 1, 2, 3).float() / 127.5 - 1
            values += psnr(frames, visual.decode(visual.encode(video)))
            progress.update(len(specs))
    return values


def psnr(frames: np.ndarray, decoded: torch.Tensor) -> Iterator[float]:
    """Yields the PSNR of each clip: uint8 [B, F, H, W, 3] against [B, 3, F or more, H, W] in [-1, 1]."""
    for before, after in zip(frames, decoded, strict=True):
        error = np.square(before.astype(np.float64) - to_frames(after.float())[: len(before)]).mean()
        yield float(10 * np.log10(255.0**2 / max(error, 1e-3)))


def _spec(index: int, seed: int) -> ShapeSpec:
    return sample_spec(random.Random(f"codec-{seed}-{index}"), held_out=None)
