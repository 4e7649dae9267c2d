"""A whole model of a few thousand weights, made in a moment: pipeline, CLI and drivers are tested with it."""

import json
from pathlib import Path

import torch

from lumos.config import LumosConfig
from lumos.model.modeling import LumosForCausalLM
from lumos.tokenizer.export import export_pair
from lumos.tokenizer.network import CausalVideoTokenizer, NetworkConfig
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


def make_model_folder(folder: Path) -> Path:
    """A random model with its own tokenizers and defaults: 96x64 px, 4 fps x 2 s, 60 codes."""
    network = NetworkConfig(channels=8, multipliers=(1, 1), num_res_blocks=1, z_channels=3, levels=LEVELS)
    torch.manual_seed(3)
    export_pair(CausalVideoTokenizer(network), folder / "visual_tokenizer")
    text = folder / "text_tokenizer.json"
    save_text_tokenizer(train_text_tokenizer(["a red circle moves"], num_merges=4, num_codes=network.num_codes), text)
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
