"""The flags of the released training script (`finetune_solver_vid.py`), each as the setting it is here.

`python -m lumos.train` and `lumos train` take them beside, or in place of, --config and `key=value` words:

    python -m lumos.train --init_from ckpts/1B/stage-1-image --model_size 1B_MMRoPE --lr 5e-5 --checkpointing ...

`RELEASED_FLAGS` is the whole mapping; lumos/lumos1/README.md, section 13, shows it.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Literal

from xllmx.settings.setting import shown, suggestion

_SIZES = {"0.5B": "0.5B", "1B": "1B", "3B": "3B", "7B": "7B", "34B": "34B", "1B_MMRoPE": "1B", "3B_MMRoPE": "3B"}
_FROM_CLIPS = "clips on disk say it themselves (pre-tokenisation: --target_fps, --target_duration)"
_LOADING = "clips are read from Parquet shards as they are drawn; moved to the GPU from pinned memory"
_VISUAL = (
    "the head gives the logits of visual codes alone wherever codes are predicted, and the model's config says which"
)


Takes = Literal["nothing", "number", "numbers", "text", "list"]
"""What a flag takes; numbers and a list are one word ([a, b]) or several, and the numbers must be the same."""


@dataclass(frozen=True, kw_only=True)
class Flag:
    """A flag: what it takes, the setting it becomes, or why it becomes none."""

    takes: Takes = "nothing"
    """What stands behind it."""
    key: str | None = None
    """The setting that its value becomes."""
    values: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """In place of `key`: each value it may have (empty for a switch) -> settings, as key=value."""
    why: str = ""
    """What is said where it becomes no setting, or not alone."""
    needs: str = ""
    """Another flag, perhaps with its value, without which it has no part."""
    without: str = ""
    """Another flag, with which it has no part."""


def _number(key: str, *, needs: str = "", why: str = "") -> Flag:
    return Flag(takes="number", key=key, needs=needs, why=why)


def _text(key: str, *, needs: str = "") -> Flag:
    return Flag(takes="text", key=key, needs=needs)


def _list(key: str, *, needs: str = "") -> Flag:
    return Flag(takes="list", key=key, needs=needs)


def _switch(*settings: str, why: str = "") -> Flag:
    return Flag(values={"": settings}, why=why)


def _choice(values: Mapping[str, Sequence[str]], *, why: str = "", without: str = "") -> Flag:
    return Flag(takes="text", values=values, why=why, without=without)


def _nothing(why: str, takes: Takes = "nothing") -> Flag:
    return Flag(takes=takes, why=why)


RELEASED_FLAGS: dict[str, Flag] = {
    # --- where it starts, where it goes on
    "init_from": _text("task.init_from"),
    "model_size": _choice(
        {name: (f"task.model_config=configs/model/{size}.yaml",) for name, size in _SIZES.items()},
        why="config.json of --init_from says the size; positions are MM-RoPE in every size",
        without="init_from",
    ),
    "no_resume_iterations": _nothing("steps count from 0 with --init_from; a run that was cut goes on from its own"),
    "no_resume_metric_logger": _nothing("metrics of a new --output_dir begin anew"),
    "no_auto_resume": _switch("trainer.resume=false"),
    "resume_path": _text("trainer.resume_path"),
    "output_dir": _text("trainer.run_dir"),
    "seed": _number("trainer.seed"),
    # --- data
    "data_config": _text("task.data.video"),
    "img_data_config": _text("task.data.image", needs="joint_img_video"),
    "joint_img_video": _switch(
        "trainer.schedule.image=1", "trainer.schedule.video=1", "trainer.epoch_stream=video", why="of two data sets"
    ),
    "video_iter_per_img_iter": _number("trainer.schedule.video", needs="joint_img_video"),
    "batch_size": _number("trainer.batch_size.video"),
    "img_batch_size": _number("trainer.batch_size.image", needs="joint_img_video"),
    "accum_iter": _number("trainer.grad_accumulation"),
    "num_workers": _number("trainer.num_workers"),
    "max_seq_len": _number("task.max_length"),
    "video_duration": Flag(takes="numbers", key="task.duration_s"),
    "video_fps": _nothing(_FROM_CLIPS, "list"),
    "data_video_fps": _nothing(_FROM_CLIPS, "list"),
    "data_video_frames": _nothing(_FROM_CLIPS, "list"),
    "visual_tokenizer": _nothing("clips are codes already", "text"),
    "cache_ann_on_disk": _nothing(_LOADING),
    "pin_mem": _nothing(_LOADING),
    "no_pin_mem": _nothing(_LOADING),
    "disable_length_clustering": _switch("trainer.length_clustering=false"),
    # --- length, learning rate
    "epochs": _number("trainer.epochs"),
    "warmup_epochs": _number("optim.warmup_epochs"),
    "lr": _number("optim.lr"),
    "min_lr": _number("optim.min_lr"),
    "wd": _number("optim.weight_decay"),
    "clip_grad": _number("trainer.clip_grad_norm"),
    "save_interval": _number("trainer.save_interval"),
    "save_iteration_interval": _number("trainer.save_every"),
    "ckpt_max_keep": _number("trainer.keep"),
    "only_save_trainable": _nothing("LoRA: lumos export RUN FOLDER --adapter writes the adapters alone"),
    # --- model and machines
    "dropout": _number("task.model.dropout"),
    "checkpointing": _switch("parallel.activation_checkpointing=true"),
    "data_parallel": _choice(
        {"sdp": ("parallel.reshard_after_forward=false",), "fsdp": ("parallel.reshard_after_forward=true",)}
    ),
    "model_parallel_size": _choice(
        {"1": ()}, why="training is not cut by tensors (--data_parallel fsdp cuts weights); checkpoints of 2 or 4 load"
    ),
    "precision": _choice({name: (f"trainer.precision={name}",) for name in ("bf16", "fp16", "tf32", "fp32")}),
    "grad_precision": _nothing("gradients are summed in fp32", "text"),
    "vocab_size": _nothing("the model's config says it", "number"),
    "vis_tok_start": _nothing(_VISUAL, "number"),
    "train_with_vis_tok": _nothing(_VISUAL),
    "train_with_slim_lm_head": _nothing(_VISUAL),
    "unmask_image_logits": _nothing("the model's config says it (mask_image_logits)"),
    "mask_image_logits": _nothing("the model's config says it (mask_image_logits)"),
    # --- task and masks
    "pretrain_task": _choice({"predict_video": ()}, why="the only task"),
    "MaskedAR": _nothing("AR-DF is the only task"),
    "cfg_mode": _choice({"text_only": ()}, why="text alone is dropped (task.ardf.cfg_drop)"),
    "masking_mode": _list("task.ardf.modes"),
    "text_to_video_prob": _number("task.ardf.text_to_video_prob"),
    "mask_schedule": _text("task.ardf.schedule"),
    "min_masking_rate": _number("task.ardf.min_mask_ratio"),
    "mask_type": _choice(
        {
            "tube": ("task.ardf.mask_type=tube",),
            "random": ("task.ardf.mask_type=random",),
            "tubeDecay": ("task.ardf.mask_type=tube_decay",),
            "DiffForcing": ("task.ardf.mask_type=diffusion_forcing",),
        }
    ),
    "mask_contiguous_region_prob": _number("task.ardf.mask_contiguous_region_prob"),
    "noise_type": _text("task.ardf.noise_type"),
    "predict_all_tokens": _switch("task.ardf.predict_all_tokens=true"),
    # --- loss and evaluation
    "train_loss": _choice(
        {
            "CE": (),
            "CEChunked": (),
            "Focal": ("task.focal_gamma=2",),
            "CEDecay": (),
        },
        why="cross entropy, always in chunks (task.loss_chunk); CEDecay weighs frames by --decay_start_coef",
    ),
    "decay_start_coef": _number("task.frame_decay", needs="train_loss CEDecay", why="frame f weighs its f-th power"),
    "z_loss_weight": _number("task.z_loss_weight"),
    "no_ntp_loss": _switch("task.next_token_weight=0"),
    "compute_ntp_loss": _switch("task.next_token_weight=1"),
    "frame_closs_recorder": _nothing("the loss of every frame is always in metrics.jsonl"),
    "run_eval": _nothing("evaluates as --eval_data_config, --eval_in_epoch and --eval_mode say"),
    "eval_data_config": _text("task.eval_data.video", needs="run_eval"),
    "eval_in_epoch": _number("trainer.eval_in_epoch", needs="run_eval"),
    "eval_mode": _list("task.eval_modes", needs="run_eval"),
}
"""Flag of the release, without hyphens -> what it is here."""


@dataclass(frozen=True, kw_only=True)
class Translation:
    """A command line in the words of this project."""

    words: list[str]
    """Options of the program itself, then settings: what released flags became, then the key=value words given."""
    said: list[str]
    """A line for each released flag: what became of it."""

    def say(self) -> None:
        """Print what became of the released flags, if there were any; on the main process."""
        if not self.said:
            return
        from xllmx.ranks.distributed import launched_rank  # takes seconds to import, and mistakes are to answer at once

        if launched_rank() == 0:
            lines = ["released flags, and the settings they are here:", *self.said]
            print("\n  ".join(lines), file=sys.stderr, flush=True)


def translated(words: Sequence[str], *, own: Sequence[str]) -> Translation:
    """Return a command line with its released flags turned into settings.

    Without --config it is a released one, and what the release does by default is done: the loss on the text, unless
    --no_ntp_loss is given.

    Args:
        words: of the command line.
        own: the options of the program itself, in full (`--config`).

    Raises:
        ValueError: an option that is neither released nor the program's own (with the nearest one that is), or a
            released one with a value it cannot have, or two that say the opposite.
    """
    rest, overrides, given = _split(list(words), own=own)
    if {"no_ntp_loss", "compute_ntp_loss"} <= given.keys():
        raise ValueError(
            "--no_ntp_loss and --compute_ntp_loss are both given, and say the opposite; leave one of them out"
        )
    settings: list[str] = []
    said: list[str] = []
    for name in (name for name in RELEASED_FLAGS if name in given):
        new, why = _settings_of(name, given)
        settings += new
        said.append(_line(f"--{name} {given[name]}", new, why))
    has_config = any(word.partition("=")[0] == "--config" for word in rest)
    if given and not has_config and not given.keys() & {"no_ntp_loss", "compute_ntp_loss"}:
        settings.append("task.next_token_weight=1")
        said.append(_line("without --no_ntp_loss", settings[-1:], "the loss on the text is computed, as released"))
    return Translation(words=[*rest, *settings, *overrides], said=said)


def _line(flag: str, settings: Sequence[str], why: str) -> str:
    return f"{flag:42} {', '.join(settings) or 'nothing'}{f' ({why})' if why else ''}"


def _split(words: list[str], *, own: Sequence[str]) -> tuple[list[str], list[str], dict[str, str]]:
    """Return the program's own words, the key=value words, and the value of each released flag, "" of a switch."""
    known = {name.replace("-", "_"): name for name in RELEASED_FLAGS}
    ours = {option.replace("_", "-") for option in own}
    rest: list[str] = []
    overrides: list[str] = []
    given: dict[str, str] = {}
    while words:
        word = words.pop(0)
        option, equals, value = word.partition("=")
        if word == "--":
            return [*rest, word, *words], overrides, given
        if not word.startswith("--") or option.replace("_", "-") in ours:
            is_value = bool(rest) and rest[-1].startswith("--") and "=" not in rest[-1]
            (overrides if equals and not word.startswith("--") and not is_value else rest).append(word)
            continue
        name = known.get(option[2:].replace("-", "_"))
        if name is None:
            names = [*known, *(one[2:] for one in own if one.startswith("--"))]
            raise ValueError(f"unknown option {option}; {_remedy(option[2:], names)}")
        given[name] = value if equals else _taken(name, words)
        if bool(given[name]) == (RELEASED_FLAGS[name].takes == "nothing"):
            rule = "takes no value; leave it out" if given[name] else "needs a value behind it"
            raise ValueError(f"--{name} {rule}")
    return rest, overrides, given


