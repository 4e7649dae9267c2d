"""Low-rank adapters (LoRA, through peft) of any model: W x + (alpha / rank) B A x, of which only A and B are trained.

The weights that adapters are added to have their plain names only `without_adapters`, where they are filled and saved.
A folder of adapters is peft's own (`adapter_config.json`, `adapter_model.safetensors`), so that other tools read ours
and we read theirs.
"""

import importlib.util
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from xllmx.finite import check_weights
from xllmx.lora_config import AdapterConfig as AdapterConfig
from xllmx.ranks.sharding import fill_rows
from xllmx.safe.adapter_config import read_adapter_config
from xllmx.safe.safetensors_file import check_safetensors

CONFIG_FILE, WEIGHTS_FILE = "adapter_config.json", "adapter_model.safetensors"

Model = TypeVar("Model", bound=nn.Module)

_ADAPTER = "default"
_PREFIX = "base_model.model."  # of the names in peft's files


def add_lora(model: Model, config: AdapterConfig) -> Model:
    """Return the model with adapters (on meta) in place, everything else frozen.

    Raises:
        ValueError: peft is not installed, or the rank is larger than that of any layer it is added to.
    """
    _require_peft()
    from peft import LoraConfig

    layers = (layer for name, layer in model.named_modules() if name.rpartition(".")[2] in config.targets)
    widest = max((min(layer.weight.shape) for layer in layers if isinstance(layer, nn.Linear)), default=config.rank)
    if config.rank > widest:
        raise ValueError(
            f"lora.rank is {config.rank}, more than the {widest} inputs or outputs of the widest layer that gets an "
            f"adapter; set lora.rank to at most {widest}, a fraction of it to save memory"
        )
    _inject(
        model,
        LoraConfig(
            r=config.rank,
            lora_alpha=config.alpha,  # type: ignore[arg-type]  # peft's own annotation says int
            lora_dropout=config.dropout,
            target_modules=list(config.targets),
        ),
    )
    return model


def init_lora(model: nn.Module, *, generator: torch.Generator) -> None:
    """Draw A uniform in +-1/sqrt(its inputs) and set B to zero, so that the model begins as it is without adapters."""
    with torch.no_grad():
        for name, parameter in sorted(adapters_of(model).items()):
            bound = 1 / math.sqrt(parameter.shape[1]) if ".lora_A." in name else 0.0
            values = torch.empty(parameter.shape).uniform_(-bound, bound, generator=generator)
            fill_rows(parameter, values.__getitem__)


def adapters_of(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return the adapters' parameters by name; none where there are no adapters."""
    return {name: parameter for name, parameter in model.named_parameters() if ".lora_" in name}


@contextmanager
def without_adapters(model: Model) -> Iterator[Model]:
    """A context in which the model has its plain layers and their released names, the same parameters."""
    layers = _layers(model)
    for parent, name, layer in layers:
        setattr(parent, name, layer.base_layer)
    try:
        yield model
    finally:
        for parent, name, layer in layers:
            setattr(parent, name, layer)


def merge_lora(model: Model) -> Model:
    """Return the model with W + (alpha / rank) B A for each W, in place, and no adapters any more."""
    for parent, name, layer in _layers(model):
        layer.merge()
        setattr(parent, name, layer.base_layer)
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    model.__dict__.pop("peft_config", None)
    return model


def save_lora(model: nn.Module, folder: Path) -> None:
    """Write the adapters into the folder as peft does."""
    config: Any = model.peft_config[_ADAPTER]  # type: ignore[index,union-attr]  # set by peft
    config.save_pretrained(str(folder))
    names = {f"{_PREFIX}{name.replace(f'.{_ADAPTER}.', '.')}": value for name, value in adapters_of(model).items()}
    save_file({name: value.detach().contiguous().cpu() for name, value in names.items()}, folder / WEIGHTS_FILE)


def load_lora(model: Model, folder: Path | str) -> Model:
    """Return the model with the adapters of a folder merged into its weights: as fast as without them.

    Raises:
        ValueError: peft is not installed, the folder holds no adapters, or they are another model's; it is as it was.
    """
    folder = Path(folder)
    if missing := [name for name in (CONFIG_FILE, WEIGHTS_FILE) if not (folder / name).is_file()]:
        raise ValueError(
            f"{folder} holds no adapters: it lacks {', '.join(missing)}; export those of a run with --adapter"
        )
    _require_peft()
    from peft import LoraConfig

    fields = read_adapter_config(folder / CONFIG_FILE)
    check_safetensors(folder / WEIGHTS_FILE)
    stored = _read(folder / WEIGHTS_FILE)
    try:
        _inject(model, LoraConfig(**fields))
    except (ValueError, TypeError, RuntimeError) as error:  # layers that the model does not have
        _remove(model)
        reason = " ".join(str(error).split())[:300]
        raise ValueError(f"{folder / CONFIG_FILE} does not fit the model ({reason}); see --model") from error
    wanted = adapters_of(model)
    differ = sorted(wanted.keys() ^ stored.keys()) + [
        f"{name}: {tuple(stored[name].shape)} in the file, {tuple(value.shape)} in the model"
        for name, value in wanted.items()
        if name in stored and stored[name].shape != value.shape
    ]
    if differ:
        _remove(model)
        raise ValueError(f"{folder} does not fit the model ({len(differ)} differences, first {differ[0]}); see --model")
    like = next(model.parameters())
    model.load_state_dict({name: value.to(like) for name, value in stored.items()}, strict=False, assign=True)
    merged = merge_lora(model).eval()
    check_weights(dict(merged.named_parameters()), folder, remedy="export the adapters again, or compute in fp32")
    return merged


def _remove(model: nn.Module) -> None:
    """Leave the model as it was before adapters were put into it."""
    for parent, name, layer in _layers(model):
        setattr(parent, name, layer.base_layer)
    model.__dict__.pop("peft_config", None)


def _read(path: Path) -> dict[str, Tensor]:
    """Return the tensors of an adapter file under the names they have in the model."""
    try:
        tensors = load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path} cannot be read ({error}); export the adapters again") from error
    check_weights(tensors, path, remedy="export the adapters again")
    names = {name: name.removeprefix(_PREFIX).removesuffix(".weight") + f".{_ADAPTER}.weight" for name in tensors}
    return {names[name]: tensor for name, tensor in tensors.items()}


def _inject(model: nn.Module, config: Any) -> None:
    from peft import inject_adapter_in_model

    inject_adapter_in_model(config, model, adapter_name=_ADAPTER, low_cpu_mem_usage=True)
    model.peft_config = {_ADAPTER: config}  # type: ignore[assignment]  # where peft itself keeps it


def _layers(model: nn.Module) -> list[tuple[nn.Module, str, Any]]:
    """Return (parent, name, layer) of every layer with an adapter."""
    return [
        (parent, name, child)
        for parent in model.modules()
        for name, child in parent.named_children()
        if hasattr(child, "base_layer") and hasattr(child, "lora_A")
    ]


def _require_peft() -> None:
    if importlib.util.find_spec("peft") is None:
        raise ValueError("LoRA needs peft, which is not installed; pip install -e '.[lora]', or set lora.rank=0")
