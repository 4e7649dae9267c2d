"""Arrays of numpy in an `.npz` that a stranger may have made: their sizes are added up before one is read."""

import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

_MOST_HEADER = 10_000


def read_array(path: Path, name: str, *, most_bytes: int) -> np.ndarray:
    """Return the array of that name; nothing is unpickled.

    Raises:
        ValueError: there is none, it announces more than `most_bytes`, or is damaged; names the file.
    """
    try:
        with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as file:
            version = npy.read_magic(file)
            read: Any = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            shape, _, dtype = read(file, max_header_size=_MOST_HEADER)
            if dtype.hasobject or (size := math.prod(shape) * dtype.itemsize) > most_bytes or min(shape, default=0) < 0:
                said = "objects" if dtype.hasobject else f"{size} bytes, of which at most {most_bytes} are read"
                raise ValueError(f"it announces {said}")
        with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as file:
            return npy.read_array(file, allow_pickle=False, max_header_size=_MOST_HEADER)
    except Exception as error:  # damaged bytes raise anything; a zip's own checks too
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ValueError(
            f"{path} is no .npz with an array {name!r} ({reason}); write it again with numpy.savez"
        ) from error