def _remedy(word: str, names: Sequence[str]) -> str:
    """Return what to say of an unknown option: the one it may have been meant to be, or where all of them stand."""
    if get_close_matches(word, names, n=1, cutoff=0.5):
        return suggestion(word, names, prefix="--")
    return "lumos train --help and lumos/lumos1/README.md, section 13, list those there are"


def _taken(name: str, words: list[str]) -> str:
    """Return the value of a flag, its words taken from the beginning: one, or as many as are no flag and no setting."""
    takes = RELEASED_FLAGS[name].takes
    taken: list[str] = []
    several = takes in ("list", "numbers")
    while words and not words[0].startswith("--") and (several or not taken) and takes != "nothing":
        if several and "=" in words[0]:
            break
        taken.append(words.pop(0))
    return " ".join(taken)


def _settings_of(name: str, given: Mapping[str, str]) -> tuple[list[str], str]:
    """Return the settings that a flag becomes, and what is to be said of it."""
    flag, value = RELEASED_FLAGS[name], given[name]
    if flag.without in given:
        return [], flag.why
    other, _, needed = flag.needs.partition(" ")
    if other and (other not in given or (needed and given[other] != needed)):
        return [], f"it has a part only with --{flag.needs}"
    if flag.key is not None:
        return [f"{flag.key}={_yaml(name, value)}"], flag.why
    if flag.values and value not in flag.values:
        remedy = f" ({flag.why})" if flag.why else ""
        raise ValueError(f"--{name} is {shown(value)}; it must be one of {', '.join(flag.values)}{remedy}")
    if (name, value) == ("train_loss", "CEDecay") and "decay_start_coef" not in given:
        raise ValueError("--train_loss CEDecay needs --decay_start_coef X: frame f weighs X^f, X of at most 1")
    settings = list(flag.values.get(value, ()))
    return settings, "" if settings else flag.why


def _yaml(name: str, value: str) -> str:
    """Return the value of a flag in the notation of YAML."""
    takes = RELEASED_FLAGS[name].takes
    if takes == "text":
        return json.dumps(value)
    items = value.translate(str.maketrans("[],'\"", "     ")).split()
    if takes == "list":
        return json.dumps(items)
    if len(set(items)) != 1:
        raise ValueError(f"--{name} is {shown(value)}; a run has one: give one number")
    try:
        float(items[0])
    except ValueError:
        raise ValueError(f"--{name} is {shown(value)}; it must be a number") from None
    return items[0]
