"""What a run reports: means kept as (sum, count) on the device, rows of jsonl, and trackers when asked for."""

import json
import logging
import resource
import sys
import uuid
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from xllmx.disk.files import write_text, writing
from xllmx.loss import LossOutput, Quantity
from xllmx.ranks.data_sheets import device_peak_flops
from xllmx.ranks.distributed import all_reduce_sum, gather_names, is_main
from xllmx.safe.json_text import json_lines, read_text, without_cut_line

_LOG = logging.getLogger(__name__)


@runtime_checkable
class Tracker(Protocol):
    """A place beside metrics.jsonl where people follow a run."""

    def scalars(self, values: Mapping[str, float | int], step: int) -> None:
        """Show the numbers of a step."""
        ...

    def clip(self, name: str, frames: np.ndarray, path: Path, step: int) -> None:
        """Show a clip, uint8 [F, H, W, 3], which is also the file `path`."""
        ...


class Sums:
    """Named (sum, count) pairs; nothing leaves the device before `means`."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._pairs: dict[str, tuple[Quantity, Quantity]] = {}

    def add(self, name: str, total: Quantity, count: Quantity = 1) -> None:
        """Add to both parts of the pair."""
        old_total, old_count = self._pairs.get(name, (0.0, 0.0))
        self._pairs[name] = old_total + _detached(total), old_count + _detached(count)

    def add_loss(self, stream: str, output: LossOutput) -> None:
        """Add the loss and the metrics of one batch of the stream, as `stream/name`."""
        self.add(f"{stream}/loss", output.sum, output.count)
        for name, (total, count) in output.metrics.items():
            self.add(f"{stream}/{name}", total, count)

    def means(self) -> dict[str, float]:
        """Return sum / count over all ranks for each name (left out where the count is 0), and forget them."""
        names = gather_names(sorted(self._pairs))
        flat = [part for name in names for part in self._pairs.get(name, (0.0, 0.0))]
        self._pairs = {}
        if not names:
            return {}
        wide = torch.float32 if self._device.type == "mps" else torch.float64  # which MPS does not have
        table = torch.stack([torch.as_tensor(part, dtype=wide, device=self._device) for part in flat])
        values = all_reduce_sum(table).view(-1, 2).tolist()
        return {name: total / count for name, (total, count) in zip(names, values, strict=True) if count}


def _detached(value: Quantity) -> Quantity:
    return value.detach() if isinstance(value, Tensor) else value


class MetricLogger:
    """Writes rows {"kind", "step", name: value} to metrics.jsonl and to trackers, on the main rank.

    A tracker that cannot be told something (its disk is full, its server is away) is said once, and tried again at the
    next row: what it shows stands in metrics.jsonl too, and no training ends over it.
    """

    def __init__(self, folder: Path, *, step: int = 0, trackers: Sequence[str] = ()) -> None:
        """Rows after `step`, of a run that went further than its last checkpoint, are dropped."""
        self._path = folder / "metrics.jsonl"
        self._trackers: dict[str, Tracker] = {}
        self._failing: set[str] = set()
        if is_main():
            folder.mkdir(parents=True, exist_ok=True)
            _drop_after(self._path, step)
            self._trackers = {name: _open_tracker(name, folder, step) for name in trackers}

    def write(self, kind: str, step: int, values: Mapping[str, float | int]) -> None:
        """Write one row; it is on disk when this returns."""
        if not is_main():
            return
        with writing(self._path), self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"kind": kind, "step": step, **values}) + "\n")
        self._tell(lambda track: track.scalars({f"{kind}/{name}": value for name, value in values.items()}, step))

    def show(self, step: int, clips: Mapping[Path, np.ndarray]) -> None:
        """Show clips (uint8 [F, H, W, 3] by their file) in the trackers, under the file's name."""
        for path, frames in clips.items():
            self._tell(partial(_show, path=path, frames=frames, step=step))

    def _tell(self, report: Callable[[Tracker], None]) -> None:
        for name, track in self._trackers.items():
            try:
                report(track)
            except Exception as error:  # of a library, a disk or a network
                if name not in self._failing:
                    self._failing.add(name)
                    kept = f"the training goes on, and {self._path} has every row; what fails later is not said again"
                    _LOG.warning("tracker %s cannot be written to (%s); %s", name, _reason(error), kept)


def _show(track: Tracker, *, path: Path, frames: np.ndarray, step: int) -> None:
    track.clip(f"samples/{path.stem}", frames, path, step)


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split()):.200}"


def read_metrics(folder: Path, kind: str = "train") -> list[dict[str, Any]]:
    """Return the rows of one kind of a run's metrics.jsonl, in order."""
    return [row for row in _rows(folder / "metrics.jsonl") if row["kind"] == kind]


