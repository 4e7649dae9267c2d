"""Lumina-Video with a few thousand random weights, its encoders of the released classes: made and read in a moment."""

import json
from pathlib import Path

import torch
from diffusers.models import AutoencoderKLCogVideoX
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import Gemma2Config, Gemma2ForCausalLM, Gemma2Model

from lumos.lumina_video.checkpoint.weights import save_dit
from lumos.lumina_video.config import LuminaVideoConfig
from lumos.lumina_video.dit import MultiScaleNextDiT

TEXT_WIDTH = 24
LATENT_CHANNELS = 4
BOS = 2
CONFIG = LuminaVideoConfig(
    all_patch_size=(2, 2, 4),
    all_f_patch_size=(1, 2, 2),
    in_channels=LATENT_CHANNELS,
    dim=96,
    n_layers=2,
    n_heads=6,
    n_kv_heads=2,
    multiple_of=8,
    qk_norm=True,
    cap_feat_dim=TEXT_WIDTH,
    rope_theta=256.0,
    t_scale=1000.0,
    motion_scale=20.0,
)
DEFAULTS = {
    "width": 64,
    "height": 96,
    "num_frames": 8,
    "fps": 4,
    "preset": {
        "P": ["2x4", [0.1, "2x2"], [0.4, "1x2"]],
        "step": 5,
        "ts": 4.0,
        "renorm": 2.0,
        "cfg": [3.0, [0.5, 0.0]],
        "motion": 6.0,
        "negMotion": 2.0,
    },
    "system_prompt": "",
}


def tiny_lumina_folder(folder: Path) -> Path:
    """A complete model: 64x96 px, 8 frames, 4 Euler steps through all three scales; nothing in it is shared."""
    save_dit(tiny_dit(), folder)
    tiny_text_encoder_folder(folder / "text_encoder")
    tiny_vae_folder(folder / "vae")
    (folder / "generation_config.json").write_text(json.dumps(DEFAULTS))
    return folder


def tiny_dit() -> MultiScaleNextDiT:
    """The network; unlike a fresh one it returns no zeros."""
    model = MultiScaleNextDiT(CONFIG).eval()
    generator = torch.Generator().manual_seed(3)
    model.init_weights(generator)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    return model


def tiny_text_encoder_folder(folder: Path, *, causal_lm: bool = True) -> Path:
    """A Gemma-2 of 4 layers and width 24 with a byte-level tokenizer beside it, as the hub keeps the real one."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = tiny_tokenizer()
    tokenizer.save(str(folder / "tokenizer.json"))
    config = Gemma2Config(
        vocab_size=tokenizer.get_vocab_size() + 3,
        hidden_size=TEXT_WIDTH,
        intermediate_size=40,
        num_hidden_layers=4,
        num_attention_heads=6,
        num_key_value_heads=2,
        head_dim=8,
        query_pre_attn_scalar=8,
        max_position_embeddings=300,
        sliding_window=13,
        initializer_range=0.3,
        attn_logit_softcapping=2.0,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        model = Gemma2ForCausalLM(config) if causal_lm else Gemma2Model(config)
    model.save_pretrained(folder)
    return folder


def tiny_tokenizer() -> Tokenizer:
    """Byte-level, so that any text has ids; every text begins with `<bos>`, as Gemma's does."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=290,
        special_tokens=["<pad>", "<eos>", "<bos>", "<unk>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(["a red circle moves to the left of a blue square"] * 3, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", BOS)])
    return tokenizer


def tiny_vae_folder(folder: Path, *, num_blocks: int = 4) -> Path:
    """A CogVideoX VAE, 8x in space (4x with three blocks) and 4x in time, 4 latent channels, as diffusers keeps it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        vae = AutoencoderKLCogVideoX(
            block_out_channels=(4, 6, 8, 10)[:num_blocks],
            down_block_types=("CogVideoXDownBlock3D",) * num_blocks,
            up_block_types=("CogVideoXUpBlock3D",) * num_blocks,
            latent_channels=LATENT_CHANNELS,
            layers_per_block=1,
            norm_num_groups=2,
            sample_height=96,
            sample_width=80,
        )
    vae.save_pretrained(folder)
    return folder
