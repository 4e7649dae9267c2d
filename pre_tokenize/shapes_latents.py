"""Shards of latents of the shapes world: rendered, captioned, encoded and scored for motion in one go.

`python -m pre_tokenize.shapes_latents --out data/lumina_tiny/video --num 6000 --fps 8 --vae ckpts/lumina-tiny/vae`
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from lumos.cli.exit_status import status_of
from lumos.lumina_video.data.flow_estimators import ESTIMATORS, estimator_named
from lumos.lumina_video.data.latents import UNKNOWN_MOTION, LatentClip
from lumos.lumina_video.data.motion import FlowEstimator, score_frames
from lumos.lumina_video.data.shards import LatentWriter
from lumos.lumina_video.vae import CogVideoXVAE
from lumos.shapes.dataset import Format, add_options, example, format_of, frames_of
from pre_tokenize.job import vae_of

NO_MOTION = "none"
"""In place of an estimator: clips are written without a motion score."""


def write_latents(
    out: Path, *, num: int, seed: int, form: Format, vae: Path, estimator: FlowEstimator | None = None
) -> int:
    """Render, encode, score and write `num` clips as shards with an index; return how many.

    Raises:
        ValueError: clips of a number of frames that no latents cover four by four, or a VAE that cannot be read.
    """
    if form.moving and form.num_frames % 4:
        raise ValueError(f"--fps and --duration make clips of {form.num_frames} frames; take a multiple of 4, as 16")
    folder, identity = vae_of(vae)
    encoder = CogVideoXVAE.from_pretrained(folder, dtype=torch.float32)
    with LatentWriter(out, vae=identity) as writer:
        for index in tqdm(range(num), desc=str(out)):
            spec, words = example(index, seed=seed, form=form)
            frames = frames_of(spec, form)
            pixels = torch.from_numpy(frames).permute(3, 0, 1, 2)[None].float() / 127.5 - 1
            writer.add(
                LatentClip(
                    caption=words,
                    latent=encoder.encode(pixels)[0].to(torch.bfloat16),
                    lead=0,
                    motion=_motion(frames, form, estimator),
                    fps=float(form.fps),
                    seconds=float(form.duration_s),
                    source=f"shapes {seed}/{index}",
                )
            )
    return num


def _motion(frames: np.ndarray, form: Format, estimator: FlowEstimator | None) -> float:
    """Return the score of the frames that are half a second apart."""
    if not form.moving:
        return 0.0
    apart = frames[[round(time * form.fps / 2) for time in range(2 * form.duration_s)]]
    return UNKNOWN_MOTION if estimator is None or len(apart) < 2 else score_frames(list(apart), estimator)


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status (`lumos.cli.exit_status`)."""
    parser = argparse.ArgumentParser(allow_abbrev=False, prog="pre_tokenize.shapes_latents", description=__doc__)
    add_options(parser)
    parser.add_argument("--vae", type=Path, required=True, help="folder of the VAE, or of a model with one in vae/")
    parser.add_argument("--estimator", default="dis", choices=[*ESTIMATORS, NO_MOTION], help="of optical flow")
    options = parser.parse_args(arguments)

    def write() -> int:
        form = format_of(options)
        estimator = None if options.estimator == NO_MOTION else estimator_named(options.estimator)
        write_latents(
            options.out, num=options.num, seed=options.seed, form=form, vae=options.vae, estimator=estimator
        )
        return 0

    return status_of("pre_tokenize.shapes_latents", write)


if __name__ == "__main__":
    sys.exit(main())
