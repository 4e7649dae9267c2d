"""A large model over several GPUs and the host's memory, for sampling: each block whole on one of them.

    blocks 0..15   GPU 0, with the embedding, the norm and the head
    blocks 16..27  GPU 1
    blocks 28..31  the host's memory (`cpu`); they come to GPU 0 for their turn

The hidden states travel from device to device (accelerate's hooks), the keys and values of a block stay where it
computes (`lumos.lumos1.model.cache`), and nothing but the place of the arithmetic changes.
"""

import shutil
import tempfile
import weakref
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from lumos.lumos1.model.modeling import LumosForCausalLM
from xllmx.settings.setting import SettingError

AUTO = "auto"
"""The one device map that is worked out here."""

DeviceMap = dict[str, str]
"""Part of the model -> `cuda:1`, `cpu` or `disk`."""

_SHARE = 0.85
"""Of a GPU's free memory that weights may take if nothing is said; the rest is for keys, values and the work."""

_MIB = 2**20


def spread(
    model: LumosForCausalLM, device: torch.device, *, max_memory: Mapping[int | str, int | str] | None = None
) -> LumosForCausalLM:
    """Return the model placed over the devices that `device_map_of` chose, changed in place.

    What goes to `disk` is written into a temporary folder that lives as long as the model.

    Raises:
        ValueError: as `device_map_of` does.
    """
    from accelerate import dispatch_model

    chosen = device_map_of(model, device, max_memory=max_memory)
    folder = tempfile.mkdtemp(prefix="lumos-offload-") if "disk" in chosen.values() else None
    if folder is not None:
        weakref.finalize(model, shutil.rmtree, Path(folder), ignore_errors=True)
    placed: LumosForCausalLM = dispatch_model(
        model,
        chosen,
        main_device=_name(_key(device)),
        offload_dir=folder,
        skip_keys=["cache", "layout"],
        preload_module_classes=_block_classes(model),
        force_hooks=True,
    )
    return placed


def device_map_of(
    model: LumosForCausalLM, device: torch.device, *, max_memory: Mapping[int | str, int | str] | None = None
) -> DeviceMap:
    """Return where each part of the model goes: embedding, norm and head to `device`, blocks wherever there is room.

    Args:
        model: whose tensors are counted in their own dtype; they may be on `meta`.
        device: where the ids come in and the codes go out.
        max_memory: number of a GPU, `cpu` or `disk` -> most bytes of weights there, or a text such as 20GiB; None is
            a share of what is free on the GPUs here and in the host's memory.

    Raises:
        ValueError: `device` is not among the places, or the blocks find no room.
    """
    from accelerate import infer_auto_device_map
    from accelerate.utils import get_balanced_memory

    main, blocks = _key(device), model.model.layers
    room = _room(max_memory)
    if main not in room:
        raise SettingError("max_memory", f"says nothing of {main}, where the model computes; add {main}=20GiB")
    room[main] -= sum(_bytes_of(part) for part in (model.model.embed_tokens, model.model.norm, model.lm_head))
    if room[main] < _bytes_of(blocks[0]):
        raise SettingError("max_memory", f"leaves {main} no room for one block beside embedding and head; raise it")
    classes = _block_classes(model)
    if max_memory is None:
        room = get_balanced_memory(blocks, max_memory=room, no_split_module_classes=classes)
    found = infer_auto_device_map(blocks, max_memory=dict(room), no_split_module_classes=classes)
    places = [found.get(str(index), found.get("")) for index in range(len(blocks))]
    without = sum(place is None or (place == "disk" and "disk" not in room) for place in places)
    if without:
        said = ", ".join(f"{place}: {max(0, size) // _MIB} MiB" for place, size in room.items())
        remedy = "raise it, or put the rest on disk with disk=100GiB (very slow)"
        raise SettingError("max_memory", f"leaves {without} of {len(places)} blocks without room ({said}); {remedy}")
    own = dict.fromkeys(("model.embed_tokens", "model.norm", "lm_head"), _name(main))
    return own | {f"model.layers.{index}": _name(place) for index, place in enumerate(places) if place is not None}


def _room(max_memory: Mapping[int | str, int | str] | None) -> dict[int | str, int]:
    """Bytes of weights that each place may take, GPUs first."""
    from accelerate.utils import get_max_memory

    if max_memory is None:
        free = get_max_memory()
        return {place: size if place == "cpu" else int(_SHARE * size) for place, size in free.items()}
    for place in max_memory:
        if isinstance(place, int) and place >= torch.cuda.device_count():
            num = torch.cuda.device_count()
            raise SettingError("max_memory", f"names GPU {place}, and this machine has {num}; count from 0")
    return dict(get_max_memory(dict(max_memory)))


def _key(device: torch.device) -> int | str:
    """What accelerate calls a device."""
    return (device.index or 0) if device.type == "cuda" else device.type


def _name(place: int | str) -> str:
    return f"cuda:{place}" if isinstance(place, int) else place


def _block_classes(model: LumosForCausalLM) -> list[str]:
    return sorted({type(block).__name__ for block in model.model.layers})


def _bytes_of(part: nn.Module) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in part.parameters())
