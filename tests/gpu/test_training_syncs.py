"""Nothing in a training step makes the host wait for the device, told on a CPU by following what would lie on one.

Marked are the weights and the batch from `Prepared.to` on, and all that is computed from them. Reading a marked tensor
is what would wait: its value, its true entries (whose number decides a shape), or the whole of it on the host.
"""

import traceback
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lumos.lumina_video.training.task import LuminaVideoTask
from lumos.lumos1.training.task import LumosTask, LumosTaskConfig
from tests.lumos.lumina_video.latents import task_config
from tests.tiny_data import MODEL, VOCAB, write_clips
from xllmx.ranks.parallel import ParallelConfig
from xllmx.task import Prepared, TrainTask
from xllmx.trainer import Trainer, TrainerConfig

_READS = {"_local_scalar_dense", "nonzero", "masked_select", "unique_consecutive", "_unique2", "bincount", "equal"}
_TO_HOST = {Tensor.tolist, Tensor.cpu, Tensor.numpy}


class Waits(TorchDispatchMode):
    """Notes where marked tensors are read."""

    def __init__(self) -> None:
        super().__init__()
        self.places: list[str] = []
        self._marked: dict[int, StorageWeakRef] = {}

    def mark(self, tree: Any) -> Any:
        """Mark the tensors of a tree, a batch for instance, as lying on the device."""
        for tensor in tree_leaves(tree):
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()
                self._marked[storage._cdata] = StorageWeakRef(storage)
            elif is_dataclass(tensor):
                self.mark(list(vars(tensor).values()))
        return tree

    def has(self, tensor: Any) -> bool:
        """Whether a tensor is marked."""
        found = self._marked.get(tensor.untyped_storage()._cdata) if isinstance(tensor, Tensor) else None
        return found is not None and not found.expired()

    def note(self, what: str) -> None:
        """Note a wait, with the line of ours that it comes from."""
        ours = [f for f in traceback.extract_stack() if "/lumos/" in f.filename or "/xllmx/" in f.filename]
        where = ours[-1] if ours else traceback.extract_stack()[-3]
        self.places.append(f"{what} at {Path(where.filename).name}:{where.lineno}")

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        given = tree_leaves((args, kwargs or {}))
        if any(self.has(one) for one in given):
            name = func.overloadpacket.__name__
            if name in _READS:
                self.note(name)
            if name in ("index", "index_put", "index_put_"):
                indices = [one for one in args[1] if isinstance(one, Tensor)]
                if any(one.dtype in (torch.bool, torch.uint8) or not self.has(one) for one in indices):
                    self.note(f"{name} by a mask, or from the host,")
            return self.mark(func(*args, **(kwargs or {})))
        return func(*args, **(kwargs or {}))


class HostCopies(TorchFunctionMode):
    """Notes copies to the host, which on a CPU are none and reach no operator."""

    def __init__(self, waits: Waits) -> None:
        super().__init__()
        self._waits = waits

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        if func in _TO_HOST and self._waits.has(args[0]):
            self._waits.note(func.__name__)
        return func(*args, **(kwargs or {}))


def waits_of_a_step(task: TrainTask, config: TrainerConfig, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Where the second step of a training waits; the first makes the optimiser's state."""
    trainer = Trainer(task, config, parallel=ParallelConfig(activation_checkpointing=True))
    monkeypatch.setattr(trainer, "_raise_if_not_finite", lambda: None)  # a look at every step, on CPUs alone
    batches = trainer._batches()
    trainer.train_step(next(batches))
    waits = Waits()
    waits.mark([list(trainer.model.parameters()), [list(state.values()) for state in trainer.optimizer.state.values()]])
    to = Prepared.to

    def marked(self: Prepared, device: torch.device) -> Prepared:
        moved = to(self, device)
        waits.mark([list(moved.inputs.values()), moved.targets])
        return moved

    monkeypatch.setattr(Prepared, "to", marked)
    with HostCopies(waits), waits:
        trainer.train_step(next(batches))
    assert trainer.step == 2
    assert waits.has(next(trainer.model.parameters()).detach())
    return waits.places


@pytest.mark.parametrize("settings", [{}, {"packing": 300}, {"frame_decay": 0.5, "z_loss_weight": 0.1}], ids=str)
def test_a_step_of_lumos_1_waits_for_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]
) -> None:
    data = {"video": str(write_clips(tmp_path / "video", num_latent=3))}
    task = LumosTask(LumosTaskConfig(model=MODEL | {"vocab": VOCAB}, data=data, **settings))
    config = TrainerConfig(
        run_dir=tmp_path, max_steps=2, precision="fp32", device="cpu", batch_size={"video": 3}, grad_accumulation=2
    )
    assert waits_of_a_step(task, config, monkeypatch) == []


def test_a_step_of_lumina_video_waits_for_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = task_config(tmp_path)
    streams = dict.fromkeys(settings.tasks, 1)
    config = TrainerConfig(
        run_dir=tmp_path / "run",
        max_steps=2,
        precision="fp32",
        device="cpu",
        batch_size=dict.fromkeys(settings.tasks, 3),
        together=streams,
    )
    assert waits_of_a_step(LuminaVideoTask(settings), config, monkeypatch) == []


@pytest.mark.parametrize(
    "read",
    [
        Tensor.item,
        Tensor.tolist,
        Tensor.cpu,
        Tensor.nonzero,
        lambda x: x[x > 0],
        lambda x: x[[0, 1]],
        lambda x: bool((x > 1).any()),
        lambda x: x.long().bincount(),
        lambda x: (x + 1).sum().item(),
    ],
)
def test_what_waits_is_seen(read: Callable[[Tensor], Any]) -> None:
    waits = Waits()
    marked, free = waits.mark(torch.ones(2 if read is not Tensor.item else 1)), torch.ones(1)
    with HostCopies(waits), waits:
        read(marked)
        assert len(waits.places) == 1
        free.item()
        free.tolist()
        (marked * free).sum()
    assert len(waits.places) == 1
