"""Large models on small cards, for sampling only: blocks in 8 bits, in the host's memory, or over several devices.

The blocks hold 2.8 of the 3.6 billion parameters of the 3B class; embedding, head and norms stay as they are.
"""

import importlib.util
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from lumos.lumos1.model.device_map import AUTO, spread
from lumos.lumos1.model.modeling import LumosForCausalLM
from xllmx.settings.setting import SettingError

WEIGHTS = ("int8", "fp8")
"""`int8`: a scale for each row, products in the model's dtype, half of bf16's memory. `fp8`: products in fp8 too."""

_FP8_CAPABILITY = (8, 9)  # Ada and later


def place(
    model: LumosForCausalLM,
    device: torch.device,
    *,
    weights: str | None = None,
    offload: bool = False,
    device_map: str | None = None,
    max_memory: Mapping[int | str, int | str] | None = None,
) -> LumosForCausalLM:
    """Return the model ready to sample on `device`, changed in place.

    Args:
        model: in evaluation mode, on the CPU.
        device: where it computes.
        weights: one of `WEIGHTS` for the linear layers of the blocks; None leaves them.
        offload: keep the blocks in the host's memory and bring each one to the device for its turn: every refinement
            then reads all weights over the bus, so that large batches pay.
        device_map: `auto` spreads the blocks over all GPUs and the host's memory (`lumos.lumos1.model.device_map`).
        max_memory: of that: place -> most bytes of weights there.

    Raises:
        ValueError: another name, torchao is missing, the device has no fp8, two of the ways are asked for, or there is
            no room.
    """
    check_placement(device, weights=weights, offload=offload, device_map=device_map, max_memory=max_memory)
    if device_map is not None:
        return spread(model, device, max_memory=max_memory)
    if weights is not None:
        # int8 is made before the model moves, so that the card never holds the larger weights; fp8 needs its kernels.
        model = model.to(device) if weights == "fp8" else model  # type: ignore[arg-type]
        _quantize(model.model.layers, weights)
    if offload:
        _offload(model.model.layers, device)
        for part in (model.model.embed_tokens, model.model.norm, model.lm_head):
            part.to(device)
        return model
    return model.to(device)  # type: ignore[arg-type]  # transformers' wrapper hides nn.Module.to


def check_placement(
    device: torch.device,
    *,
    weights: str | None,
    offload: bool,
    device_map: str | None = None,
    max_memory: Mapping[int | str, int | str] | None = None,
) -> None:
    """Check what `place` is asked for, before any weights are read; raises its ValueError."""
    check_together(weights=weights, offload=offload, device_map=device_map, max_memory=max_memory)
    if weights is None:
        return
    if weights not in WEIGHTS:
        raise ValueError(f"weights is {weights!r}; choose one of {', '.join(WEIGHTS)}")
    if importlib.util.find_spec("torchao") is None:
        raise ValueError("weights in 8 bits need torchao, which is not installed; pip install -e '.[quant]'")
    if weights == "fp8" and (device.type != "cuda" or torch.cuda.get_device_capability(device) < _FP8_CAPABILITY):
        raise ValueError(f"weights is fp8, for which {device} has no products (Ada and later have); use int8")


def check_together(
    *,
    weights: str | None = None,
    offload: bool = False,
    device_map: str | None = None,
    max_memory: Mapping[int | str, int | str] | None = None,
) -> None:
    """Check that what `place` is asked for goes together, on whatever machine; raises its ValueError."""
    if device_map not in (None, AUTO):
        raise SettingError("device_map", f"is {device_map!r}; give {AUTO}, or leave it out")
    if device_map is None and max_memory is not None:
        raise SettingError("max_memory", f"says where weights may go; it takes device_map {AUTO} beside it")
    if device_map is not None and (offload or weights is not None):
        other = "offload" if offload else "weights in 8 bits"
        raise ValueError(f"device_map and {other} are both asked for; choose one of them")
    if weights is not None and offload:
        raise ValueError("weights in 8 bits and offload are both asked for; choose one of them")


def _quantize(blocks: nn.Module, weights: str) -> None:
    from torchao.quantization import (
        Float8DynamicActivationFloat8WeightConfig,
        Int8WeightOnlyConfig,
        PerRow,
        quantize_,
    )

    quantize_(
        blocks,
        Int8WeightOnlyConfig()
        if weights == "int8"
        else Float8DynamicActivationFloat8WeightConfig(granularity=PerRow()),
    )


def _offload(blocks: nn.ModuleList, device: torch.device) -> None:
    from accelerate.hooks import attach_align_device_hook

    for block in blocks:
        attach_align_device_hook(
            block, execution_device=device, offload=True, preload_module_classes=[type(block).__name__]
        )


def put(part: Any, device: torch.device) -> None:
    """Move a model or a visual tokenizer; its tensors stay ordinary, which `torch.inference_mode` would not have."""
    with torch.inference_mode(False):
        part.to(device)
