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


@dataclass(frozen=True, kw_only=True, eq=False)
class MaskedSample:
    """What was drawn for a sample, or, with a leading axis B, for those of a batch."""

    ids: Int[Tensor, "*B L"]
    """The whole sequence, nothing masked."""
    masked: Bool[Tensor, "*B T P"]
    """True where a content position is masked."""
    predicted: Bool[Tensor, "*B T P"] | None = None
    """True where a code carries loss; None: where it is masked."""
    noise: Int[Tensor, "*B T P"] | None = None
    """Visual codes that stand in the place of the masked ones; None: the mask token does."""


def draw_sample(sample: Sample, vocab: Vocab, *, ardf: ARDFConfig, generator: torch.Generator) -> MaskedSample:
    """Return the ids of a sample, its text perhaps dropped, and what was drawn for them.

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
    mode = chosen_mode(sample.modes, choice, text_to_video_prob=ardf.text_to_video_prob)
    size = height * (width + 1)
    mask = draw_mask(ardf, num_frames, positions_per_frame=size, generator=generator, num_rows=height)
    num_given = given_frames(mode, num_frames, given)
    mask[:num_given] = False
    predicted = noise = None
    if ardf.predict_all_tokens:
        predicted = (torch.arange(num_frames) >= num_given)[:, None].expand(num_frames, size)
    if ardf.noise_type == "random_replace":
        noise = torch.randint(vocab.num_codes, (num_frames, size), generator=generator)
    return MaskedSample(ids=ids, masked=mask, predicted=predicted, noise=noise)


def chosen_mode(modes: tuple[str, ...], u: float, *, text_to_video_prob: float | None) -> str:
    """Return the mode that u in [0, 1) decides on.

    >>> [chosen_mode(("text_to_video", "video_next_frame"), u, text_to_video_prob=0.9) for u in (0.0, 0.89, 0.9)]
    ['text_to_video', 'text_to_video', 'video_next_frame']
    """
    others = tuple(mode for mode in modes if mode != "text_to_video")
    if text_to_video_prob is not None and 0 < len(others) < len(modes):
        if u < text_to_video_prob:
            return "text_to_video"
        modes, u = others, (u - text_to_video_prob) / (1 - text_to_video_prob)
    return modes[min(int(u * len(modes)), len(modes) - 1)]


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
