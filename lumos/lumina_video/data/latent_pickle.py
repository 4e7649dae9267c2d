"""The pickles of the released cache, {"latent": bf16 tensor, "id": row}, read without running what they hold.

A pickled tensor is a call of torch._utils._rebuild_tensor_v2 upon the bytes of its storage, which are a file of
torch.save as it was before 1.6: five pickles, then the number of values and the values. Both calls are stood in for by
readers that check what they are handed; no other name may be asked for.
"""

import struct
from math import prod
from pathlib import Path
from typing import Any

import torch
from jaxtyping import BFloat16
from torch import Tensor

from lumos.lumina_video.data.latents import check_finite
from xllmx.safe.bounded_file import read_bounded
from xllmx.safe.plain_pickle import check_pickle, read_pickle

_MOST_BYTES = 2**30
"""Of a pickle; the latent of 960x544 for 4 s at 24 frames a second has 7 MB, of 1920x1088 for a minute 400 MB."""
_MOST_INSTRUCTION_BYTES = 2**20
"""Of what is no numbers of a latent: values of few bytes each take far more memory than the file."""

_STORAGE_PICKLES = 5
_MOST_COUNT = 2**40
_TYPES = {"torch.BFloat16Storage": torch.bfloat16, "torch.FloatStorage": torch.float32, "torch.HalfStorage": torch.half}


def read_latent_pickle(path: Path) -> BFloat16[Tensor, "C T H W"]:
    """The latent in a pickle of the release, already scaled.

    Raises:
        ValueError: it is missing, too large, damaged, asks for anything but a tensor, or the latent is not finite;
            names the file.
    """
    try:
        packed = read_bounded(path, most_bytes=_MOST_BYTES)
        seen = check_pickle(packed, most_bytes=_MOST_BYTES)
        if seen.builds:  # a tensor would take any storage and size that it is given
            raise ValueError("it changes what it has made, as no latent does")
        if (length := seen.instruction_bytes) > _MOST_INSTRUCTION_BYTES:
            raise ValueError(f"beside its latent it has {length} bytes; at most {_MOST_INSTRUCTION_BYTES} are read")
        content = read_pickle(packed, _KNOWN, most_bytes=_MOST_BYTES)
        latent = content.get("latent") if isinstance(content, dict) else None
        if not isinstance(latent, Tensor) or latent.ndim != 4 or 0 in latent.shape:
            raise ValueError("it holds no latent of four axes")
        latent = latent.to(torch.bfloat16)
        check_finite(latent)
    except (ValueError, OSError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{path}: not a latent of the released cache ({reason}); copy it again") from error
    return latent


class _Dict:
    """Stands for collections.OrderedDict, which holds the hooks of a tensor: none."""

    __slots__ = ()

    def __call__(self, *given: object) -> dict[str, Any]:
        if given:
            raise ValueError("its tensor has hooks")
        return {}


class _Storage:
    """Stands for torch.storage._load_from_bytes: the values of a storage, as a tensor of one axis."""

    __slots__ = ()

    def __call__(self, content: object) -> Tensor:
        if not isinstance(content, bytes):
            raise ValueError("the storage of its tensor is no bytes")
        place, names = 0, set[str]()
        for _ in range(_STORAGE_PICKLES):
            seen = check_pickle(content, place)
            if seen.computed:
                raise ValueError("the storage of its tensor puts names together")
            place, names = seen.end, names | seen.names
        if len(names) != 1 or not names <= _TYPES.keys():
            raise ValueError(f"the storage of its tensor is {', '.join(sorted(names))[:80]!a}, no numbers of a latent")
        dtype = _TYPES[names.pop()]
        if len(content) < place + 8:
            raise ValueError("the storage of its tensor is cut short")
        (count,) = struct.unpack_from("<q", content, place)
        if count < 1 or len(content) != place + 8 + count * dtype.itemsize:
            raise ValueError("the storage of its tensor has not the values it says")
        return torch.frombuffer(bytearray(content[place + 8 :]), dtype=dtype)


class _Rebuild:
    """Stands for torch._utils._rebuild_tensor_v2: a tensor of a part of a storage."""

    __slots__ = ()

    def __call__(self, *given: object) -> Tensor:
        if len(given) < 4:
            raise ValueError("its tensor says too little of itself")
        storage, offset, shape, stride = given[:4]
        if not isinstance(storage, Tensor):
            raise ValueError("its tensor has no storage")
        (place,), sizes, steps = _counts((offset,)), _counts(shape), _counts(stride)
        if len(sizes) != len(steps) or prod(sizes) > len(storage):
            raise ValueError("its tensor has more values than its storage")
        return torch.as_strided(storage, sizes, steps, place).clone(memory_format=torch.contiguous_format)


def _counts(values: object) -> tuple[int, ...]:
    if not isinstance(values, tuple) or not all(type(value) is int and 0 <= value < _MOST_COUNT for value in values):
        raise ValueError("its tensor has a size or a step that is none")
    return values


_KNOWN: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): _Dict(),
    ("torch.storage", "_load_from_bytes"): _Storage(),
    ("torch._utils", "_rebuild_tensor_v2"): _Rebuild(),
}
"""What such a pickle asks for, and what stands for it. None of it has attributes that a pickle could set."""
