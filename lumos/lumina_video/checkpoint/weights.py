"""Folders of weights: released ones are read, ours are read and written.

    released    model_args.pth      consolidated.00-of-01.safetensors (or .pth)
    ours        config.json         model.safetensors (or shards, and their model.safetensors.index.json)

The tensors have the released names in both; `_orig_mod.`, which compiled runs put into them, is removed.
"""

import json
import re
from pathlib import Path

import torch
from safetensors.torch import save_file

from lumos.hub import models as hub
from lumos.hub.models import LUMINA_VIDEO, MODEL_ARGS
from lumos.lumina_video.checkpoint.model_args import read_released_config
from lumos.lumina_video.checkpoint.own_config import CONFIG as CONFIG
from lumos.lumina_video.checkpoint.own_config import is_ours, read_own_config
from lumos.lumina_video.checkpoint.tensor_files import TensorFiles, check_shapes, fill
from lumos.lumina_video.config import LuminaVideoConfig
from lumos.lumina_video.dit import MultiScaleNextDiT
from lumos.media.files import replacing

WEIGHTS = "model.safetensors"

_RELEASED_WEIGHTS = re.compile(r"consolidated\.(\d+)-of-(\d+)\.(safetensors|pth)")

_LAYOUTS = f"a folder holds {CONFIG} and {WEIGHTS}, or {MODEL_ARGS} and consolidated.00-of-01.safetensors (or .pth)"


def config_file(folder: Path) -> Path:
    """Return the file that holds the config of the model in a folder: ours, or that of a released one."""
    return folder / (CONFIG if is_ours(folder) else MODEL_ARGS)


def read_config(folder: Path | str) -> LuminaVideoConfig:
    """Return the config of the model in a folder.

    Raises:
        ValueError: there is none, or it describes no model; the message names the file.
    """
    folder = Path(folder)
    if is_ours(folder):
        return read_own_config(folder)
    if (folder / MODEL_ARGS).is_file():
        return read_released_config(folder / MODEL_ARGS)
    hub.check_is_no_run(folder)
    if (folder / CONFIG).is_file():
        hub.require_kind(folder, hub.kind_of(folder), wanted=hub.LUMINA_VIDEO)
    raise ValueError(f"{folder} holds no Lumina-Video model: {_LAYOUTS}; give such a folder")


def weight_files(folder: Path | str) -> list[Path]:
    """Return the files of weights in a folder, all of them there.

    Raises:
        ValueError: there are none, one is missing, or a download is not finished.
    """
    folder = Path(folder)
    if any(folder.glob("*.part")):
        raise ValueError(f"the download of {folder} is not finished; run the same `lumos download` again, it resumes")
    files = hub.weight_files(folder) if is_ours(folder) else _released_files(folder)
    if not files:
        raise ValueError(f"{folder} has no weights: {_LAYOUTS}; copy or download them")
    if missing := [file.name for file in files if not file.is_file()]:
        raise ValueError(f"{folder} lacks {', '.join(missing)}, a part of its weights; copy or download it again")
    return files


def open_weights(folder: Path | str) -> TensorFiles:
    """Return the tensors in a folder under the names of the network; each is read when it is asked for.

    Raises:
        ValueError: as `weight_files`; or a file is damaged.
    """
    return TensorFiles(weight_files(folder), rename=lambda name: name.replace("_orig_mod.", ""))


def check_dit(folder: Path | str) -> LuminaVideoConfig:
    """Return the config of the network in a folder, once its weights are seen to fit it by name and shape.

    Raises:
        ValueError: as `load_dit`, but for the numbers themselves, which are not read.
    """
    config = read_config(folder)
    with torch.device("meta"):
        model = MultiScaleNextDiT(config)
    check_shapes(model, open_weights(folder).shapes, source=Path(folder))
    return config


def load_dit(
    folder: Path | str, *, device: str | torch.device = "cpu", dtype: torch.dtype | None = None
) -> MultiScaleNextDiT:
    """Return the network in a folder, in evaluation mode; `dtype` None keeps that of the files.

    The tensors are read one by one, straight to their place: no second copy of the weights is held.

    Raises:
        ValueError: config or weights are missing, damaged or not finite, or do not fit each other.
    """
    config = read_config(folder)
    with torch.device("meta"):
        model = MultiScaleNextDiT(config)
    fill(model, open_weights(folder), device=device, dtype=dtype)
    return model.eval()


def save_dit(model: MultiScaleNextDiT, folder: Path | str) -> None:
    """Write weights and config into a folder, each file whole or not at all, the config last.

    Raises:
        ValueError: the folder cannot be written to.
    """
    folder = Path(folder)
    weights = {name: tensor.detach().contiguous() for name, tensor in model.state_dict().items()}
    with replacing(folder / WEIGHTS) as file:
        save_file(weights, file, metadata={"format": "pt"})
    with replacing(folder / CONFIG) as file:
        file.write_text(json.dumps({"model_type": LUMINA_VIDEO, **model.config.to_dict()}, indent=2) + "\n")


def _released_files(folder: Path) -> list[Path]:
    """The files of one set of weights, those in safetensors first; some may be absent."""
    found = [
        match for path in sorted(folder.glob("consolidated.*")) if (match := _RELEASED_WEIGHTS.fullmatch(path.name))
    ]
    for ending in ("safetensors", "pth"):
        totals = {match[2] for match in found if match[3] == ending}
        if len(totals) > 1:
            raise ValueError(
                f"{folder} holds weights cut into {' and into '.join(sorted(totals))} files; leave one set there"
            )
        for total in totals:
            digits = len(total)
            return [folder / f"consolidated.{i:0{digits}d}-of-{total}.{ending}" for i in range(int(total))]
    return []
