"""What a loaded pipeline can be told in diffusers' words: where it is to be, what is merged in, where it is saved."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import torch

from lumos.conventions.words import (
    OF_A_PIPELINE,
    OF_ADAPTERS,
    OF_LOADING,
    OF_SAVING,
    UnknownWordError,
    refuse_words,
)
from lumos.hub.models import MODEL_MARKS, local_folder
from lumos.media.inputs import choose_device, choose_dtype
from xllmx.settings.argument_types import checked_types
from xllmx.settings.setting import SettingError
from xllmx.store.address import location_of
from xllmx.store.said import naming_addresses
from xllmx.store.sent_folder import check_absent, check_new, new_folder

Itself = TypeVar("Itself", bound="PipelineWords")


class PipelineWords(ABC):
    """The words that both pipelines share; each does what they say with its own parts."""

    files: Any
    _interrupt = False
    """Set to True while it works, as a `callback_on_step_end` can, this is the last step."""
    _num_timesteps = 0

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """Where it works."""

    @property
    @abstractmethod
    def dtype(self) -> torch.dtype:
        """What it computes in."""

    @property
    def interrupt(self) -> bool:
        """Whether the call is to end after this step."""
        return self._interrupt

    @property
    def num_timesteps(self) -> int:
        """Steps of the call that is being made, or of the last one: how far `step` of `callback_on_step_end` counts."""
        return self._num_timesteps

    @checked_types
    def to(
        self: Itself,
        *where: Any,
        device: str | torch.device | None = None,
        dtype: str | torch.dtype | None = None,
    ) -> Itself:
        """Return the pipeline itself, moved to a device, computing in a dtype, or both; nothing is done if it is so.

        Args:
            *where: a device, a dtype, or one of each.
            device: in their place; cpu, cuda, cuda:1, ...
            dtype: in their place; bfloat16 or float32.

        Raises:
            ValueError: it cannot be had, or the weights cannot be moved (8 bits, offload, device_map).
        """
        for one in where:
            if isinstance(one, torch.dtype) and dtype is None:
                dtype = one
            elif isinstance(one, str | torch.device) and device is None:
                device = one
            else:
                raise ValueError(f"to() is given {one!r}; give one device and one dtype: to('cuda', torch.bfloat16)")
        new_device = self.device if device is None else with_index(choose_device(device))
        new_dtype = self.dtype if dtype is None else choose_dtype(dtype, new_device)
        if (new_device, new_dtype) != (with_index(self.device), self.dtype):
            self._move(new_device, new_dtype)
        return self

    @checked_types
    def enable_model_cpu_offload(self, gpu_id: int | None = None, device: str | torch.device | None = None) -> None:
        """Keep every part in the host's memory, and bring it to the GPU only while it works, one after the other.

        Args:
            gpu_id: the number of the GPU; None: the first.
            device: in its place, for example `cuda:1`.

        Raises:
            ValueError: there is no GPU, both are given, or the weights are placed otherwise already.
        """
        if gpu_id is not None and device is not None:
            raise ValueError("gpu_id and device are both given; give one of them")
        here = torch.accelerator.current_accelerator(check_available=True)
        if device is None and here is None:
            raise ValueError("enable_model_cpu_offload needs a GPU, and PyTorch finds none here; leave it out")
        wanted = device if device is not None else f"{here.type if here else 'cpu'}:{gpu_id or 0}"
        self._offload(with_index(choose_device(wanted)))

    @naming_addresses()
    @checked_types
    def load_lora_weights(self, folder: str | Path, **words: Any) -> None:
        """Merge adapters into the weights, as `lora=` of `from_pretrained` does: as fast as without them.

        Args:
            folder: peft's: `adapter_config.json` and `adapter_model.safetensors` (`lumos export --adapter`).
            **words: diffusers' others are refused.

        Raises:
            ValueError: no adapters, those of another model, or adapters are merged already.
        """
        refuse_words(words, OF_ADAPTERS, known=("folder",))
        if (merged := getattr(self.files, "lora", None)) is not None:
            raise ValueError(f"the adapters of {merged} are merged in already; load the pipeline again for others")
        self._merge_lora(local_folder(folder))

    @checked_types
    def save_pretrained(self, folder: str | Path, *, overwrite: bool = False, **words: Any) -> None:
        """Write the whole model into a folder, which `from_pretrained` and `lumos generate --model` take.

        Weights are those in memory, in their dtype, with adapters merged; shared encoders and tokenizers are copied
        too, so that the folder can go anywhere. It appears whole or not at all.

        Args:
            folder: where the model goes.
            overwrite: whether a model that is there is replaced.
            **words: diffusers' others are refused.

        Raises:
            ValueError: something is there, the weights are in 8 bits or not in memory, or the disk is full.
        """
        refuse_words(words, OF_SAVING, known=("folder", "overwrite"))
        place = location_of(folder)
        if self.files is None:
            raise ValueError("a pipeline made of parts knows no files of tokenizers; load it by from_pretrained")
        check_absent(place, overwrite=overwrite, remedy="give overwrite=True")
        check_new(place, inputs={"the model itself": self.files.model}, marks=MODEL_MARKS)
        self._check_whole("save_pretrained")
        with new_folder(place, marks=MODEL_MARKS) as temporary:
            self._write(temporary)

    if not TYPE_CHECKING:  # a type checker is to find names that are mistyped by itself

        def __getattr__(self, name: str) -> NoReturn:
            """Say what to type in place of a word of diffusers that there is no use for here."""
            whose = type(self).__name__
            remedy = f"; {OF_A_PIPELINE[name]}" if name in OF_A_PIPELINE else ""
            raise UnknownWordError(f"{whose!r} object has no attribute {name!r}{remedy}", name=name, obj=self)

    @abstractmethod
    def _move(self, device: torch.device, dtype: torch.dtype) -> None:
        """Move all parts, or raise ValueError."""

    @abstractmethod
    def _offload(self, device: torch.device) -> None:
        """From now on work on a device, with all parts in the host's memory until their turn."""

    @abstractmethod
    def _merge_lora(self, folder: Path) -> None:
        """Merge adapters, and keep in mind which."""

    @abstractmethod
    def _check_whole(self, what: str) -> None:
        """Raise ValueError where the weights are not in memory as they were stored."""

    @abstractmethod
    def _write(self, folder: Path) -> None:
        """Write the model into an empty folder."""


def loading_dtype(
    dtype: str | torch.dtype | None, words: Mapping[str, Any], *, known: tuple[str, ...]
) -> str | torch.dtype | None:
    """Return the dtype of `from_pretrained`, which may be called `torch_dtype`; its other words are refused.

    Raises:
        ValueError: both are given and differ, or a word is none of `known` (what it takes).
    """
    words = dict(words)
    named = words.pop("torch_dtype", None)
    refuse_words(words, OF_LOADING, known=(*known, "torch_dtype"))
    if named is None:
        return dtype
    if dtype is not None and str(dtype) != str(named):
        raise SettingError("torch_dtype", f"is {named}, and dtype is {dtype}; they say the same: give one")
    if not isinstance(named, str | torch.dtype):
        raise SettingError("torch_dtype", f"is {named!r}; it must be torch.bfloat16 or torch.float32")
    return named


def with_index(device: torch.device) -> torch.device:
    """Return a device by its number: `cuda` is `cuda:0`, or the one that this process works on."""
    if device.type == "cpu" or device.index is not None:
        return device
    return torch.device(device.type, torch.accelerator.current_device_index())
