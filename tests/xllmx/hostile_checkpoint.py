"""Checkpoints as somebody else might hand them on: what their pickles would do when they are read."""

import dataclasses
import io
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.distributed.checkpoint.metadata import BytesStorageMetadata


class Evil:
    """Pickled as a call that makes a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable, tuple[str]]:
        return os.system, (f"touch {self.marker}",)


def change(checkpoint: Path, how: Callable[[Any], Any]) -> None:
    """Change the list of a checkpoint and make its marker agree, as whoever wrote it would."""
    listed = pickle.loads((checkpoint / ".metadata").read_bytes())
    changed = how(listed)
    (checkpoint / ".metadata").write_bytes(pickle.dumps(listed if changed is None else changed))
    seal(checkpoint)


def seal(checkpoint: Path) -> None:
    record = json.loads((checkpoint / "checkpoint.json").read_text())
    record["files"] = {name: (checkpoint / name).stat().st_size for name in record["files"]}
    (checkpoint / "checkpoint.json").write_text(json.dumps(record))


def plain_names(checkpoint: Path) -> list[str]:
    listed = pickle.loads((checkpoint / ".metadata").read_bytes())
    return [name for name, kind in listed.state_dict_metadata.items() if isinstance(kind, BytesStorageMetadata)]


def replace_value(checkpoint: Path, name: str, value: Any) -> None:
    """Put another pickle in the place of a value or of a tensor of the checkpoint."""
    stream = io.BytesIO()
    torch.save(value, stream)

    def point_to_it(listed: Any) -> None:
        index = next(index for index in listed.storage_data if index.fqn == name)
        info = listed.storage_data[index]
        with (checkpoint / info.relative_path).open("ab") as file:
            start = file.tell()
            file.write(stream.getvalue())
        length = len(stream.getvalue())
        listed.storage_data[index] = dataclasses.replace(info, offset=start, length=length)

    change(checkpoint, point_to_it)
