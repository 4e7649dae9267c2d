"""The flags of the released training of Lumina-Video, each as the setting it is here.

`python -m lumos.train` and `lumos train` take them as those of Lumos-1 (`lumos.cli.training.flags.released_flags`):

    python -m lumos.train --task_config configs/tasks/f8F32R256.py --results_dir runs/released --qk_norm ...

`LUMINA_FLAGS` is the whole mapping; lumos/lumina_video/README.md, section 6, shows it.
"""

from collections.abc import Mapping
from pathlib import Path

from lumos.cli.training.flags.flag import Flag, choice, in_yaml, nothing, number, switch, text
from lumos.hub.models import LUMINA_VIDEO, named_folder
from lumos.lumina_video.config import PRESETS, RELEASED_ARCHITECTURE, LuminaVideoConfig
from lumos.lumina_video.training.released_tasks import read_tasks

_CODE = LuminaVideoConfig()
_VAE = "ckpts/THUDM/CogVideoX-2b/vae"
_FAMILY = "MultiScaleNextDiT_"
_WHOLE = (
    "a run goes on with weights, optimiser, step and average; to begin anew from its weights: lumos export RUN FOLDER "
    "(it takes the averaged ones), then --init_from FOLDER"
)


def _counts(key: str) -> Flag:
    return Flag(takes="counts", key=key)


def _architectures() -> dict[str, tuple[str]]:
    """The names that --model takes: the whole ones, and without what all of them begin with."""
    return {word: (f"task.architecture={name}",) for name in PRESETS for word in (name, name.removeprefix(_FAMILY))}


def _tasks(value: str) -> list[str]:
    """Return the setting that a task file is."""
    return [f"task.tasks={in_yaml(read_tasks(Path(value)))}"]


LUMINA_FLAGS: dict[str, Flag] = {
    # --- what is trained, on what
    "task_config": Flag(takes="text", read=_tasks),
    "results_dir": text("trainer.run_dir"),
    "model": choice(_architectures()),
    "patch_sizes": _counts("task.model.all_patch_size"),
    "f_patch_sizes": _counts("task.model.all_f_patch_size"),
    "qk_norm": switch("task.model.qk_norm=true"),
    "rope_theta": number("task.model.rope_theta"),
    "t_scale": number("task.model.t_scale"),
    "motion_scale": number("task.model.motion_scale"),
    "vd_weight": number("task.cosine_weight"),
    # --- optimiser, length
    "lr": number("optim.lr"),
    "wd": number("optim.weight_decay"),
    "grad_clip": number("trainer.clip_grad_norm"),
    "max_steps": number("trainer.max_steps"),
    "ckpt_every": number("trainer.save_every"),
    "global_seed": number("trainer.seed"),
    # --- machines
    "precision": choice({name: (f"trainer.precision={name}",) for name in ("fp32", "tf32", "fp16", "bf16")}),
    "grad_precision": choice({"fp32": ()}, why="gradients are summed in fp32"),
    "data_parallel": choice(
        {"sdp": ("parallel.reshard_after_forward=false",), "fsdp": ("parallel.reshard_after_forward=true",)}
    ),
    "checkpointing": switch("parallel.activation_checkpointing=true"),
    "no_compile": switch("parallel.compile=false"),
    "master_port": nothing("torchrun --master-port says it, or torchrun --standalone finds a free one", "number"),
    # --- data, logs
    "cache_data_on_disk": nothing("lists of clips are read once, and latents as they are drawn"),
    "no_wandb": switch("trainer.trackers=[]"),
    # --- where it starts, where it goes on
    "no_auto_resume": switch("trainer.resume=false"),
    "resume": text("trainer.resume_path"),
    "no_resume_step": Flag(refused=_WHOLE),
    "no_resume_opt": Flag(refused=_WHOLE),
    "no_resume_ema": Flag(refused=_WHOLE),
    "main_load_ema": Flag(refused=_WHOLE),
    "init_from": text("task.init_from"),
}
"""Flag of the release, without hyphens -> what it is here."""

_NOT_GIVEN = {
    "vd_weight": "task.cosine_weight=0",
    "max_steps": "trainer.max_steps=100000",
    "ckpt_every": "trainer.save_every=50000",
}
"""What the release does without a flag, where a config here does something else."""

_FIELDS_NOT_GIVEN = {
    "patch_sizes": f"task.model.all_patch_size={list(_CODE.all_patch_size)}",
    "f_patch_sizes": f"task.model.all_f_patch_size={list(_CODE.all_f_patch_size)}",
    "qk_norm": "task.model.qk_norm=false",
    "rope_theta": f"task.model.rope_theta={_CODE.rope_theta:g}",
    "t_scale": f"task.model.t_scale={_CODE.t_scale:g}",
    "motion_scale": f"task.model.motion_scale={_CODE.motion_scale:g}",
}
"""The same of the network: what `model_args.pth` does not say is so too (`checkpoint/model_args.py`)."""


def settings_not_given(given: Mapping[str, str]) -> dict[str, str]:
    """Return what is not given ("without --FLAG") -> the released setting of it, of a command without --config.

    With --init_from and without --model, the network is that of the model it starts from.
    """
    found = {f"without --{name}": setting for name, setting in _NOT_GIVEN.items() if name not in given}
    found["average"] = "trainer.ema_warmup=false"
    if "model" in given or "init_from" not in given:
        found |= {f"without --{name}": setting for name, setting in _FIELDS_NOT_GIVEN.items() if name not in given}
        if "model" not in given:
            found["without --model"] = f"task.architecture={RELEASED_ARCHITECTURE}"
    own = given.get("init_from")
    if _has_image_files(given) and not (own is not None and (named_folder(own) / "vae").is_dir()):
        found["VAE of images"] = f"task.vae={_VAE}"
    return {"model": f"model={LUMINA_VIDEO}"} | found


def _has_image_files(given: Mapping[str, str]) -> bool:
    """Whether a task is of images, other than a folder of latents: the release encodes them on the way."""
    tasks = read_tasks(Path(given["task_config"])).values() if "task_config" in given else ()
    return any(task.get("media_type") == "image" and not Path(str(task.get("data"))).is_dir() for task in tasks)
