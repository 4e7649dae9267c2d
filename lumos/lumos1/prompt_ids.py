"""A prompt as the model reads it: ids of its text, which with the frames behind it must fit the model."""

import torch
from jaxtyping import Int
from torch import Tensor

from lumos.lumos1.config import LumosConfig
from lumos.lumos1.sampling.settings import Settings
from lumos.lumos1.sequence import sequence_length
from lumos.tokenizer.text import TextTokenizer


def prompt_ids(text: TextTokenizer, prompt: str, settings: Settings, *, config: LumosConfig) -> Int[Tensor, " L"]:
    """Return the ids of a text, from `<s>` up to the separator; an empty one is a negative prompt that says nothing.

    Raises:
        ValueError: the tokenizer is of another model, or the sequence outgrows this one.
    """
    known = prompt.encode("utf-8", "replace").decode("utf-8").strip()  # a lone surrogate is no text
    ids = text.prompt_ids(
        known, width=settings.width, height=settings.height, num_frames=settings.prompt_frames, fps=settings.fps
    )
    if ids and not 0 <= min(ids) <= max(ids) < config.vocabulary.size:
        raise ValueError(
            f"the text tokenizer makes id {max(ids)}, but the model knows ids 0..{config.vocabulary.size - 1}; use the "
            "tokenizer of this model"
        )
    answer = sequence_length(0, (settings.num_in_positions, *settings.grid))
    longest = config.max_position_embeddings
    if len(ids) + answer > longest:
        rule = f"this model takes {longest} tokens, of which the frames need {answer}"
        windows = ", or for windows: history_frames=1" if settings.num_latent_frames > 1 and not settings.window else ""
        fewer = f"ask for fewer or smaller frames{windows}"
        raise ValueError(f"the prompt has {len(ids)} tokens; {rule}; shorten it, or {fewer}")
    return torch.tensor(ids, dtype=torch.long)
