"""The flags of the released training script (`finetune_solver_vid.py`), each as the setting it is here.

Those of the released training of Lumina-Video are in `lumos.cli.training.flags.lumina_flags`; a command line has
one or the other's.

`python -m lumos.train` and `lumos train` take them beside, or in place of, --config and `key=value` words:

    python -m lumos.train --init_from ckpts/1B/stage-1-image --model_size 1B_MMRoPE --lr 5e-5 --checkpointing ...

`RELEASED_FLAGS` is the whole mapping; lumos/lumos1/README.md, section 13, shows it.
"""

import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lumos.cli.training.flags.flag import Flag, choice, in_yaml, nothing, number, several, switch, text
from lumos.cli.training.flags.lumina_flags import LUMINA_FLAGS, settings_not_given
from lumos.cli.training.flags.unknown_flags import instead, remedy
from lumos.hub.models import LUMINA_VIDEO
from xllmx.ranks.launched import launched_rank
from xllmx.settings.setting import shown

_MOST_SAID = 160
"""Characters of the settings of one flag, a whole file of tasks among them."""
_SIZES = {"0.5B": "0.5B", "1B": "1B", "3B": "3B", "7B": "7B", "34B": "34B", "1B_MMRoPE": "1B", "3B_MMRoPE": "3B"}
_FROM_CLIPS = "clips on disk say it themselves (pre-tokenisation: --target_fps, --target_duration)"
_LOADING = "clips are read from Parquet shards as they are drawn; moved to the GPU from pinned memory"
_VISUAL = (
    "the head gives the logits of visual codes alone wherever codes are predicted, and the model's config says which"
)

RELEASED_FLAGS: dict[str, Flag] = {
    # --- where it starts, where it goes on
    "init_from": text("task.init_from"),
    "model_size": choice(
        {name: (f"task.model_config=configs/model/{size}.yaml",) for name, size in _SIZES.items()},
        why="config.json of --init_from says the size; positions are MM-RoPE in every size",
        without="init_from",
    ),
    "no_resume_iterations": nothing("steps count from 0 with --init_from; a run that was cut goes on from its own"),
    "no_resume_metric_logger": nothing("metrics of a new --output_dir begin anew"),
    "no_auto_resume": switch("trainer.resume=false"),
    "resume_path": text("trainer.resume_path"),
    "output_dir": text("trainer.run_dir"),
    "seed": number("trainer.seed"),
    # --- data
    "data_config": text("task.data.video"),
    "img_data_config": text("task.data.image", needs="joint_img_video"),
    "joint_img_video": switch(
        "trainer.schedule.image=1", "trainer.schedule.video=1", "trainer.epoch_stream=video", why="of two data sets"
    ),
    "video_iter_per_img_iter": number("trainer.schedule.video", needs="joint_img_video"),
    "batch_size": number("trainer.batch_size.video"),
    "img_batch_size": number("trainer.batch_size.image", needs="joint_img_video"),
    "accum_iter": number("trainer.grad_accumulation"),
    "num_workers": number("trainer.num_workers"),
    "max_seq_len": number("task.max_length"),
    "video_duration": Flag(takes="numbers", key="task.duration_s"),
    "video_fps": nothing(_FROM_CLIPS, "list"),
    "data_video_fps": nothing(_FROM_CLIPS, "list"),
    "data_video_frames": nothing(_FROM_CLIPS, "list"),
    "visual_tokenizer": nothing("clips are codes already", "text"),
    "cache_ann_on_disk": nothing(_LOADING),
    "pin_mem": nothing(_LOADING),
    "no_pin_mem": nothing(_LOADING),
    "disable_length_clustering": switch("trainer.length_clustering=false"),
    # --- length, learning rate
    "epochs": number("trainer.epochs"),
    "warmup_epochs": number("optim.warmup_epochs"),
    "lr": number("optim.lr"),
    "min_lr": number("optim.min_lr"),
    "wd": number("optim.weight_decay"),
    "clip_grad": number("trainer.clip_grad_norm"),
    "save_interval": number("trainer.save_interval"),
    "save_iteration_interval": number("trainer.save_every"),
    "ckpt_max_keep": number("trainer.keep"),
    "only_save_trainable": nothing("LoRA: lumos export RUN FOLDER --adapter writes the adapters alone"),
    # --- model and machines
    "dropout": number("task.model.dropout"),
    "checkpointing": switch("parallel.activation_checkpointing=true"),
    "data_parallel": choice(
        {"sdp": ("parallel.reshard_after_forward=false",), "fsdp": ("parallel.reshard_after_forward=true",)}
    ),
    "model_parallel_size": choice(
        {"1": ()}, why="training is not cut by tensors (--data_parallel fsdp cuts weights); checkpoints of 2 or 4 load"
    ),
    "precision": choice({name: (f"trainer.precision={name}",) for name in ("bf16", "fp16", "tf32", "fp32")}),
    "grad_precision": nothing("gradients are summed in fp32", "text"),
    "vocab_size": nothing("the model's config says it", "number"),
    "vis_tok_start": nothing(_VISUAL, "number"),
    "train_with_vis_tok": nothing(_VISUAL),
    "train_with_slim_lm_head": nothing(_VISUAL),
    "unmask_image_logits": nothing("the model's config says it (mask_image_logits)"),
    "mask_image_logits": nothing("the model's config says it (mask_image_logits)"),
    # --- task and masks
    "pretrain_task": choice({"predict_video": ()}, why="the only task"),
    "MaskedAR": nothing("AR-DF is the only task"),
    "cfg_mode": choice({"text_only": ()}, why="text alone is dropped (task.ardf.cfg_drop)"),
    "masking_mode": several("task.ardf.modes"),
    "text_to_video_prob": number("task.ardf.text_to_video_prob"),
    "mask_schedule": text("task.ardf.schedule"),
    "min_masking_rate": number("task.ardf.min_mask_ratio"),
    "mask_type": choice(
        {
            "tube": ("task.ardf.mask_type=tube",),
            "random": ("task.ardf.mask_type=random",),
            "tubeDecay": ("task.ardf.mask_type=tube_decay",),
            "DiffForcing": ("task.ardf.mask_type=diffusion_forcing",),
        }
    ),
    "mask_contiguous_region_prob": number("task.ardf.mask_contiguous_region_prob"),
    "noise_type": text("task.ardf.noise_type"),
    "predict_all_tokens": switch("task.ardf.predict_all_tokens=true"),
    # --- loss and evaluation
    "train_loss": choice(
        {
            "CE": (),
            "CEChunked": (),
            "Focal": ("task.focal_gamma=2",),
            "CEDecay": (),
        },
        why="cross entropy, always in chunks (task.loss_chunk); CEDecay weighs frames by --decay_start_coef",
    ),
    "decay_start_coef": number("task.frame_decay", needs="train_loss CEDecay", why="frame f weighs its f-th power"),
    "z_loss_weight": number("task.z_loss_weight"),
    "no_ntp_loss": switch("task.next_token_weight=0"),
    "compute_ntp_loss": switch("task.next_token_weight=1"),
    "frame_closs_recorder": nothing("the loss of every frame is always in metrics.jsonl"),
    "run_eval": nothing("evaluates as --eval_data_config, --eval_in_epoch and --eval_mode say"),
    "eval_data_config": text("task.eval_data.video", needs="run_eval"),
    "eval_in_epoch": number("trainer.eval_in_epoch", needs="run_eval"),
    "eval_mode": several("task.eval_modes", needs="run_eval"),
}
"""Flag of the release, without hyphens -> what it is here."""

