"""A whole model as one folder: network, text encoder with its tokenizer, VAE, settings of generation."""

import json
import shutil
from collections.abc import Iterable
from pathlib import Path

from lumos.lumina_video.checkpoint.parts import LuminaVideoFiles
from lumos.lumina_video.checkpoint.weights import save_dit
from lumos.lumina_video.dit import MultiScaleNextDiT


def write_model_folder(model: MultiScaleNextDiT, folder: Path, parts: LuminaVideoFiles) -> None:
    """Write a network into an empty folder, and copy the parts that it works with: the folder needs no other.

    Of the parts those files are copied that are read, weights in whatever dtype they are stored in.
    """
    save_dit(model, folder)
    text = parts.text_encoder
    indices = text.glob("*.index.json")
    _copy([text / "config.json", *parts.text_encoder_weights, *indices, parts.tokenizer], folder / "text_encoder")
    _copy([parts.vae / "config.json", parts.vae_weights], folder / "vae")
    if parts.defaults:
        text_of = json.dumps(parts.defaults, indent=2) + "\n"
        (folder / "generation_config.json").write_text(text_of, encoding="utf-8")


def _copy(files: Iterable[Path], folder: Path) -> None:
    folder.mkdir()
    for file in files:
        shutil.copyfile(file, folder / file.name)
