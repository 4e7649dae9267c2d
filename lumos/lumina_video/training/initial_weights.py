"""The weights a training starts from: fresh ones, and over them what fits of a checkpoint (README section 2.7)."""

import logging
from pathlib import Path

import torch
from torch import nn

from lumos.lumina_video.checkpoint.weights import open_weights
from lumos.lumina_video.network.initial_weights import drawn_weights
from lumos.lumina_video.training.added_scales import resized, sources_of
from xllmx.ranks.distributed import is_main
from xllmx.ranks.sharding import fill_rows

_LOG = logging.getLogger(__name__)
_MOST_NAMES = 4
_BLOCKS = "layers."


def fresh_weights(model: nn.Module, *, generator: torch.Generator) -> None:
    """Draw all weights anew, the same numbers however the model is sharded; a rank keeps its rows."""
    for parameter, values in drawn_weights(model, generator=generator):
        fill_rows(parameter, values.__getitem__)


def stored_weights(model: nn.Module, folder: Path | str) -> None:
    """Fill what a checkpoint has in the same name and shape; all else stays, and is logged.

    So a scale is added: its input and output layers are not in the checkpoint, and are those of the nearest scale it
    has, the patch resized (`added_scales`).

    Raises:
        ValueError: no weights, a damaged file, no block that fits, or numbers that are not finite.
    """
    stored = open_weights(folder)
    wanted = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    fits = [name for name, shape in wanted.items() if stored.shapes.get(name) == shape]
    if not any(name.startswith(_BLOCKS) and name.endswith("attention.wq.weight") for name in fits):
        raise ValueError(f"no block of the weights in {folder} fits the model; correct task.init_from or task.model")
    parameters = dict(model.named_parameters())
    missing = [name for name in wanted if name not in stored.shapes]
    added = sources_of(missing, {name: stored.shapes[name] for name in fits})
    for name, source in (dict(zip(fits, fits, strict=True)) | added).items():
        tensor = stored.read(source)
        if not bool(tensor.isfinite().all()):
            raise ValueError(f"{source} in {folder} holds numbers that are not finite; correct task.init_from")
        fill_rows(parameters[name], resized(tensor, source, name).__getitem__ if name in added else tensor.__getitem__)
    _log("of another shape, started afresh", [n for n in wanted if n in stored.shapes and n not in fits], folder)
    _log("missing, made of those of the nearest scale", list(added), folder)
    _log("missing, started afresh", [name for name in missing if name not in added], folder)
    _log("not of this model, left out", [n for n in stored.shapes if n not in wanted], folder)


def _log(what: str, names: list[str], folder: Path | str) -> None:
    if names and is_main():
        more = f", ... ({len(names) - _MOST_NAMES} more)" if len(names) > _MOST_NAMES else ""
        _LOG.warning("%s: %d tensors %s: %s", folder, len(names), what, ", ".join(names[:_MOST_NAMES]) + more)
