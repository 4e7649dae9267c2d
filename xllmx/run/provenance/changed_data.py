"""Whether a run goes on with the data that it was trained on: what a checkpoint keeps of each stream, against now."""

from collections.abc import Mapping, Sized
from pathlib import Path
from typing import Any

from xllmx.checkpoints.folder import read_record
from xllmx.task import FingerprintingTask

KEY = "data"
"""In the record of a checkpoint."""


def data_now(task: Any, datasets: Mapping[str, Sized]) -> dict[str, Any]:
    """Return stream -> how many samples, and the hash of its data (`FingerprintingTask`); nothing of another task."""
    if not isinstance(task, FingerprintingTask):
        return {}
    hashes = task.fingerprints()
    return {name: {"samples": len(one), "hash": hashes.get(name, "")} for name, one in datasets.items()}


def changed_data(checkpoint: Path, now: Mapping[str, Any]) -> list[str]:
    """Return what is said of each stream whose data are others than the checkpoint recorded; of old ones nothing."""
    recorded, said = read_record(checkpoint).get(KEY), []
    for name, one in now.items():
        before = recorded.get(name) if isinstance(recorded, Mapping) else None
        if not isinstance(before, Mapping) or before == one:
            continue
        if before.get("samples") != one["samples"]:
            said.append(f"{name} has {one['samples']} samples, and had {before.get('samples')}")
        elif before.get("hash") and one["hash"]:
            said.append(f"{name} has as many samples as it had ({one['samples']}), but others, or made otherwise")
    return said
