"""Training samples: a clip, how it may be used, and the ids and the mask drawn for it (README 8.1 to 8.5)."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from lumos.lumos1.ardf import draw_mask
from lumos.lumos1.config import ARDFConfig
from lumos.lumos1.sequence import Clip, fill_placeholders, sequence_of
from lumos.tokenizer.vocab import Vocab


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A clip, cut to the training length, and how it may be used."""

    clip: Clip
    """The clip."""
    modes: tuple[str, ...]
    """One of these is drawn."""
    cfg_drop: float
    """Probability that the text is dropped."""


def draw_sample(
    sample: Sample, vocab: Vocab, *, ardf: ARDFConfig, generator: torch.Generator
) -> tuple[Int[Tensor, "L"], Bool[Tensor, "T P"]]:
    """Return the ids of a sample, its text perhaps dropped, and the mask (True = to be masked) drawn for them.

    Placeholders in the prompt are written with the frames (fps * duration) and the fps of the clip.
    """
    clip = sample.clip
    num_frames, height, width = clip.codes.shape
    prompt = fill_placeholders(
        torch.from_numpy(clip.prompt_ids), vocab=vocab, frames=clip.fps * clip.duration, fps=clip.fps
    )
    codes = torch.from_numpy(clip.codes.astype("int64"))
    ids = sequence_of(prompt, codes, vocab=vocab, fps=clip.fps, duration=clip.duration)
    drop, choice, given = torch.rand(3, generator=generator).tolist()
    if drop < sample.cfg_drop:
        ids = drop_text(ids, vocab)
    mode = sample.modes[min(int(choice * len(sample.modes)), len(sample.modes) - 1)]
    mask = draw_mask(ardf, num_frames, positions_per_frame=height * (width + 1), generator=generator)
    mask[: given_frames(mode, num_frames, given)] = False
    return ids, mask


def drop_text(ids: Int[Tensor, "L"], vocab: Vocab) -> Int[Tensor, "L1"]:
    """Return the ids from the video start on, so that positions count from there (README 8.2)."""
    return ids[int((ids == vocab.video_start).int().argmax()) :]


def given_frames(mode: str, num_frames: int, u: float) -> int:
    """Return how many leading frames are given, i.e. neither masked nor predicted (README 8.5); u in [0, 1) decides.

    `text_to_video`: none; `video_next_frame`: 1..T-1, alike likely; `video_prediction_{r}`: int(r * T). An image: none.
    """
    if mode == "text_to_video" or num_frames == 1:
        return 0
    if mode == "video_next_frame":
        return 1 + min(int(u * (num_frames - 1)), num_frames - 2)
    return int(float(mode.removeprefix("video_prediction_")) * num_frames)
