"""What a run of `python -m pre_tokenize` makes, from the options: the product, and settings that must not change."""

import argparse
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import torch

from lumos.hub.hashes import sha256_of
from lumos.hub.models import DEFAULT_MODEL, LUMINA_VIDEO, VISUAL_PAIR, ckpts_root, find_folder, kind_of, named_folder
from lumos.lumina_video.data.latents import VAEIdentity
from lumos.lumina_video.data.shards import LATENTS, write_latent_shard
from lumos.lumina_video.made_for import made_for as lumina_made_for
from lumos.lumina_video.vae import WEIGHTS, CogVideoXVAE, is_vae
from lumos.lumos1.data.shards import CLIPS, write_shard
from lumos.lumos1.made_for import made_for as lumos_made_for
from lumos.media.decoding.decord_frames import choose_reader
from lumos.media.made_for import MadeFor
from lumos.tokenizer.files import tokenizer_files
from lumos.tokenizer.text import TextTokenizer
from lumos.tokenizer.visual import VisualTokenizer
from pre_tokenize.engines.engine import Job
from pre_tokenize.option_choices import DTYPES as NAMES
from pre_tokenize.option_choices import TF32 as TF32
from pre_tokenize.products.codes import ClipFrames, Codes, Target
from pre_tokenize.products.encode import Limits
from pre_tokenize.products.latents import LatentFrames, Latents, LatentTarget
from pre_tokenize.products.sizes import complete, read_sizes
from xllmx.settings.setting import SettingError

DTYPES: dict[str, torch.dtype] = {name: getattr(torch, dtype) for name, dtype in NAMES.items()}
"""Names of precisions."""

DEFAULTS: dict[str, dict[str, Any]] = {
    "codes": {
        "target_size": 352,
        "target_fps": 12,
        "target_duration": 7,
        "visual_tokenizer": DEFAULT_MODEL,
        "text_tokenizer": None,
        "cosmos_dtype": None,
        "reader": "auto",
    },
    "latents": {"target_size": 512, "target_fps": 16, "most_seconds": 30, "vae": None, "vae_dtype": "float32"},
}
"""What options are that are not given, and which there are for each kind."""


def job_of(options: argparse.Namespace) -> Job:
    """The job that the options ask for, which are completed with their defaults.

    Raises:
        ValueError: an option of the other kind is given, or one has a value that makes no clip.
    """
    mine = DEFAULTS[options.to]
    for other, names in DEFAULTS.items():
        for name in names.keys() - mine.keys():
            if getattr(options, name) is not None:
                remedy = f"leave it out, or give --to {other}"
                raise ValueError(f"--{name} goes with --to {other}, and this is --to {options.to}; {remedy}")
    _check_is_of_product(options)
    try:
        model = _made_for(options)
    except SettingError as error:
        named = f"--vae {options.vae}" if options.to == "latents" else f"--visual_tokenizer {options.visual_tokenizer}"
        raise ValueError(f"{named}: {error} in the generation_config.json of its model; correct that") from error
    complete(options, model)
    for name, value in mine.items():
        if getattr(options, name) is None and not (name == "target_size" and options.size is not None):
            setattr(options, name, value)
    return _codes(options) if options.to == "codes" else _latents(options)


def _check_is_of_product(options: argparse.Namespace) -> None:
    """Raises ValueError where the model, tokenizer or VAE that is named makes the other product, and not this one."""
    option, other = ("vae", "visual_tokenizer") if options.to == "latents" else ("visual_tokenizer", "vae")
    named = getattr(options, option)
    folder = find_folder(named, ckpts_root()) if named else None
    if folder is None:
        return
    is_lumos1 = any((place / VISUAL_PAIR[0]).is_file() for place in (folder, folder / "visual_tokenizer"))
    is_lumina = is_vae(folder) or is_vae(folder / "vae")
    with suppress(ValueError):  # no model, or not a whole one: for who reads it to say
        is_lumina = is_lumina or kind_of(folder) == LUMINA_VIDEO
    if (is_lumos1, is_lumina) == (options.to == "latents", options.to == "codes"):
        title, made = ("Lumos-1", "codes") if options.to == "latents" else ("Lumina-Video", "latents")
        remedy = f"give --to {made} --{other} {named}"
        raise ValueError(
            f"--{option} {named} is of {title}, whose clips are {made}, and this is --to {options.to}; {remedy}"
        )


def _made_for(options: argparse.Namespace) -> MadeFor | None:
    """The clips that the model is made for whose tokenizer or VAE is used; None of a tokenizer that is no model's."""
    if options.to == "latents":
        if not options.vae:
            return None
        folder = named_folder(options.vae)
        folder = folder.parent if folder.name == "vae" else folder
        return lumina_made_for(folder, name=str(folder))
    name = options.visual_tokenizer or DEFAULT_MODEL
    visual, _ = tokenizer_files(name, options.text_tokenizer)
    named = find_folder(name, ckpts_root())
    places = [place for place in (named, visual.parent) if place is not None and (place / "config.json").is_file()]
    return lumos_made_for(places[0], name=name) if places else None


