"""What can be checked before a run: one line a check, each OK or with what to do."""

import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import av
import torch

from lumos.cli.models.door import find_model
from lumos.cli.models.kind import Model
from lumos.hub.hashes import HASHES, check_folder
from lumos.hub.models import DEFAULT_MODEL, ckpts_root
from lumos.media.inputs import choose_device
from xllmx.store.said import with_addresses
from xllmx.words import plural

OLDEST_PYTHON = (3, 11)
_OUTPUT_BYTES = 2**30


@dataclass(frozen=True, kw_only=True)
class Check:
    """One line of the report."""

    name: str
    """What was looked at."""
    passed: bool
    """Whether it will do."""
    detail: str
    """What was found, or what to do."""

    def __str__(self) -> str:
        return f"{'OK  ' if self.passed else 'FAIL'}  {self.name}: {self.detail}"


def examine(name: str | Path = DEFAULT_MODEL, ckpts: Path | None = None) -> Iterator[Check]:
    """Yields the checks of this machine and of one model, in order; those of the model end where it is not found."""
    yield _check("Python", _python)
    yield _check("PyTorch", _torch)
    yield _check("video writer", _encoders)
    yield _check("disk", lambda: _disk(Path.cwd()))
    found: list[Model] = []
    yield _check(f"model {name}", lambda: _model(name, ckpts, found))
    for model in found:
        if any((folder / HASHES).is_file() for folder in _folders(model)):
            yield _check("downloaded files", partial(_hashes, model))
        for part, look in model.kind.checks().items():
            yield _check(part, partial(look, model))


def _check(name: str, look: Callable[[], str]) -> Check:
    try:
        return Check(name=name, passed=True, detail=look())
    except (ValueError, OSError, RuntimeError) as error:  # RuntimeError: what TorchScript raises for a broken file
        return Check(name=name, passed=False, detail=" ".join(str(error).split()))


def _python() -> str:
    found = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < OLDEST_PYTHON:
        raise ValueError(f"{found} is too old; install Python {'.'.join(map(str, OLDEST_PYTHON))} or newer")
    return found


def _torch() -> str:
    """Version and devices, after one multiplication in bf16."""
    device = choose_device(None).type
    ones = torch.ones(4, 4, dtype=torch.bfloat16, device=device)
    if float((ones @ ones).sum()) != 64:
        raise ValueError(f"{torch.__version__} multiplies wrongly in bf16 on {device}; reinstall it")
    gpus = ", ".join(torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count()))
    cpu = f"no CUDA GPU: runs on the CPU ({plural(torch.get_num_threads(), 'thread')})"
    return f"{torch.__version__}, {gpus or cpu}"


def _encoders() -> str:
    missing = [codec for codec in ("libx264", "gif") if codec not in av.codecs_available]
    if missing:
        raise ValueError(
            f"FFmpeg of PyAV {av.__version__} lacks {', '.join(missing)}; pip install --force-reinstall av"
        )
    return f"PyAV {av.__version__} with H.264 and GIF"


def _disk(folder: Path) -> str:
    free = shutil.disk_usage(folder).free
    if free < _OUTPUT_BYTES:
        raise ValueError(
            f"{free / 2**30:.2f} GiB free at {folder}; make room for at least {_OUTPUT_BYTES / 2**30:.0f} GiB"
        )
    return f"{free / 2**30:.0f} GiB free at {folder}"


def _model(name: str | Path, ckpts: Path | None, found: list[Model]) -> str:
    model = find_model(name, ckpts)
    found.append(model)
    return f"{model.kind.title}, {with_addresses(str(model.files.model))} (checkpoints in {ckpts_root(ckpts)})"


def _hashes(model: Model) -> str:
    """How many files are byte by byte as they were downloaded."""
    return f"{sum(map(check_folder, _folders(model)))} as they came from the hub, by their SHA-256"


def _folders(model: Model) -> list[Path]:
    return sorted({path.parent for path in model.files.paths_to_hash})
