"""Reading released weights from a folder: every name and shape is checked before a tensor is used."""

import json
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

_IGNORED = "model.vqmodel."  # the image tokenizer of the text model, of no use to video
_SINGLE_FILES = ("model.safetensors", "pytorch_model.bin")
_VOCABULARY_ROWS = ("model.embed_tokens.weight", "lm_head.weight")


def read_weights(folder: Path | str, *, dtype: torch.dtype | None = None) -> dict[str, Tensor]:
    """Return the weights stored in `folder` by their released names, on the CPU, cast to `dtype` unless None.

    Reads `model.safetensors` or `pytorch_model.bin`, whole or as shards listed in `<file>.index.json`;
    `model.vqmodel.*` is left out.

    Raises:
        ValueError: there are no weights, a file is broken, or a shard of the index is missing.
    """
    weights: dict[str, Tensor] = {}
    for file in _weight_files(Path(folder)):
        for name, tensor in _read_file(file).items():
            if not name.startswith(_IGNORED):
                weights[name] = tensor if dtype is None else tensor.to(dtype)
    return weights


def check_weights(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Check that `weights` are exactly the parameters of `model`, by name and shape.

    Raises:
        ValueError: names are missing or unexpected, or shapes differ; lists all of them.
    """
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    complaints = [f"missing: {name}" for name in sorted(expected.keys() - weights.keys())]
    complaints += [f"unexpected: {name}" for name in sorted(weights.keys() - expected.keys())]
    complaints += [
        f"shape of {name}: {tuple(weights[name].shape)}, the config says {shape}"
        for name, shape in expected.items()
        if name in weights and tuple(weights[name].shape) != shape
    ]
    if complaints:
        listed = "\n  ".join(complaints)
        raise ValueError(
            f"the weights do not fit the config ({len(complaints)} differences); check that config.json belongs to "
            f"them, and see grow_vocabulary for a text model of a smaller vocabulary:\n  {listed}"
        )


def grow_vocabulary(
    weights: Mapping[str, Tensor] | Path | str, *, vocab_size: int, std: float, generator: torch.Generator
) -> dict[str, Tensor]:
    """Return `weights` (or those in a folder) with embedding and head of `vocab_size` rows.

    Old rows are copied, new ones drawn from N(0, std^2) with `generator`, the embedding's before the head's. A
    Chameleon text model has 65536 rows, Lumos-1 129536.

    Raises:
        ValueError: there are more rows than `vocab_size` already.
    """
    grown = dict(read_weights(weights) if isinstance(weights, Path | str) else weights)
    for name in _VOCABULARY_ROWS:
        old = grown[name]
        num_new = vocab_size - len(old)
        if num_new < 0:
            raise ValueError(f"{name} has {len(old)} rows; vocab_size {vocab_size} cannot be smaller")
        new = torch.empty(num_new, old.shape[1]).normal_(0, std, generator=generator)
        grown[name] = torch.cat([old, new.to(old.dtype)])
    return grown


def _weight_files(folder: Path) -> list[Path]:
    for name in _SINGLE_FILES:
        index = folder / f"{name}.index.json"
        if (folder / name).is_file():
            return [folder / name]
        if index.is_file():
            shards = sorted(set(json.loads(index.read_text())["weight_map"].values()))
            if absent := [shard for shard in shards if not (folder / shard).is_file()]:
                raise ValueError(
                    f"{folder}: {', '.join(absent)} named in {index.name} is not there; download the model again"
                )
            return [folder / shard for shard in shards]
    raise ValueError(
        f"{folder} holds no weights: none of {', '.join(_SINGLE_FILES)}, nor an index of shards; give a model folder"
    )


def _read_file(file: Path) -> dict[str, Tensor]:
    try:
        if file.suffix == ".bin":
            return torch.load(file, map_location="cpu", weights_only=True)
        return load_file(file)
    except (SafetensorError, RuntimeError, UnpicklingError) as error:
        raise ValueError(f"{file} cannot be read ({error}); download the model again") from error