def _size(options: argparse.Namespace) -> int | list[tuple[int, int]]:
    return int(options.target_size) if options.size is None else read_sizes(options.size)


def _size_setting(options: argparse.Namespace) -> dict[str, Any]:
    """What a manifest says of the size, by the name of its option."""
    if options.size is None:
        return {"target_size": options.target_size}
    return {"size": ",".join(f"{width}x{height}" for width, height in read_sizes(options.size))}


def _codes(options: argparse.Namespace) -> Job:
    target = Target(
        modality=options.modality,
        size=_size(options),
        fps=options.target_fps,
        duration=options.target_duration,
        frame_choice=options.frame_choice,
        reader=choose_reader(options.reader, options.frame_choice),
    )
    name = options.cosmos_dtype
    dtype = _precision(name)
    visual, text = tokenizer_files(options.visual_tokenizer, options.text_tokenizer)
    return Job(
        load=partial(_load_codes, target=target, visual=visual, text=text, precision=name),
        reader=partial(_read_frames, target=target, text=text),
        write_shard=write_shard,
        form=CLIPS,
        settings={
            "to": "codes",
            "modality": target.modality,
            **_size_setting(options),
            "target_fps": target.fps,
            "target_duration": target.duration,
            **({"frame_choice": target.frame_choice} if target.modality == "video" else {}),
            "visual_tokenizer": sha256_of(visual / "encoder.jit"),
            "text_tokenizer": sha256_of(text),
            "cosmos_dtype": TF32 if name == TF32 else str(dtype).removeprefix("torch.") if dtype else "default",
        },
    )


def _precision(name: str | None) -> torch.dtype | None:
    return torch.float32 if name == TF32 else DTYPES[name] if name else None


def _load_codes(limits: Limits, *, target: Target, visual: Path, text: Path, precision: str | None) -> Codes:
    """The product of codes. A function of the module, as its kin: actors of Ray find those by name."""
    if precision == TF32:
        torch.backends.cuda.matmul.fp32_precision = "tf32"
        torch.backends.cudnn.conv.fp32_precision = "tf32"  # type: ignore[attr-defined]  # stubs of torch lack it
    pair = VisualTokenizer.from_pretrained(visual, device=limits.device, dtype=_precision(precision))
    return Codes(target, text=TextTokenizer.from_file(text), visual=pair, device=limits.device)


def _read_frames(*, target: Target, text: Path) -> ClipFrames:
    target.check(TextTokenizer.from_file(text).vocab)
    return ClipFrames(target)


def _load_latents(limits: Limits, *, target: LatentTarget, folder: Path, dtype: torch.dtype) -> Latents:
    vae = CogVideoXVAE.from_pretrained(folder, device=limits.device, dtype=dtype)
    vae.clips_at_once = limits.batch_size
    return Latents(target, vae=vae, device=limits.device)


def _latents(options: argparse.Namespace) -> Job:
    target = LatentTarget(
        modality=options.modality,
        size=_size(options),
        fps=options.target_fps,
        most_seconds=options.most_seconds,
        frame_choice=options.frame_choice,
    )
    dtype = DTYPES[options.vae_dtype]
    if options.vae is None:
        raise ValueError("--to latents needs --vae, the folder of a VAE (or of a model that has one)")
    folder, identity = vae_of(options.vae)
    videos = {
        "target_fps": target.fps,
        "most_seconds": target.most_seconds,
        "frame_choice": target.frame_choice,
    }
    return Job(
        load=partial(_load_latents, target=target, folder=folder, dtype=dtype),
        reader=partial(LatentFrames, target, spatial=identity.spatial, temporal=identity.temporal),
        write_shard=partial(write_latent_shard, vae=identity),
        form=LATENTS,
        settings={
            "to": "latents",
            "modality": target.modality,
            **_size_setting(options),
            **(videos if target.modality == "video" else {}),
            "vae": f"{identity.sha256} {sha256_of(folder / 'config.json')}",
            "vae_dtype": str(dtype).removeprefix("torch."),
        },
    )


def vae_of(path: str | Path) -> tuple[Path, VAEIdentity]:
    """The folder of a VAE and which VAE it is; its weights are not loaded.

    `path` is that folder, the folder of its model, or the name of that model or folder among the checkpoints.

    Raises:
        ValueError: there is none, or it is damaged.
    """
    folder = named_folder(path)
    if not (folder / WEIGHTS).is_file() and (folder / "vae" / "config.json").is_file():
        folder = folder / "vae"
    vae = CogVideoXVAE.without_weights(folder)
    return folder, VAEIdentity.of(vae, sha256=sha256_of(folder / WEIGHTS))
