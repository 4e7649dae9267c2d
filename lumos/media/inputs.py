"""What a caller may hand to a pipeline, brought to one form: device, dtype, lists, seeds, pixels."""

import operator
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from lumos.media.decoding.pictures import picture_pixels
from lumos.media.reading import media_errors, read_image
from xllmx.settings.setting import SettingError

Text, Picture = TypeVar("Text"), TypeVar("Picture")
ImageInput = Image.Image | np.ndarray | Tensor | str | Path
"""A picture: Pillow's, uint8 or [0, 1] pixels [H, W, 3], or a file."""

_DTYPES = {"float32": torch.float32, "fp32": torch.float32, "bfloat16": torch.bfloat16, "bf16": torch.bfloat16}


_ACCELERATORS = {"cuda": "CUDA GPU", "mps": "GPU of Apple's", "xpu": "GPU of Intel's"}
"""Devices beside the CPU, by their names for people; only CUDA is looked after."""


def choose_device(device: str | torch.device | None) -> torch.device:
    """The device asked for; None is a GPU where there is one, else the CPU. ValueError if it cannot be had."""
    here = torch.accelerator.current_accelerator(check_available=True)
    if device is None:
        return torch.device("cpu" if here is None or here.type not in _ACCELERATORS else here.type)
    rule = "it must be cpu, cuda, cuda:N, mps or xpu"
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise SettingError("device", f"is {device!r}; {rule}") from error
    if chosen.type == "cpu":
        return chosen
    if chosen.type not in _ACCELERATORS:
        raise SettingError("device", f"is {str(device)!r}; {rule}")
    if here is None or chosen.type != here.type:
        kind, build = (
            _ACCELERATORS[chosen.type],
            " or install a CUDA build" if chosen.type == "cuda" else " or leave it out",
        )
        raise SettingError("device", f"is {str(device)!r}, but PyTorch finds no {kind} here; use cpu,{build}")
    if (chosen.index or 0) >= (num_gpus := torch.accelerator.device_count()):
        raise SettingError("device", f"is {str(device)!r}, but there are {num_gpus} GPUs; count from {chosen.type}:0")
    return chosen


def pin(device: torch.device) -> torch.device:
    """Make a device the one that this process works on by default, so that nothing of it is made on another one."""
    if device.index is not None and device.type == "cuda":
        torch.cuda.set_device(device)
    return device


def choose_dtype(dtype: str | torch.dtype | None, device: torch.device) -> torch.dtype:
    """The dtype asked for, bf16 or fp32; None is bf16 on GPUs but Apple's, else fp32. ValueError for another."""
    if dtype is None:
        return torch.bfloat16 if device.type in ("cuda", "xpu") else torch.float32
    chosen = _DTYPES.get(dtype) if isinstance(dtype, str) else dtype
    if chosen not in (torch.float32, torch.bfloat16):
        raise SettingError("dtype", f"is {dtype!r}; it must be bfloat16 or float32")
    return chosen


def together(
    prompt: Text | Sequence[Text],
    image: Picture | Sequence[Picture | None] | None,
    negative: str | Sequence[str | None] | None,
) -> tuple[list[Text], list[Picture | None], list[str | None]]:
    """Prompts, images and negative prompts of equal number; a single one is repeated. ValueError if they differ."""
    lists: dict[str, list[Any]] = {
        name: list(value) if isinstance(value, list | tuple) else [value]
        for name, value in (("prompt", prompt), ("image", image), ("negative_prompt", negative))
    }
    number = max(len(values) for values in lists.values())
    for name, values in lists.items():
        if len(values) not in (1, number):
            raise ValueError(f"{name} has {len(values)} entries where there are {number} clips; give one, or {number}")
    prompts, images, negatives = (values * number if len(values) == 1 else values for values in lists.values())
    for text in negatives:
        if text is not None and not isinstance(text, str):
            raise ValueError(f"the negative prompt {text!r} is no text; give a string, or a list of strings")
    return prompts, images, negatives


def choose_seeds(
    number: int,
    *,
    seed: int | Sequence[int] | None = None,
    generator: torch.Generator | Sequence[torch.Generator] | None = None,
) -> list[int]:
    """One seed for each clip: counted up from `seed`, or drawn by `generator`, or counted up from a random number.

    Raises ValueError for both at once, for other numbers of entries, for a seed that is no whole number in range.
    """
    if seed is not None and generator is not None:
        raise ValueError("both seed and generator are given; give one of them")
    if generator is not None:
        generators = [generator] * number if isinstance(generator, torch.Generator) else list(generator)
        _require_number("generator", len(generators), number)
        return [int(torch.randint(2**31, (), generator=one, device=one.device)) for one in generators]
    if isinstance(seed, Sequence):
        _require_number("seed", len(seed), number)
        return [_seed(one) for one in seed]
    first = secrets.randbelow(2**31) if seed is None else _seed(seed)
    return [first + index for index in range(number)]


def _seed(seed: Any) -> int:
    try:
        number = operator.index(seed)
    except TypeError:
        number = -1
    if not 0 <= number < 2**63:
        raise SettingError("seed", f"is {seed!r}; it must be a whole number from 0 to 2^63 - 1")
    return number


def _require_number(name: str, number: int, wanted: int) -> None:
    if number != wanted:
        raise ValueError(f"{name} has {number} entries where there are {wanted} clips; give one for each")


def pixels_of(image: ImageInput) -> UInt8[np.ndarray, "H W 3"]:
    """A picture as uint8 [H, W, 3]; a file and a picture object of it give the same. ValueError if it is none."""
    if isinstance(image, str | Path):
        return read_image(image)
    if isinstance(image, Image.Image):
        with media_errors("the image"):
            return picture_pixels(image)
    array = tensor_pixels(image) if isinstance(image, Tensor) else image
    if not isinstance(array, np.ndarray) or array.ndim != 3 or array.shape[2] != 3 or 0 in array.shape:
        shape = getattr(array, "shape", type(array).__name__)
        raise ValueError(f"the image is {shape}; give a PIL image, a file, or an array of shape [H, W, 3]")
    if array.dtype == np.uint8:
        return array
    if not np.issubdtype(array.dtype, np.floating) or not (array.min() >= 0 and array.max() <= 1):  # nor NaN
        raise ValueError(f"the image is an array of {array.dtype} outside 0..1; give uint8, or floats in [0, 1]")
    return (array * 255).round().astype(np.uint8)


def tensor_pixels(image: Tensor) -> np.ndarray:
    """The numbers of a tensor: bytes as bytes, fractions as fp32. ValueError for one of another kind."""
    kind = str(image.dtype).removeprefix("torch.")
    if image.is_meta or image.layout != torch.strided or not (image.dtype == torch.uint8 or image.is_floating_point()):
        raise ValueError(
            f"the image is a tensor of {kind} ({image.layout}, {image.device}); give uint8, or floats in [0, 1]"
        )
    image = image.detach().cpu()
    return (image if image.dtype == torch.uint8 else image.float()).numpy()
