"""What a run was made with: versions, machine, git revision; written beside its results."""

import platform
import subprocess
import sys
from importlib import metadata
from typing import Any

import torch

from xllmx.ranks.distributed import num_ranks

_PACKAGES = ("torch", "numpy", "transformers", "safetensors", "tokenizers", "omegaconf", "einops", "accelerate")


def environment() -> dict[str, Any]:
    """Return versions of what computes, the machine's kind, the command and the git revision, as plain values."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: version for name in _PACKAGES if (version := _version(name))},
        "cuda": torch.version.cuda,
        "devices": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "ranks": num_ranks(),
        "threads": torch.get_num_threads(),
        "command": sys.argv,
        "git_revision": git_revision(),
    }


def git_revision() -> str | None:
    """Return the commit of the working directory, with `-dirty` if it was changed since; None outside a repository."""
    command = ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() or None if result.returncode == 0 else None


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
