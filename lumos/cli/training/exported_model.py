"""A training run -> a model folder that `lumos generate --model` takes: weights, tokenizers, defaults of generation."""

import shlex
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from lumos.cli.training.generation_defaults import write_trained_clips
from lumos.cli.training.lumina_export import write_model, write_released
from lumos.cli.training.run_config import AnyRun, RunConfig, load_run
from lumos.cli.training.run_places import check_places
from lumos.cli.training.training_run import build_task
from lumos.hub.models import (
    LUMOS1,
    MODEL_MARKS,
    SHARED_NAMES,
    SHARED_TEXT_TOKENIZER,
    SHARED_VISUAL_TOKENIZER,
    TEXT_TOKENIZER,
    VISUAL_PAIR,
    ckpts_root,
    find_folder,
    kind_of_type,
    resolve,
)
from lumos.lumina_video.training.task import LuminaVideoTask
from lumos.lumos1.model.model_folder import write_model_folder
from lumos.lumos1.training.task import LumosTask
from lumos.media.inputs import choose_dtype
from xllmx.checkpoints.checkpoint import CheckpointManager
from xllmx.checkpoints.folder import changed
from xllmx.checkpoints.stored import checkpoints_of, here_of
from xllmx.lora import merge_lora, save_lora
from xllmx.run.reporting.report import CONFIG_FILE
from xllmx.safe.json_text import read_object
from xllmx.store.address import Address, Location, is_address, location_of
from xllmx.store.local_copy import kept_copy
from xllmx.store.sent_folder import check_absent, check_new, new_folder
from xllmx.trainer_config import TrainerConfig


def export_run(
    run: Location | str,
    folder: Location | str,
    *,
    tokenizers: str | Path | None = None,
    dtype: str = "float32",
    ckpts: str | Path | None = None,
    overwrite: bool = False,
    layout: Literal["model", "adapter", "released"] = "model",
    trusted: bool = False,
) -> Location:
    """The folder, filled with the newest checkpoint of a run (its averaged weights where it kept any).

    Args:
        run: the run's folder, with `config.yaml` and `checkpoints/`, or its address (`trainer.checkpoints`).
        folder: where the model goes, a path or an address; appears whole or not at all.
        tokenizers: a model whose tokenizers and `generation_config.json` are copied; None is the one the run started
            from.
        dtype: of the weights on disk, `float32` or `bfloat16`.
        ckpts: where named models lie.
        overwrite: whether a folder that is there is replaced.
        layout: `adapter` writes the adapters of a LoRA run alone, as peft does; otherwise they are merged into the
            weights. `released` writes a Lumina-Video as it was published, without encoders.
        trusted: whether its `config.yaml` is followed to models and checkpoints wherever they lie (`run_places`).

    Raises:
        ValueError: no run, or its config leads elsewhere, no checkpoint, no tokenizers, or a folder that is there.
        StoreError: a store that cannot be asked or does not take it.
    """
    run, folder = location_of(run), location_of(folder)
    check_absent(folder, overwrite=overwrite, remedy="use --overwrite")
    _check_replaceable(folder, run)
    if not (run / CONFIG_FILE).is_file():
        raise ValueError(f"{run} is no training run: it has no config.yaml; give the trainer.run_dir of one")
    config = load_run(kept_copy(run / CONFIG_FILE))
    if tokenizers is not None:
        config = _with_encoders_of(config, tokenizers, ckpts)
    if not trusted:
        check_places(config, run, ckpts=ckpts, named=tokenizers)
    source = tokenizers or config.task.init_from
    if config.trainer.store is not None:
        _check_replaceable(folder, config.trainer.store)
    inputs = {"the run's checkpoints": run / "checkpoints", "the model it started from": _place_of(source, ckpts)}
    check_new(folder, inputs=inputs, marks=MODEL_MARKS)
    write = _writer(config, tokenizers=tokenizers, ckpts=ckpts, released=layout == "released")
    task = build_task(config)
    if layout == "adapter" and task.lora is None:
        raise ValueError(f"{run} trained no adapters (lora.rank=0); leave --adapter out")
    with new_folder(folder, marks=MODEL_MARKS) as temporary:
        newest = _newest(run, config.trainer)
        model = _model_of(newest, task, config.trainer)
        if layout == "adapter":
            save_lora(model, temporary)
        else:
            write(merge_lora(model).to(choose_dtype(dtype, torch.device("cpu"))), temporary)
            if layout == "model":
                write_trained_clips(temporary, newest)
    return folder


