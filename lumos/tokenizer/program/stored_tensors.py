"""Tensors of a program lie within the bytes that its archive has for them.

torch believes what a pickle says of a storage, and would read whatever lies behind in memory. Of the tensors on one
torch 2.13 checks it; here they are checked for every version. Its reader takes the instructions of a pickle otherwise
than Python does (NEWOBJ and BUILD make tensors too), so that only what torch itself writes may stand there.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from xllmx.safe.pickle_rehearsal import Instance, Named, Rehearsal

_ITEM_BYTES = {"Bool": 1, "Byte": 1, "Char": 1, "Short": 2, "Int": 4, "Long": 8, "Half": 2, "BFloat16": 2, "Float": 4}
_ITEM_BYTES |= {"Double": 8, "ComplexFloat": 8, "ComplexDouble": 16, "QInt8": 1, "QUInt8": 1, "QInt32": 4}
"""Of a value in a storage of torch, by its name."""
_REBUILD = "torch._utils._rebuild_tensor"
_CALLED = re.compile(r"torch\._utils\._rebuild_\w+|torch\.jit\._pickle\.\w+|collections\.OrderedDict|torch\.device")
"""What a program calls; a storage is named, never called."""
_OWN_CLASSES = "__torch__."


def check_stored_tensors(content: bytes, sizes: Mapping[str, int]) -> None:
    """Check what a pickle of an archive says of its tensors; `check_pickle` has looked at it.

    Args:
        content: the pickle.
        sizes: the bytes of each storage beside it, by the key that the pickle has for it.

    Raises:
        ValueError: a storage or a tensor is larger than what is there for it.
    """
    _Tensors(content, sizes).rehearse()


class _Storage:
    def __init__(self, num_values: int) -> None:
        self.num_values = num_values


class _Tensors(Rehearsal):
    def __init__(self, content: bytes, sizes: Mapping[str, int]) -> None:
        super().__init__(content)
        self._sizes = sizes

    def persistent_load(self, reference: Any) -> _Storage:
        if not isinstance(reference, tuple) or len(reference) != 5:
            raise ValueError("it refers to something that is no storage")
        _, kind, key, _, num_values = reference
        itemsize = _itemsize(kind)
        if not _is_count(num_values):  # whatever it is then is not spelt: that may have no end
            raise ValueError("it says of a storage that it has a number of values that is none")
        if num_values * itemsize > (self._sizes.get(key, 0) if type(key) is str else 0):
            raise ValueError(f"it says of a storage that it has {num_values} values, and it has not as many")
        return _Storage(num_values)

    def new(self, kind: Any) -> Instance:
        if not isinstance(kind, Named) or not kind.name.startswith(_OWN_CLASSES):
            raise ValueError("it makes an object of no class of its own")
        return super().new(kind)

    def built(self, thing: Any) -> None:
        if not isinstance(thing, Instance):
            raise ValueError("it changes something that is no object of its own")

    def noted(self, name: str, words: tuple[Any, ...]) -> None:
        if not _CALLED.fullmatch(name):
            raise ValueError(f"it calls {name[:80]!a}, which no tokenizer needs")
        if not name.startswith(_REBUILD):
            return
        storage, offset, sizes, steps = words[:4] if len(words) >= 4 else (None,) * 4
        if not isinstance(storage, _Storage) or not _are_counts(sizes) or not _are_counts(steps):
            raise ValueError("it says of a tensor what there cannot be")
        if not _is_count(offset) or len(sizes) != len(steps) or _end(offset, sizes, steps) > storage.num_values:
            raise ValueError("it says of a tensor that it reaches beyond its storage")


def _end(offset: int, sizes: Sequence[int], steps: Sequence[int]) -> int:
    """Return the place behind the last value of a tensor."""
    last = sum((size - 1) * step for size, step in zip(sizes, steps, strict=True))
    return 0 if 0 in sizes else offset + last + 1


def _itemsize(kind: Any) -> int:
    name = kind.name if isinstance(kind, Named) else ""
    itemsize = _ITEM_BYTES.get(name.removeprefix("torch.").removesuffix("Storage"))
    if itemsize is None:
        raise ValueError(f"it refers to a storage of {name[:80]!a}, which no tokenizer needs")
    return itemsize


def _are_counts(values: Any) -> bool:
    return isinstance(values, list | tuple) and all(map(_is_count, values))


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**48
