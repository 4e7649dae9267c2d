"""A whole model of a few thousand weights, made in a moment: pipeline, CLI and drivers are tested with it."""

import json
import math
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lumos.lumos1.config import LumosConfig
from lumos.lumos1.model.modeling import LumosForCausalLM
from lumos.tokenizer.text import TextTokenizer
from lumos.tokenizer.text_training import save_text_tokenizer, train_text_tokenizer

DEFAULTS = {
    "width": 96,
    "height": 64,
    "fps": 4,
    "duration": 2,
    "num_inference_steps": 2,
    "guidance_scale": 2.0,
    "sizes": [[96, 64], [64, 96], [64, 64]],
}
LEVELS = (5, 4, 3)
"""Shades of red, green and blue that the visual tokenizer of these tests knows."""


class MeanColourEncoder(nn.Module):
    """Codes of the mean colour of every 8x8 pixels, the first frame alone and then of every four."""

    def __init__(self) -> None:
        super().__init__()
        self.levels = nn.Parameter(torch.tensor([float(level) for level in LEVELS]), requires_grad=False)

    def forward(self, video: Tensor) -> tuple[Tensor, Tensor]:
        video = torch.cat([video[:, :, :1].repeat(1, 1, 3, 1, 1), video], dim=2)
        shade = (F.avg_pool3d(video, (4, 8, 8), (4, 8, 8)) + 1) / 2
        level = (shade.movedim(1, -1) * (self.levels - 1)).round().int()
        return (level[..., 0] * 4 + level[..., 1]) * 3 + level[..., 2], shade


class MeanColourDecoder(nn.Module):
    """Blocks of one colour."""

    def __init__(self) -> None:
        super().__init__()
        self.levels = nn.Parameter(torch.tensor([float(level) for level in LEVELS]), requires_grad=False)

    def forward(self, codes: Tensor) -> Tensor:
        level = torch.stack([codes // 12, codes // 3 % 4, codes % 3], dim=-1).to(self.levels.dtype)
        video = (level / (self.levels - 1) * 2 - 1).movedim(-1, 1)
        video = video.repeat_interleave(4, 2).repeat_interleave(8, 3).repeat_interleave(8, 4)
        return video[:, :, 3:]


def make_model_folder(folder: Path) -> Path:
    """A random model with its own tokenizers and defaults: 96x64 px, 4 fps x 2 s, 60 codes."""
    (folder / "visual_tokenizer").mkdir(parents=True)
    for name, half in (("encoder", MeanColourEncoder()), ("decoder", MeanColourDecoder())):
        torch.jit.script(half).save(str(folder / "visual_tokenizer" / f"{name}.jit"))
    text = folder / "text_tokenizer.json"
    save_text_tokenizer(train_text_tokenizer(["a red circle moves"], num_merges=4, num_codes=math.prod(LEVELS)), text)
    vocab = TextTokenizer.from_file(text).vocab
    config = LumosConfig(
        vocab=vocab.to_dict(),
        vocab_size=vocab.size,
        hidden_size=48,
        intermediate_size=80,
        num_hidden_layers=2,
        num_attention_heads=6,
        num_key_value_heads=2,
        max_position_embeddings=1100,
        initializer_range=0.3,
    )
    model = LumosForCausalLM(config).eval()
    model.reset_parameters(generator=torch.Generator().manual_seed(1))
    model.save_pretrained(folder)
    (folder / "generation_config.json").write_text(json.dumps(DEFAULTS))
    return folder