def _rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a metrics.jsonl, without the last if a kill cut it; ValueError that names a wrong line."""
    remedy = "delete the line"
    lines = json_lines(without_cut_line(read_text(path, remedy=remedy)), str(path), remedy=remedy, finite=False)
    rows = []
    for number, row in lines:
        step = row.get("step") if isinstance(row, dict) else None
        if not isinstance(step, int) or isinstance(step, bool) or not isinstance(row.get("kind"), str):
            raise ValueError(f"{path}, line {number} is no row of metrics, with a kind and a whole step; {remedy}")
        for name, value in row.items():
            if name != "kind" and (isinstance(value, bool) or not isinstance(value, int | float)):
                raise ValueError(f"{path}, line {number}: {name} is {value!r:.80}, no number; {remedy}")
        rows.append(row)
    return rows


def throughput(flops: float | int, seconds: float | int, device: torch.device) -> dict[str, float]:
    """Return `tflops_per_s` of one device and `mfu`, its part of the device's peak; what is not known is left out.

    Args:
        flops: what the model needs for a step on one device, nothing twice (recomputed activations do not count).
        seconds: what the step took.
        device: whose bf16 peak is meant.
    """
    if not flops:
        return {}
    peak = device_peak_flops(device)
    return {"tflops_per_s": flops / seconds / 1e12, **({"mfu": flops / seconds / peak} if peak else {})}


def peak_memory_bytes(device: torch.device) -> int:
    """Return the most memory used so far: of the GPU's allocator, or resident in this process."""
    if device.type in ("cuda", "xpu"):
        return int(getattr(torch, device.type).max_memory_allocated(device))
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage counts bytes on macOS, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _drop_after(path: Path, step: int) -> None:
    if path.exists():
        kept = [row for row in _rows(path) if row["step"] <= step]
        write_text(path, "".join(json.dumps(row) + "\n" for row in kept))


class _TensorBoard:
    """Scalars, and clips as strips of frames: its own videos need another library.

    What was shown after the step that a run goes on from is not shown any more.
    """

    def __init__(self, folder: Path, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)

    def scalars(self, values: Mapping[str, float | int], step: int) -> None:
        for key, value in values.items():
            self._writer.add_scalar(key, value, step)
        self._writer.flush()

    def clip(self, name: str, frames: np.ndarray, path: Path, step: int) -> None:
        self._writer.add_image(name, np.concatenate(list(frames), axis=1), step, dataformats="HWC")
        self._writer.flush()


class _WandB:
    """Scalars, and clips as the files they are in; a run that goes on goes on where it is shown.

    W&B takes a step once. Steps that were shown and are done again, after the checkpoint that a run goes on from, stay
    as they are shown: they are the same.
    """

    def __init__(self, folder: Path, step: int) -> None:
        import wandb

        known = folder / "wandb-id.txt"
        if step == 0 or not known.exists():  # a run that begins anew is another one
            write_text(known, uuid.uuid4().hex)
        name, number = folder.name, known.read_text(encoding="utf-8").strip()
        self._wandb, self._run = wandb, wandb.init(dir=folder, name=name, id=number, resume="allow")

    def scalars(self, values: Mapping[str, float | int], step: int) -> None:
        self._log(dict(values), step)

    def clip(self, name: str, frames: np.ndarray, path: Path, step: int) -> None:
        media = self._wandb.Image if len(frames) == 1 else self._wandb.Video
        self._log({name: media(str(path))}, step)

    def _log(self, values: dict[str, Any], step: int) -> None:
        if step >= self._run.starting_step:
            self._run.log(values, step=step)


_TRACKERS: dict[str, Callable[[Path, int], Tracker]] = {"tensorboard": _TensorBoard, "wandb": _WandB}


def _open_tracker(name: str, folder: Path, step: int) -> Tracker:
    """Return the tracker of that name, which goes on after `step`; its library is imported only here."""
    if name not in _TRACKERS:
        raise ValueError(f"tracker {name!r} is unknown; trainer.trackers takes tensorboard and wandb")
    try:
        return _TRACKERS[name](folder, step)
    except ImportError as error:
        raise ValueError(f"tracker {name} is not installed; pip install -e '.[track]' or drop it") from error
    except Exception as error:  # of a library, a disk or a network
        offline = ", set WANDB_MODE=offline" if name == "wandb" else ""
        remedy = f"mend that{offline}, or leave {name} out of trainer.trackers"
        raise ValueError(f"tracker {name} cannot be opened ({_reason(error)}); {remedy}") from error
