"""What a trainer asks of a task: the one protocol between the engine and a model."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from xllmx.copies import to_device
from xllmx.loss import LossOutput
from xllmx.subset import Subset

GENERATION = "generation"
"""In the record of a checkpoint: what a `GenerativeTask` says."""


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A batch ready for the model; the trainer moves the tensors of `inputs` and `targets` to the device."""

    inputs: Any
    """What the model is called with: a tensor, or tensors in dicts, lists, tuples, dataclasses."""
    targets: Any
    """What the loss compares with, in the same way."""
    num_targets: int
    """How many targets carry loss; summed over ranks and accumulation before the first backward."""
    num_tokens: int = 0
    """How many tokens the model reads, for the throughput; 0 if not counted."""
    flops: int = 0
    """What forward and backward of the batch need, nothing twice, for the MFU; 0 if not counted."""

    def to(self, device: torch.device) -> "Prepared":
        """Return the batch with its tensors on the device."""
        return replace(self, inputs=move(self.inputs, device), targets=move(self.targets, device))


@runtime_checkable
class SizedDataset(Protocol):
    """A map-style dataset."""

    @property
    def lengths(self) -> Sequence[int]:
        """Cost of each sample, in tokens: batches hold samples of similar length."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Any: ...


@runtime_checkable
class KeyedDataset(Protocol):
    """A dataset that says which samples may share a batch: those with equal keys (a size, an aspect ratio)."""

    bucket_keys: Sequence[Hashable]


@runtime_checkable
class SubsetDataset(Protocol):
    """A dataset of which some stretches are seen in part by each epoch, drawn anew."""

    subsets: Sequence[Subset]


@runtime_checkable
class DrawingDataset(Protocol):
    """A dataset that draws while it reads: which part of a long file, say. By index alone it draws always the same."""

    def drawn(self, index: int, seed: int) -> Any:
        """Return the sample, all that is random about its reading drawn from the seed."""
        ...


@runtime_checkable
class ShardedDataset(Protocol):
    """A dataset in files, of which few at a time should be open; subsets are of whole files."""

    shard_starts: np.ndarray
    """Int64 [files + 1], rising: the first sample of each file, and the number of samples."""


@runtime_checkable
class TrainTask(Protocol):
    """A model, its data and its loss.

    `prepare` is apart from `loss` because the number of targets is drawn there, and that number is summed over ranks
    and accumulation before the first backward.
    """

    def build_model(self) -> nn.Module:
        """Return the model on the meta device: shapes and names only."""
        ...

    def init_weights(self, model: nn.Module, *, device: torch.device, seed: int) -> None:
        """Materialise the model on the device, fresh from the seed or from a checkpoint."""
        ...

    def shard_units(self, model: nn.Module) -> Sequence[nn.Module]:
        """Return the modules to shard, compile and checkpoint activations by: usually the blocks."""
        ...

    def build_dataset(self, split: str) -> Mapping[str, SizedDataset]:
        """Return the named streams of the split, `train` or `eval`; an empty mapping for no such split."""
        ...

    def collate(self, samples: list[Any]) -> Any:
        """Return a batch; runs in a loader worker, without randomness."""
        ...

    def prepare(self, batch: Any, generator: torch.Generator) -> Prepared:
        """Return the batch with all its random choices made and all its counts and plans known, on the CPU.

        What `loss` had to ask its tensors, the host would wait for until the step before is done.

        Draw with `rng.sample_generator(generator, i)` for sample i: what is drawn then does not depend on how the
        global batch is cut into ranks and accumulation.
        """
        ...

    def loss(self, model: nn.Module, prepared: Prepared) -> LossOutput:
        """Return the summed loss over the targets; the trainer divides by the global count."""
        ...


@runtime_checkable
class EnteredTask(Protocol):
    """A task whose loss calls the model by methods other than `forward`."""

    entered_by: Sequence[str]
    """Names of these methods: around them sharded weights are gathered."""


@runtime_checkable
class FingerprintingTask(Protocol):
    """A task that can tell whether its data are those they were."""

    def fingerprints(self) -> Mapping[str, str]:
        """Return a hash of the data of each training stream, without reading samples; "" where it cannot be told."""
        ...


@runtime_checkable
class ExportingTask(Protocol):
    """A task that can write its model in a format for others."""

    def export(self, model: nn.Module, folder: Path) -> None:
        """Fill the (empty, temporary) folder."""
        ...


@runtime_checkable
class GenerativeTask(Protocol):
    """A task whose model makes samples such as it was trained on, when it is asked for them by settings."""

    def generation_defaults(self, streams: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings that ask for samples like those of the streams (`build_dataset("train")`), plain values.

        They are kept in every checkpoint, under `GENERATION`.
        """
        ...


@runtime_checkable
class Preview(Protocol):
    """Something that makes clips with a model in training, for people to see."""

    every: int
    """Steps between clips; 0 is never."""

    def __call__(self, model: nn.Module, step: int) -> Mapping[Path, np.ndarray]:
        """Return the clips, uint8 [F, H, W, 3], by the files they were written to; runs on the main rank."""
        ...


def move(tree: Any, device: torch.device) -> Any:
    """Return the tensors of nested dicts, lists, tuples and dataclasses on the device; everything else as it is."""
    if isinstance(tree, Tensor):
        return to_device(tree, device)
    if isinstance(tree, Mapping):
        return {key: move(value, device) for key, value in tree.items()}
    if isinstance(tree, list | tuple) and not hasattr(tree, "_fields"):
        return type(tree)(move(value, device) for value in tree)
    if is_dataclass(tree) and not isinstance(tree, type):
        return replace(tree, **{part.name: move(getattr(tree, part.name), device) for part in fields(tree)})
    return tree