_FLAGS = RELEASED_FLAGS | LUMINA_FLAGS
"""Flags of the same name take the same, and are the same setting."""
_SWITCHES = ("--debug", "--dry-run", "--help", "-h")
"""Options of the programs themselves that take nothing."""


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
        if launched_rank() == 0:
            lines = ["released flags, and the settings they are here:", *self.said]
            print("\n  ".join(lines), file=sys.stderr, flush=True)


def translated(words: Sequence[str], *, own: Sequence[str]) -> Translation:
    """Return a command line with its released flags turned into settings.

    Without --config it is a released one, and what the release does by default is done: the loss on the text, unless
    --no_ntp_loss is given; with flags of Lumina-Video what `settings_not_given` says.

    Args:
        words: of the command line.
        own: the options of the program itself, in full (`--config`).

    Raises:
        ValueError: an option that is neither released nor the program's own (with the nearest one that is), or a
            released one with a value it cannot have, or two that say the opposite.
    """
    rest, overrides, given = _split(list(words), own=own)
    has_config = any(word.partition("=")[0] == "--config" for word in rest)
    if has_config and "task_config" in given:
        raise ValueError("--config and --task_config both say what is trained on what; leave one of them out")
    of_lumina = _is_lumina(given, overrides)
    flags = LUMINA_FLAGS if of_lumina else RELEASED_FLAGS
    if {"no_ntp_loss", "compute_ntp_loss"} <= given.keys():
        raise ValueError(
            "--no_ntp_loss and --compute_ntp_loss are both given, and say the opposite; leave one of them out"
        )
    settings: list[str] = []
    said: list[str] = []
    for name in (name for name in flags if name in given):
        new, why = _settings_of(name, given, flags[name])
        settings += new
        said.append(_line(f"--{name} {given[name]}", new, why))
    if given and not has_config:
        without = settings_not_given(given) if of_lumina else _text_loss(given)
        settings = [*without.values(), *settings]
        said += [_line(what, [setting], "as released") for what, setting in without.items()]
    return Translation(words=[*rest, *settings, *overrides], said=said)


