"""A training run of Lumina-Video -> a model folder for `lumos generate --model`, or one of the released layout."""

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import torch

from lumos.cli.training.run_config import LuminaVideoRunConfig
from lumos.hub.models import MODEL_ARGS
from lumos.lumina_video.checkpoint.weights import save_dit
from lumos.lumina_video.config import PRESETS, LuminaVideoConfig
from lumos.lumina_video.dit import MultiScaleNextDiT
from lumos.lumina_video.training.model_settings import with_parts
from lumos.media.files import replacing
from xllmx.safe.json_text import read_object

_DEFAULTS = "generation_config.json"
_SHARED = ("google/gemma-2-2b", "THUDM/CogVideoX-2b/vae")
"""Encoders that every model finds under `ckpts/`; they are not copied."""


def write_model(model: MultiScaleNextDiT, folder: Path, *, config: LuminaVideoRunConfig, parts: Path | None) -> None:
    """Write network, encoders and defaults of generation into a folder.

    Args:
        model: what was trained, in the dtype that it is to have on disk.
        folder: empty.
        config: of the run; its text encoder and VAE go along unless they are those of the release, which are shared.
        parts: a model folder whose `tokenizer/` and defaults go along too; its encoders are named in `config`.

    Raises:
        ValueError: an encoder of the run is not there any more: another would be taken for it.
    """
    task = with_parts(config.task)
    named = {"text_encoder": task.text_encoder, "vae": task.vae}
    encoders = {name: source for name, source in named.items() if source and not source.endswith(_SHARED)}
    for name, source in encoders.items():
        if not Path(source).is_dir():
            remedy = "put it back, or name a model that has it: --tokenizers MODEL"
            raise ValueError(f"task.{name} of the run is {source}, which is not there; {remedy}")
    save_dit(model, folder)
    for name, source in encoders.items():
        shutil.copytree(source, folder / name)
    if parts is not None and (parts / "tokenizer").is_dir():
        shutil.copytree(parts / "tokenizer", folder / "tokenizer")
    said = [place / _DEFAULTS for place in (parts, task.init_from and Path(task.init_from)) if place]
    defaults: dict[str, Any] = next((read_object(file) for file in said if file.is_file()), {})
    if parts is None:  # it knows what it was fine-tuned on, and no file says what
        defaults.pop("world", None)
    defaults.setdefault("system_prompt", task.system_prompt)
    (folder / _DEFAULTS).write_text(json.dumps(defaults, indent=2) + "\n", encoding="utf-8")


def write_released(model: MultiScaleNextDiT, folder: Path) -> None:
    """Write the network as the release does: `model_args.pth` and `consolidated.00-of-01.pth`.

    Raises:
        ValueError: sizes that are none of the released architectures, which is all that this layout can name.
    """
    arguments = argparse.Namespace(
        model=_architecture(model.config),
        patch_sizes=list(model.config.all_patch_size),
        f_patch_sizes=list(model.config.all_f_patch_size),
        qk_norm=model.config.qk_norm,
        rope_theta=model.config.rope_theta,
        t_scale=model.config.t_scale,
        motion_scale=model.config.motion_scale,
    )
    with replacing(folder / "consolidated.00-of-01.pth") as file:
        torch.save({name: tensor.detach().cpu() for name, tensor in model.state_dict().items()}, file)
    with replacing(folder / MODEL_ARGS) as file:
        torch.save(arguments, file)


def _architecture(config: LuminaVideoConfig) -> str:
    said = ("all_patch_size", "all_f_patch_size", "qk_norm", "rope_theta", "t_scale", "motion_scale")
    wanted = {name: value for name, value in config.to_dict().items() if name not in said}
    for name, preset in PRESETS.items():
        if wanted == {key: value for key, value in preset.to_dict().items() if key not in said}:
            return name
    known = ", ".join(PRESETS)
    raise ValueError(f"the released layout knows {known} alone, and this model has other sizes; leave --released out")
