"""Shards of a few random clips and a model to train on them in moments: training and its configs are tested with it."""

from pathlib import Path

import numpy as np

from lumos.lumos1.data.writing import ClipWriter
from lumos.lumos1.sequence import Clip

VOCAB = {
    "bos": 256, "pad": 257, "eos": 258, "frame_end": 259, "frame_start": 260, "separator": 261, "row_end": 262,
    "mask": 263, "video_start": 264, "video_end": 265, "number_base": 266, "num_numbers": 40, "digit_base": 48,
    "code_base": 310, "num_codes": 50, "size": 360,
}  # fmt: skip
"""Ids 0-255 are text, 310-359 visual codes."""

MODEL = {
    "vocab_size": VOCAB["size"],
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "max_position_embeddings": 400,
}
"""Fields of the smallest model that trains."""


def make_clip(index: int, num_latent: int, *, prompt_length: int = 5) -> Clip:
    """A clip of random codes in a grid of 8x4; one latent frame makes an image."""
    codes = np.random.default_rng(index).integers(0, VOCAB["num_codes"], (num_latent, 8, 4))
    image = num_latent == 1
    return Clip(
        prompt_ids=np.arange(256, 256 - prompt_length, -1, dtype=np.int32),
        caption="",
        codes=codes.astype(np.uint16),
        fps=1 if image else 6,
        duration=1 if image else 2,
        source=str(index),
    )


def write_clips(folder: Path, *, num_latent: int, num: int = 9) -> Path:
    """A finished folder of shards; prompts are 5, 6 and 7 ids long."""
    with ClipWriter(folder) as writer:
        for index in range(num):
            writer.add(make_clip(index, num_latent, prompt_length=5 + index % 3))
    return folder
