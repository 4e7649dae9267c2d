"""What can be checked before a run: one line a check, each OK or with what to do."""

import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import av
import torch

from lumos.hub.models import DEFAULT_MODEL, ModelFiles, ckpts_root, resolve, weight_files
from lumos.hub.transfer import check_safetensors
from lumos.lumos1.config import LumosConfig
from lumos.lumos1.pipeline import agreed_vocabulary
from lumos.lumos1.sampling.settings import resolve_settings
from lumos.tokenizer.text import TextTokenizer
from lumos.tokenizer.visual import VisualTokenizer

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


def examine(name: str | Path = DEFAULT_MODEL, ckpts: str | Path | None = None) -> Iterator[Check]:
    """Yields the checks of this machine and of one model, in order; those of the model end where it is not found."""
    yield _check("Python", _python)
    yield _check("PyTorch", _torch)
    yield _check("video writer", _encoders)
    yield _check("disk", lambda: _disk(Path.cwd()))
    files: list[ModelFiles] = []
    yield _check(f"model {name}", lambda: _model(name, ckpts, files))
    for found in files:
        for part, look in (("weights", _weights), ("tokenizers", _tokenizers), ("settings", _settings)):
            yield _check(part, partial(look, found))


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
    device = "cuda" if torch.cuda.is_available() else "cpu"
    ones = torch.ones(4, 4, dtype=torch.bfloat16, device=device)
    if float((ones @ ones).sum()) != 64:
        raise ValueError(f"{torch.__version__} multiplies wrongly in bf16 on {device}; reinstall it")
    gpus = ", ".join(torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count()))
    return f"{torch.__version__}, {gpus or f'no CUDA GPU: runs on the CPU ({torch.get_num_threads()} threads)'}"


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


def _model(name: str | Path, ckpts: str | Path | None, found: list[ModelFiles]) -> str:
    files = resolve(name, ckpts)
    found.append(files)
    return f"{files.model} (checkpoints in {ckpts_root(ckpts)})"


def _weights(files: ModelFiles) -> str:
    """Headers and sizes of the weights; no tensor is read."""
    LumosConfig.from_pretrained(files.model)
    weights = weight_files(files.model)
    for path in weights:
        if path.suffix == ".safetensors":
            check_safetensors(path)
    return f"{len(weights)} file(s), {sum(path.stat().st_size for path in weights) / 2**20:.1f} MiB, config fits"


def _tokenizers(files: ModelFiles) -> str:
    """Whether text tokenizer, config and visual tokenizer speak of the same codes."""
    text = TextTokenizer.from_file(files.text_tokenizer)
    vocab = agreed_vocabulary(LumosConfig.from_pretrained(files.model).vocabulary, text.vocab)
    settings = resolve_settings(files.defaults, {"num_frames": 2})
    visual = VisualTokenizer.from_pretrained(files.visual_tokenizer)
    codes = visual.encode(torch.zeros(1, 3, 1, settings.height, settings.width))
    largest, size = int(codes.max()), f"{settings.width}x{settings.height}"
    if tuple(codes.shape) != (1, 1, *settings.grid) or largest >= vocab.num_codes:
        found = f"codes a {size} image as {tuple(codes.shape)}, up to code {largest}"
        wanted = f"{(1, 1, *settings.grid)}, codes below {vocab.num_codes}"
        raise ValueError(f"{files.visual_tokenizer} {found}; this model wants {wanted}: use the pair it came with")
    return f"{text.vocab.size} tokens, {vocab.num_codes} visual codes, a {size} image is {codes.numel()} codes"


def _settings(files: ModelFiles) -> str:
    settings = resolve_settings(files.defaults, {})
    settings.check(LumosConfig.from_pretrained(files.model).vocabulary)
    frames, steps = settings.num_output_frames, settings.sampler.num_steps
    return f"{settings.width}x{settings.height}, {frames} frames at {settings.fps} fps, {steps} steps"
