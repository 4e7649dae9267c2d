"""Files of tensors, opened and not read; into a network goes only what fits it by name and shape and is finite."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from lumos.hub.hashes import check_hash
from xllmx.finite import check_weight
from xllmx.safe.safetensors_file import check_safetensors, refuse_pointer
from xllmx.safe.torch_archive import load_tensors

_REMEDY = "download it again, or load it as float32"
_MOST_NAMES = 3
"""Names listed in an error; a network has hundreds."""


class TensorFiles:
    """The tensors of safetensors or torch files, by name; each is read when it is asked for."""

    def __init__(self, files: Sequence[Path], *, rename: Callable[[str], str] = str) -> None:
        """Open `files`; `rename` makes the name of a tensor from the one it is stored under.

        Raises:
            ValueError: a file is missing, cut short, no file of tensors, a git LFS pointer, or would run code; or two
                tensors have the same name.
        """
        self.source = files[0].parent if files else Path()
        """Where they lie, for errors."""
        self.shapes: dict[str, tuple[int, ...]] = {}
        """Of every tensor."""
        self._read: dict[str, Callable[[], Tensor]] = {}
        for file in files:
            for stored_name, (shape, read) in _open(file).items():
                name = rename(stored_name)
                if name in self.shapes:
                    raise ValueError(
                        f"{file} holds {name} a second time: the files of {self.source} are not the whole tensors of "
                        "one model; merge them with the tool that wrote them"
                    )
                self.shapes[name], self._read[name] = shape, read

    def read(self, name: str) -> Tensor:
        """Return a tensor, on the CPU, in the dtype it is stored in."""
        return self._read[name]()


def check_shapes(
    model: nn.Module, shapes: Mapping[str, tuple[int, ...]], *, source: Path, allow_more: bool = False
) -> None:
    """Check that `shapes` are those of the tensors of `model`; `allow_more` lets others stand beside them.

    Raises:
        ValueError: names are missing or unexpected, or shapes differ; one line that says how many and gives the first.
    """
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    missing = expected.keys() - shapes.keys()
    unexpected = set() if allow_more else shapes.keys() - expected.keys()
    other = [
        f"{name} {list(shapes[name])} where the config says {list(shape)}"
        for name, shape in expected.items()
        if shapes.get(name, shape) != shape
    ]
    faults = [
        f"{len(names)} {what}: {_some(names)}"
        for what, names in (("missing", missing), ("unexpected", unexpected), ("of another shape", other))
        if names
    ]
    if faults:
        raise ValueError(
            f"the weights in {source} do not fit the model ({'; '.join(faults)}); check that its config belongs to "
            "them, or copy or download the folder again"
        )


def fill(
    model: nn.Module,
    tensors: TensorFiles,
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = None,
    allow_more: bool = False,
) -> None:
    """Put the tensors into `model` (made on the meta device) one by one, so that no second copy of them is held.

    `dtype` None keeps the one they are stored in.

    Raises:
        ValueError: as `check_shapes`; or a tensor holds a number that is not finite in `dtype`.
    """
    check_shapes(model, tensors.shapes, source=tensors.source, allow_more=allow_more)
    placed = {}
    for name in model.state_dict():
        stored = tensors.read(name)
        placed[name] = tensor = stored.to(device=device, dtype=dtype)
        check_weight(tensor if stored.is_floating_point() else stored, name, tensors.source, remedy=_REMEDY)
    model.load_state_dict(placed, strict=True, assign=True)
    model.to(device)  # the tables that are in no file


def _open(file: Path) -> dict[str, tuple[tuple[int, ...], Callable[[], Tensor]]]:
    """Return shape and reader of every tensor in a file."""
    if not file.is_file():
        raise ValueError(f"{file} is missing; copy or download it again")
    refuse_pointer(file)
    if file.suffix != ".safetensors":
        return {name: (tuple(tensor.shape), tensor.detach) for name, tensor in _load(file).items()}
    check_safetensors(file)
    try:
        handle = safe_open(file, framework="pt")
        shapes = {name: tuple(handle.get_slice(name).get_shape()) for name in handle.keys()}  # noqa: SIM118  # no dict
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{file} cannot be read ({error}); copy or download it again") from error
    return {name: (shape, partial(handle.get_tensor, name)) for name, shape in shapes.items()}


def _load(file: Path) -> dict[str, Tensor]:
    """Return the tensors of a file of torch's; nothing but tensors is unpickled."""
    check_hash(file)
    try:
        return load_tensors(file)
    except ValueError as error:
        raise ValueError(f"{file} is no file of plain weights ({error}); copy or download it again") from error


def _some(names: Iterable[str]) -> str:
    listed = sorted(names)
    more = f", ... ({len(listed) - _MOST_NAMES} more)" if len(listed) > _MOST_NAMES else ""
    return ", ".join(listed[:_MOST_NAMES]) + more