def tokenizers_missing(run: Location | str, folder: Location | str, *, ckpts: str | Path | None = None) -> str | None:
    """Return what is to be said of an exported model that cannot generate for want of tokenizers; None where it can.

    Those that all released models share count where they lie in `ckpts`.
    """
    run, folder = location_of(run), location_of(folder)
    if not (folder / "config.json").is_file():  # adapters, or the released layout
        return None
    if kind_of_type(read_object(folder / "config.json").get("model_type"), where=str(folder)) != LUMOS1:
        return None
    shared = ckpts_root(ckpts)
    has_text = any(place.is_file() for place in (folder / TEXT_TOKENIZER, shared / SHARED_TEXT_TOKENIZER))
    pairs = (folder / "visual_tokenizer", shared / SHARED_VISUAL_TOKENIZER)
    if has_text and any((place / VISUAL_PAIR[1]).is_file() for place in pairs):
        return None
    words = shlex.join(["lumos", "export", str(run), str(folder), "--tokenizers", "MODEL", "--overwrite"])
    return (
        f"{folder} has no tokenizers and cannot generate yet; give it those that made the codes of its clips: {words} "
        f"(MODEL is a model that has them, or tiny-visual; the released ones: lumos download {SHARED_NAMES[0]})"
    )


def _with_encoders_of(config: AnyRun, tokenizers: str | Path, ckpts: str | Path | None) -> AnyRun:
    """Return the settings of a run with the encoders of a model that is given, which are those that go along."""
    if isinstance(config, RunConfig):
        return config
    folder = _model_folder(tokenizers, ckpts)
    encoder, vae = (str(folder / name) if (folder / name).is_dir() else None for name in ("text_encoder", "vae"))
    task = replace(config.task, text_encoder=encoder or config.task.text_encoder, vae=vae or config.task.vae)
    return replace(config, task=task)


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


def _check_replaceable(folder: Location, run: Location) -> None:
    """Raises ValueError where writing the folder would remove the run, or something that is no exported model."""
    if isinstance(run, Address) and run.is_relative_to(folder):
        raise ValueError(f"{folder} holds the run {run} or its checkpoints; choose another folder")
    if isinstance(folder, Address) or isinstance(run, Address):
        return
    place, source = folder.resolve(), run.resolve()
    if source.is_relative_to(place) or place.is_relative_to(source / "checkpoints"):
        raise ValueError(f"{folder} holds the run {run} or its checkpoints; choose another folder")
    is_model = any((folder / name).is_file() for name in MODEL_MARKS)
    is_empty = folder.is_dir() and not any(folder.iterdir())
    if folder.exists() and not is_model and not is_empty:
        raise ValueError(f"{folder} is no model folder, and --overwrite would remove it; choose another folder")


def _newest(run: Location, trainer: TrainerConfig) -> Path:
    """The newest complete checkpoint, as a folder of this disk; ValueError for none, or one that has changed."""
    found = checkpoints_of(run, trainer.store)
    if not found:
        where = f"{run} or {trainer.store}" if trainer.store not in (None, run) else f"{run}"
        raise ValueError(f"{where} holds no complete checkpoint; train at least trainer.save_every steps")
    newest = here_of(found[-1])
    if trainer.check_hashes and (name := changed(newest)):
        others = [place.name for place in found[:-1]]
        instead = (
            f"bring it back, or remove it to export {others[-1]}" if others else "bring it back; there is no other"
        )
        raise ValueError(
            f"checkpoint {found[-1]} is damaged: {name} is not what was written; {instead} "
            "(trainer.check_hashes in the run's config.yaml spares this look)"
        )
    return newest


def _model_of(newest: Path, task: LumosTask | LuminaVideoTask, trainer: TrainerConfig) -> nn.Module:
    """The model of a checkpoint, averaged where the run averages, in fp32 on the CPU.

    A run that took up averaging after that checkpoint has no average there.
    """
    model, checkpoints = task.build_model(), CheckpointManager(newest.parent)
    part = "average" if trainer.ema_decay and checkpoints.holds(newest, "average") else "model"
    state = {part: {n: torch.empty(t.shape, dtype=torch.float32) for n, t in model.state_dict().items()}}
    loaded = checkpoints.load(newest, state)
    model.load_state_dict(loaded[part], strict=True, assign=True)
    return model.eval()


def _place_of(source: str | Path | None, ckpts: str | Path | None) -> Location | None:
    """Return where a model lies that is given by its name or so; None where there is none, or it is not here."""
    if source is None or is_address(source):
        return None if source is None else location_of(source)
    return find_folder(source, ckpts_root(ckpts))


def _model_folder(source: str | Path, ckpts: str | Path | None) -> Path:
    """Return the folder of a model that is given by its name, or so; ValueError where it is not here."""
    if place := find_folder(source, ckpts_root(ckpts)):
        return place
    raise ValueError(f"--tokenizers {source} is no model folder; give one with text_encoder/ and vae/ in it")
