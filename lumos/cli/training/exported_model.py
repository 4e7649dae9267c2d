"""A training run -> a model folder that `lumos generate --model` takes: weights, tokenizers, defaults of generation."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from lumos.cli.training.lumina_export import write_model, write_released
from lumos.cli.training.training_run import AnyRun, RunConfig, build_task, load_run
from lumos.hub.models import MODEL_MARKS, ckpts_root, find_folder, resolve
from lumos.lumina_video.training.task import LuminaVideoTask
from lumos.lumos1.model.model_folder import write_model_folder
from lumos.lumos1.training.task import LumosTask
from lumos.media.inputs import choose_dtype
from xllmx.checkpoints.checkpoint import CheckpointManager
from xllmx.checkpoints.folder import changed
from xllmx.disk.files import atomic_folder
from xllmx.disk.place import check_new_folder
from xllmx.disk.temporary import remove_stale
from xllmx.lora import merge_lora, save_lora


def export_run(
    run: Path,
    folder: Path,
    *,
    tokenizers: str | Path | None = None,
    dtype: str = "float32",
    ckpts: str | Path | None = None,
    overwrite: bool = False,
    layout: Literal["model", "adapter", "released"] = "model",
) -> Path:
    """The folder, filled with the newest checkpoint of a run (its averaged weights where it kept any).

    Args:
        run: the run's folder, with `config.yaml` and `checkpoints/`.
        folder: where the model goes; appears whole or not at all.
        tokenizers: a model whose tokenizers and `generation_config.json` are copied; None is the one the run started
            from.
        dtype: of the weights on disk, `float32` or `bfloat16`.
        ckpts: where named models lie.
        overwrite: whether a folder that is there is replaced.
        layout: `adapter` writes the adapters of a LoRA run alone, as peft does; otherwise they are merged into the
            weights. `released` writes a Lumina-Video as it was published, without encoders.

    Raises:
        ValueError: no run, no checkpoint, no tokenizers, or a folder that is there already.
    """
    remove_stale(folder.parent)
    if folder.exists() and not overwrite:
        raise ValueError(f"{folder} is there already; choose another folder, or use --overwrite")
    _check_replaceable(folder, run)
    if not (run / "config.yaml").is_file():
        raise ValueError(f"{run} is no training run: it has no config.yaml; give the trainer.run_dir of one")
    config = load_run(run / "config.yaml")
    source = tokenizers or config.task.init_from
    inputs = {"the run's checkpoints": run / "checkpoints", "the model it started from": _folder_of(source, ckpts)}
    check_new_folder(folder, inputs=inputs, marks=MODEL_MARKS)
    write = _writer(config, tokenizers=tokenizers, ckpts=ckpts, released=layout == "released")
    task = build_task(config)
    if layout == "adapter" and task.lora is None:
        raise ValueError(f"{run} trained no adapters (lora.rank=0); leave --adapter out")
    part = "average" if config.trainer.ema_decay else "model"
    model = _newest(task, run, part=part, check_hashes=config.trainer.check_hashes)
    with atomic_folder(folder) as temporary:
        if layout == "adapter":
            save_lora(model, temporary)
        else:
            write(merge_lora(model).to(choose_dtype(dtype, torch.device("cpu"))), temporary)
    return folder


def _writer(
    config: AnyRun, *, tokenizers: str | Path | None, ckpts: str | Path | None, released: bool
) -> Callable[[Any, Path], None]:
    """Return what writes the model of a run into a folder, with the parts that go along found."""
    if isinstance(config, RunConfig):
        if released:
            raise ValueError("--released is a layout of Lumina-Video; leave it out")
        source = tokenizers or config.task.init_from
        parts = resolve(source, ckpts, weights=False) if source else None
        if parts is not None and tokenizers is None:  # it knows what it was fine-tuned on, and no file says what
            known = {name: value for name, value in parts.defaults.items() if name != "world"}
            parts = replace(parts, defaults=known)
        return partial(write_model_folder, parts=parts)
    if released:
        return write_released
    folder = None if tokenizers is None else _model_folder(tokenizers, ckpts)
    return partial(write_model, config=config, parts=folder)


def _check_replaceable(folder: Path, run: Path) -> None:
    """Raises ValueError where writing the folder would remove the run, or something that is no exported model."""
    place, source = folder.resolve(), run.resolve()
    if source.is_relative_to(place) or place.is_relative_to(source / "checkpoints"):
        raise ValueError(f"{folder} holds the run {run} or its checkpoints; choose another folder")
    is_model = any((folder / name).is_file() for name in MODEL_MARKS)
    is_empty = folder.is_dir() and not any(folder.iterdir())
    if folder.exists() and not is_model and not is_empty:
        raise ValueError(f"{folder} is no model folder, and --overwrite would remove it; choose another folder")


def _newest(task: LumosTask | LuminaVideoTask, run: Path, *, part: str, check_hashes: bool) -> nn.Module:
    """The model of the newest complete checkpoint, or the average kept there, in fp32 on the CPU."""
    manager = CheckpointManager(run / "checkpoints")
    newest = manager.latest()
    if newest is None:
        raise ValueError(f"{manager.folder} holds no complete checkpoint; train at least trainer.save_every steps")
    if check_hashes and (name := changed(newest)):
        others = [path.name for path in manager.valid() if path != newest]
        instead = (
            f"bring it back, or remove it to export {others[-1]}" if others else "bring it back; there is no other"
        )
        raise ValueError(
            f"checkpoint {newest} is damaged: {name} is not what was written; {instead} "
            "(trainer.check_hashes in the run's config.yaml spares this look)"
        )
    model = task.build_model()
    state = {part: {n: torch.empty(t.shape, dtype=torch.float32) for n, t in model.state_dict().items()}}
    model.load_state_dict(manager.load(newest, state)[part], strict=True, assign=True)
    return model.eval()


def _folder_of(source: str | Path | None, ckpts: str | Path | None) -> Path | None:
    """Return the folder of a model that is given by its name or so; None where there is none, or it is not here."""
    return None if source is None else find_folder(source, ckpts_root(ckpts))


def _model_folder(source: str | Path, ckpts: str | Path | None) -> Path:
    """Return the folder of a model that is given by its name, or so; ValueError where it is not here."""
    if place := _folder_of(source, ckpts):
        return place
    raise ValueError(f"--tokenizers {source} is no model folder; give one with text_encoder/ and vae/ in it")
