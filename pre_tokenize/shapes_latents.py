"""Shards of latents of the shapes world: rendered, captioned, encoded and scored for motion in one go.

`python -m pre_tokenize.shapes_latents --out data/lumina_tiny/video --num 20000 --fps 8 --vae ckpts/lumina-tiny/vae`

`python -m pre_tokenize.shapes --to latents` is the same. With --images the clips are pictures, in which nothing moves.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from tqdm import tqdm

from lumos.lumina_video.data.flow_estimators import ESTIMATORS, estimator_named
from lumos.lumina_video.data.latents import UNKNOWN_MOTION, LatentClip
from lumos.lumina_video.data.motion import FlowEstimator, score_frames
from lumos.lumina_video.data.shards import LATENTS, LatentWriter
from lumos.lumina_video.encoding.clip_frames import motion_frames
from lumos.lumina_video.vae import CogVideoXVAE
from lumos.media.decoded import low_psnr, psnr
from lumos.shapes.dataset import Format, add_options, example, format_of, frames_of
from pre_tokenize.job import DTYPES, vae_of
from pre_tokenize.products.decoded_again import decoded_of
from pre_tokenize.products.encode import on_device
from xllmx.run.exit_status import status_of
from xllmx.run.option_parser import OptionParser
from xllmx.settings.number_range import Range, check_numbers

NO_MOTION = "none"
"""In place of an estimator: clips are written without a motion score."""


@dataclass(frozen=True, kw_only=True)
class Speed:
    """How the VAE runs."""

    dtype: torch.dtype = torch.float32
    """What it computes in."""
    batch_size: Annotated[int, Range(1, 10**6)] = 1
    """Clips that it encodes together."""

    def __post_init__(self) -> None:
        check_numbers(self, "--")


def write_latents(
    out: Path,
    *,
    num: int,
    seed: int,
    form: Format,
    vae: Path,
    estimator: FlowEstimator | None = None,
    speed: Speed = Speed(),
) -> int:
    """Render, encode, score and write `num` clips as shards with an index; return how many.

    Raises:
        ValueError: clips of a number of frames that no latents cover four by four, or a VAE that cannot be read.
    """
    folder, identity = vae_of(vae)
    if form.moving and form.num_frames % identity.temporal:
        unit = identity.temporal
        raise ValueError(
            f"--fps and --duration make clips of {form.num_frames} frames; take a multiple of {unit}, as {4 * unit}"
        )
    encoder = CogVideoXVAE.from_pretrained(folder, dtype=speed.dtype)
    encoder.clips_at_once = speed.batch_size
    chosen = decoded_of(num)
    with LatentWriter(out, vae=identity) as writer, tqdm(total=num, desc=str(out)) as bar:
        for start in range(0, num, speed.batch_size):
            numbers = range(start, min(start + speed.batch_size, num))
            shown = [example(number, seed=seed, form=form) for number in numbers]
            frames = [frames_of(spec, form) for spec, _ in shown]
            latents = encoder.encode(on_device(frames, device="cpu")).bfloat16()
            for number, (_, words), clip, latent in zip(numbers, shown, frames, latents, strict=True):
                made = LatentClip(
                    caption=words,
                    latent=latent.clone(),
                    lead=0,
                    motion=_motion(clip, form, estimator),
                    fps=float(form.fps),
                    seconds=float(form.duration_s),
                    source=f"shapes {seed}/{number}",
                )
                writer.add(made, psnr_db=_psnr_db(clip, latent, encoder) if number in chosen else None)
            bar.update(len(numbers))
    if said := low_psnr(writer.decoded, remedy=LATENTS.remedy):
        print(f"pre_tokenize.shapes: warning: {said}", file=sys.stderr)
    return num


def _psnr_db(frames: UInt8[np.ndarray, "F H W 3"], latent: Float[Tensor, "C T h w"], vae: CogVideoXVAE) -> float:
    """How near the decoded latent comes to the frames."""
    return next(psnr(frames[None], vae.decode(latent[None].float(), len(frames))))


def _motion(frames: UInt8[np.ndarray, "F H W 3"], form: Format, estimator: FlowEstimator | None) -> float:
    """The motion score of the frames that are half a second apart; 0 of a picture."""
    if not form.moving:
        return 0.0
    return (
        UNKNOWN_MOTION if estimator is None else score_frames(frames[motion_frames(len(frames), form.fps)], estimator)
    )


def add_latent_options(parser: argparse.ArgumentParser) -> None:
    """Add what says how latents are made."""
    parser.add_argument("--vae", type=Path, help="latents: folder of the VAE, or of a model with one in vae/")
    parser.add_argument("--vae_dtype", choices=list(DTYPES), default="bf16", help="latents: precision of the VAE")
    parser.add_argument("--batch_size", type=int, default=8, help="latents: clips that the VAE encodes together")
    parser.add_argument(
        "--estimator", default="dis-fast", choices=[*ESTIMATORS, NO_MOTION], help="latents: of optical flow"
    )
    parser.add_argument("--weights", type=Path, help="latents: those of unimatch")


def write_from(options: argparse.Namespace) -> int:
    """Write what the options ask for; return how many clips."""
    if options.vae is None:
        raise ValueError("latents need --vae, the folder of a VAE (or of a model that has one)")
    form = format_of(options)
    named = form.moving and options.estimator != NO_MOTION
    return write_latents(
        options.out,
        num=options.num,
        seed=options.seed,
        form=form,
        vae=options.vae,
        estimator=estimator_named(options.estimator, weights=options.weights) if named else None,
        speed=Speed(dtype=DTYPES[options.vae_dtype], batch_size=options.batch_size),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status (`xllmx.run.exit_status`)."""
    parser = OptionParser(prog="pre_tokenize.shapes_latents", description=__doc__)
    add_options(parser)
    add_latent_options(parser)

    def write() -> int:
        write_from(parser.parse_args(arguments))
        return 0

    return status_of("pre_tokenize.shapes_latents", write, words=arguments)


if __name__ == "__main__":
    sys.exit(main())