def _is_lumina(given: Mapping[str, str], overrides: Sequence[str]) -> bool:
    """Whether flags are those of Lumina-Video's training; ValueError for some of each model's."""
    lumina = [name for name in given if name not in RELEASED_FLAGS]
    lumos1 = [name for name in given if name not in LUMINA_FLAGS]
    if lumina and lumos1:
        said = f"--{lumina[0]} is of Lumina-Video's training and --{lumos1[0]} of Lumos-1's; give the flags of one"
        for name, flags in ((lumos1[0], LUMINA_FLAGS), (lumina[0], RELEASED_FLAGS)):
            if same := instead(name, flags, all_flags=_FLAGS, of_lumina=flags is LUMINA_FLAGS):
                said += f" (--{name} is {same})"
        raise ValueError(said)
    return bool(lumina) or (not lumos1 and f"model={LUMINA_VIDEO}" in overrides)


def _text_loss(given: Mapping[str, str]) -> dict[str, str]:
    """Return the loss on the text, which the release computes unless it is told about it."""
    if given.keys() & {"no_ntp_loss", "compute_ntp_loss"}:
        return {}
    return {"without --no_ntp_loss": "task.next_token_weight=1"}


def _line(flag: str, settings: Sequence[str], why: str) -> str:
    became = textwrap.shorten(", ".join(settings) or "nothing", _MOST_SAID, placeholder=" ...")
    return f"{flag:42} {became}{f' ({why})' if why else ''}"


def _split(words: list[str], *, own: Sequence[str]) -> tuple[list[str], list[str], dict[str, str]]:
    """Return the program's own words, the key=value words, and the value of each released flag, "" of a switch."""
    known = {name.replace("-", "_"): name for name in _FLAGS}
    ours = {option.replace("_", "-") for option in own}
    rest: list[str] = []
    overrides: list[str] = []
    given: dict[str, str] = {}
    meant = _flags_meant(words, known)
    while words:
        word = words.pop(0)
        option, equals, value = word.partition("=")
        if word == "--":
            return [*rest, word, *words], overrides, given
        if not word.startswith("--") or option.replace("_", "-") in ours:
            is_value = bool(rest) and rest[-1].startswith("--") and "=" not in rest[-1] and not _is_switch(rest[-1])
            (overrides if equals and not word.startswith("--") and not is_value else rest).append(word)
            continue
        name = known.get(option[2:].replace("-", "_"))
        if name is None:
            of_lumina = None if meant is _FLAGS else meant is LUMINA_FLAGS
            said = remedy(option[2:], meant, own=own, all_flags=_FLAGS, of_lumina=of_lumina)
            raise ValueError(f"unknown option {option}; {said}")
        given[name] = value if equals else _taken(name, words)
        if bool(given[name]) == (_FLAGS[name].takes == "nothing"):
            rule = "takes no value; leave it out" if given[name] else "needs a value behind it"
            raise ValueError(f"--{name} {rule}")
    return rest, overrides, given


def _is_switch(word: str) -> bool:
    return word.replace("_", "-") in _SWITCHES


def _flags_meant(words: Sequence[str], known: Mapping[str, str]) -> Mapping[str, Flag]:
    """Return the flags of the one model that the words have some of alone; those of both where none or both are."""
    options = [word.partition("=")[0][2:].replace("-", "_") for word in words if word.startswith("--")]
    names = [known[option] for option in options if option in known]
    lumina, lumos1 = (any(name not in flags for name in names) for flags in (RELEASED_FLAGS, LUMINA_FLAGS))
    if lumina == lumos1:
        return _FLAGS
    return LUMINA_FLAGS if lumina else RELEASED_FLAGS


def _taken(name: str, words: list[str]) -> str:
    """Return the value of a flag, its words taken from the beginning: one, or as many as are no flag and no setting."""
    takes = _FLAGS[name].takes
    taken: list[str] = []
    many = takes in ("list", "numbers", "counts")
    while words and not words[0].startswith("--") and (many or not taken) and takes != "nothing":
        if many and "=" in words[0]:
            break
        taken.append(words.pop(0))
    return " ".join(taken)


def _settings_of(name: str, given: Mapping[str, str], flag: Flag) -> tuple[list[str], str]:
    """Return the settings that a flag becomes, and what is to be said of it."""
    value = given[name]
    if flag.refused:
        raise ValueError(f"--{name} has no part here: {flag.refused}")
    if flag.without in given:
        return [], flag.why
    other, _, needed = flag.needs.partition(" ")
    if other and (other not in given or (needed and given[other] != needed)):
        return [], f"it has a part only with --{flag.needs}"
    if flag.read is not None:
        return list(flag.read(value)), flag.why
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
    takes = _FLAGS[name].takes
    if takes == "text":
        return in_yaml(value)
    items = value.translate(str.maketrans("[],'\"", "     ")).split()
    if takes == "list":
        return in_yaml(items)
    if takes == "counts":
        if not items or not all(item.isdecimal() and item.isascii() for item in items):
            raise ValueError(f"--{name} is {shown(value)}; it must be whole numbers, for example 2 2 4")
        return f"[{', '.join(items)}]"
    if len(set(items)) != 1:
        raise ValueError(f"--{name} is {shown(value)}; a run has one: give one number")
    try:
        float(items[0])
    except ValueError:
        raise ValueError(f"--{name} is {shown(value)}; it must be a number") from None
    return items[0]
