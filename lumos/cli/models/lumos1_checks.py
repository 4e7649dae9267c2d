"""What `lumos doctor` checks of a model of Lumos-1: weights, tokenizers, settings; it loads what is generated with."""

from collections.abc import Callable, Mapping

import torch

from lumos.cli.models.kind import Model
from lumos.hub.models import ModelFiles, weight_files
from lumos.lumos1.config import LumosConfig, SamplerConfig
from lumos.lumos1.model.modeling import LumosForCausalLM
from lumos.lumos1.sampling.decode import generate_codes
from lumos.lumos1.sampling.noise import GeneratorNoise
from lumos.lumos1.sampling.settings import resolve_settings
from lumos.media.inputs import choose_device, choose_dtype
from lumos.tokenizer.text import TextTokenizer
from lumos.tokenizer.visual import VisualTokenizer
from lumos.tokenizer.vocab import agreed_vocabulary
from xllmx.safe.safetensors_file import check_safetensors

_SMALLEST_GRID = (4, 4)


def _weights(model: Model) -> str:
    """Headers and sizes of the weights, then all of them in a model, which refines the smallest picture once."""
    folder = _files(model).model
    LumosConfig.from_pretrained(folder)
    weights = weight_files(folder)
    for path in weights:
        if path.suffix == ".safetensors":
            check_safetensors(path)
    device = choose_device(model.device)
    network = LumosForCausalLM.from_pretrained(folder, dtype=choose_dtype(model.dtype, device), device=device)
    generate_codes(
        network,
        [torch.tensor([network.vocab.bos])],
        grid=_SMALLEST_GRID,
        num_latent_frames=1,
        fps=1,
        duration=1,
        sampler=SamplerConfig(num_steps=1),
        noise=[GeneratorNoise(0)],
    )
    size = sum(path.stat().st_size for path in weights) / 2**20
    return f"{len(weights)} file(s), {size:.1f} MiB, config fits, numbers are finite, a picture was drawn"


def _tokenizers(model: Model) -> str:
    """Whether text tokenizer, config and visual tokenizer speak of the same codes."""
    text = TextTokenizer.from_file(_files(model).text_tokenizer)
    vocab = agreed_vocabulary(LumosConfig.from_pretrained(_files(model).model).vocabulary, text.vocab)
    settings = resolve_settings(_files(model).defaults, {"num_frames": 2})
    visual = VisualTokenizer.from_pretrained(_files(model).visual_tokenizer)
    codes = visual.encode(torch.zeros(1, 3, 1, settings.height, settings.width))
    largest, size = int(codes.max()), f"{settings.width}x{settings.height}"
    if tuple(codes.shape) != (1, 1, *settings.grid) or largest >= vocab.num_codes:
        found = f"codes a {size} image as {tuple(codes.shape)}, up to code {largest}"
        wanted = f"{(1, 1, *settings.grid)}, codes below {vocab.num_codes}"
        raise ValueError(
            f"{_files(model).visual_tokenizer} {found}; this model wants {wanted}: use the pair it came with"
        )
    frames = visual.decode(codes.repeat(1, 2, 1, 1) if _makes_video(model) else codes)
    assert frames.shape[-2:] == (settings.height, settings.width)
    return f"{text.vocab.size} tokens, {vocab.num_codes} visual codes, a {size} image is {codes.numel()} codes"


def _makes_video(model: Model) -> bool:
    """Whether the model makes videos if nothing else is asked for."""
    return resolve_settings(_files(model).defaults, {}).num_latent_frames > 1


def _settings(model: Model) -> str:
    settings = resolve_settings(_files(model).defaults, {})
    settings.check(LumosConfig.from_pretrained(_files(model).model).vocabulary)
    frames, steps = settings.num_output_frames, settings.sampler.num_steps
    return f"{settings.width}x{settings.height}, {frames} frames at {settings.fps} fps, {steps} steps"


def _files(model: Model) -> ModelFiles:
    assert isinstance(model.files, ModelFiles)
    return model.files


CHECKS: Mapping[str, Callable[[Model], str]] = {"weights": _weights, "tokenizers": _tokenizers, "settings": _settings}
"""What is looked at -> what was found; ValueError, OSError or RuntimeError say what to do."""
