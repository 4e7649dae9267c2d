"""What `lumos doctor` checks of a model of Lumina-Video: weights of the network, text encoder, VAE, settings.

Of files of weights only the headers and the sizes are looked at; no tensor is read.
"""

import math
from collections.abc import Callable, Mapping

from lumos.cli.models.kind import Model
from lumos.lumina_video.checkpoint.parts import LuminaVideoFiles
from lumos.lumina_video.checkpoint.tensor_files import TensorFiles, check_shapes
from lumos.lumina_video.checkpoint.weights import check_dit, open_weights, weight_files
from lumos.lumina_video.text import read_text_encoder
from lumos.lumina_video.vae import CogVideoXVAE


def _weights(model: Model) -> str:
    """Whether the tensors of the files are those of the config, by name and shape."""
    files = _files(model)
    check_dit(files.model)
    tensors = open_weights(files.model)
    num_files = len(weight_files(files.model))
    return f"{num_files} file(s), {_count(tensors)} numbers in {len(tensors.shapes)} tensors, config fits"


def _text_encoder(model: Model) -> str:
    files = _files(model)
    config, tokenizer = read_text_encoder(files.text_encoder, tokenizer=files.tokenizer)
    tensors = TensorFiles(files.text_encoder_weights)
    layers = f"{config.num_hidden_layers} layers of width {config.hidden_size}"
    return (
        f"Gemma-2 of {layers}, {_count(tensors)} numbers, {tokenizer.get_vocab_size():,} tokens ({files.text_encoder})"
    )


def _vae(model: Model) -> str:
    files = _files(model)
    vae = CogVideoXVAE.without_weights(files.vae)
    tensors = TensorFiles([files.vae_weights])
    check_shapes(vae.model, tensors.shapes, source=tensors.source)
    pixels = f"{vae.temporal} frames of {vae.spatial}x{vae.spatial} px"
    return f"a latent of {vae.channels} channels is {pixels}, {_count(tensors)} numbers ({files.vae})"


def _settings(model: Model) -> str:
    settings = model.settings_for({}, image=None)
    assert hasattr(settings, "preset")
    scales = ", ".join(map(str, settings.preset.scales))
    clip = f"{settings.width}x{settings.height}, {settings.num_output_frames} frames at {settings.fps} fps"
    return f"{clip}, {settings.preset.num_steps} steps through {scales}"


def _files(model: Model) -> LuminaVideoFiles:
    assert isinstance(model.files, LuminaVideoFiles)
    return model.files


def _count(tensors: TensorFiles) -> str:
    return f"{sum(map(math.prod, tensors.shapes.values())):,}"


CHECKS: Mapping[str, Callable[[Model], str]] = {
    "weights": _weights,
    "text encoder": _text_encoder,
    "VAE": _vae,
    "settings": _settings,
}
"""What is looked at -> what was found; ValueError, OSError or RuntimeError say what to do."""
