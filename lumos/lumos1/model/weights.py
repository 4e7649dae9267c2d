"""Reading released weights from a folder: every name and shape is checked before a tensor is used."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from lumos.hub.hashes import check_hash
from lumos.hub.models import shards_of
from xllmx.finite import check_weight
from xllmx.safe.torch_archive import load_tensors

IGNORED = "model.vqmodel."
"""Prefix of the weights of the text model's image tokenizer, which video has no use for."""
_REMEDY = "copy or download the model again, or load it as float32"
_MOST_LISTED = 12
_SINGLE_FILES = ("model.safetensors", "pytorch_model.bin")
_VOCABULARY_ROWS = ("model.embed_tokens.weight", "lm_head.weight")


def read_weights(folder: Path | str, *, dtype: torch.dtype | None = None) -> dict[str, Tensor]:
    """Return the weights stored in `folder` by their released names, on the CPU, cast to `dtype` unless None.

    Reads `model.safetensors` or `pytorch_model.bin`, whole or as shards listed in `<file>.index.json`;
    `model.vqmodel.*` is left out.

    Raises:
        ValueError: there are no weights, a file is broken, a shard of the index is missing, or a number is not finite.
    """
    weights: dict[str, Tensor] = {}
    for file in _weight_files(Path(folder)):
        for name, tensor in _read_file(file).items():
            if not name.startswith(IGNORED):
                weights[name] = cast = tensor if dtype is None else tensor.to(dtype)
                check_weight(cast if tensor.is_floating_point() else tensor, name, file, remedy=_REMEDY)
    return weights


class StoredWeights:
    """The weights in a folder, opened and not read: names, shapes, and any rows of any of them.

    A rank that holds a part of the model reads that part alone; the files are mapped into memory.

    Raises:
        ValueError: as `read_weights`.
    """

    def __init__(self, folder: Path | str) -> None:
        self.shapes: dict[str, tuple[int, ...]] = {}
        """Of every weight by its released name; `model.vqmodel.*` is left out."""
        self._readers: dict[str, Any] = {}
        self._files: dict[str, Path] = {}
        for file in _weight_files(Path(folder)):
            for name, (shape, reader) in _open_file(file).items():
                if not name.startswith(IGNORED):
                    self.shapes[name], self._readers[name], self._files[name] = shape, reader, file

    def rows(self, name: str, rows: slice) -> Tensor:
        """Return these rows of a weight, in the dtype it is stored in; ValueError for numbers that are not finite."""
        part = self._readers[name][rows]
        check_weight(part, name, self._files[name], remedy=_REMEDY)
        return part


def check_weights(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Check that `weights` are exactly the parameters of `model`, by name and shape; `check_shapes` says how."""
    check_shapes(model, {name: tuple(tensor.shape) for name, tensor in weights.items()})


def check_shapes(model: nn.Module, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Check that `shapes` are exactly those of the parameters of `model`, name by name.

    Raises:
        ValueError: names are missing or unexpected, or shapes differ; lists the first of them.
    """
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    complaints = [f"missing: {name}" for name in sorted(expected.keys() - shapes.keys())]
    complaints += [f"unexpected: {name}" for name in sorted(shapes.keys() - expected.keys())]
    complaints += [
        f"shape of {name}: {shapes[name]}, the config says {shape}"
        for name, shape in expected.items()
        if shapes.get(name, shape) != shape
    ]
    if complaints:
        more = [f"... ({len(complaints) - _MOST_LISTED} more)"] if len(complaints) > _MOST_LISTED else []
        listed = "\n  ".join(complaints[:_MOST_LISTED] + more)
        raise ValueError(
            f"the weights do not fit the config ({len(complaints)} differences); check that config.json belongs to "
            f"them, and see grow_vocabulary for a text model of a smaller vocabulary:\n  {listed}"
        )


def new_rows(
    shapes: Mapping[str, tuple[int, ...]], *, vocab_size: int, std: float, generator: torch.Generator
) -> dict[str, Tensor]:
    """Return the rows that embedding and head lack for `vocab_size`: N(0, std^2), the embedding's drawn first.

    A Chameleon text model has 65536 rows, Lumos-1 129536.

    Raises:
        ValueError: there are more rows than `vocab_size` already.
    """
    drawn = {}
    for name in _VOCABULARY_ROWS:
        if name in shapes:
            num_old, width = shapes[name]
            if num_old > vocab_size:
                raise ValueError(f"{name} has {num_old} rows; vocab_size {vocab_size} cannot be smaller")
            drawn[name] = torch.empty(vocab_size - num_old, width).normal_(0, std, generator=generator)
    return drawn


def grow_vocabulary(
    weights: Mapping[str, Tensor] | Path | str, *, vocab_size: int, std: float, generator: torch.Generator
) -> dict[str, Tensor]:
    """Return `weights` (or those in a folder) with embedding and head of `vocab_size` rows: old ones, then `new_rows`.

    Raises:
        ValueError: there are more rows than `vocab_size` already.
    """
    grown = dict(read_weights(weights) if isinstance(weights, Path | str) else weights)
    shapes = {name: tuple(tensor.shape) for name, tensor in grown.items()}
    for name, rows in new_rows(shapes, vocab_size=vocab_size, std=std, generator=generator).items():
        grown[name] = torch.cat([grown[name], rows.to(grown[name].dtype)])
    return grown


def _weight_files(folder: Path) -> list[Path]:
    for name in _SINGLE_FILES:
        index = folder / f"{name}.index.json"
        if (folder / name).is_file():
            return [folder / name]
        if index.is_file():
            shards = shards_of(index)
            if absent := [shard.name for shard in shards if not shard.is_file()]:
                raise ValueError(
                    f"{folder}: {', '.join(absent)} named in {index.name} is not there; download the model again"
                )
            return shards
    raise ValueError(
        f"{folder} holds no weights: none of {', '.join(_SINGLE_FILES)}, nor an index of shards; give a model folder"
    )


def _read_file(file: Path) -> dict[str, Tensor]:
    if file.suffix == ".bin":
        check_hash(file)
    try:
        if file.suffix == ".bin":
            return load_tensors(file)
        return load_file(file)
    except (SafetensorError, ValueError, OSError) as error:
        raise ValueError(f"{file} cannot be read ({error}); download the model again") from error


def _open_file(file: Path) -> dict[str, tuple[tuple[int, ...], Any]]:
    """Return, for every tensor in the file, its shape and an object whose slices are rows of it."""
    if file.suffix == ".bin":
        return {name: (tuple(tensor.shape), tensor) for name, tensor in _read_file(file).items()}
    try:
        handle = safe_open(file, framework="pt")
        slices = {name: handle.get_slice(name) for name in handle.keys()}  # noqa: SIM118  # no mapping
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{file} cannot be read ({error}); download the model again") from error
    return {name: (tuple(rows.get_shape()), rows) for name, rows in slices.items()}
