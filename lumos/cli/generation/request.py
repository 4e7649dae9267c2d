"""What a command line, or a record, asks to be made: prompts with their pictures and seeds, names of outputs."""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lumos.cli.generation.options import DEFAULT_OUT
from lumos.cli.jobs.outputs import FORMATS, format_of
from lumos.cli.jobs.prompts import MOST_SEEDS, Prompt, changes_of, distinct, name_of, read_prompts, text_of
from lumos.cli.models.kind import ModelKind
from lumos.hub.bundled import bundled_folder
from lumos.hub.models import ckpts_root, read_json
from xllmx.safe.inside import bare_name, inside
from xllmx.safe.json_text import unwritable
from xllmx.settings.number_range import Range, check_number
from xllmx.store.address import scheme_of

if TYPE_CHECKING:
    from lumos.cli.jobs.runner import Plan

_NAME_IT = "if you know where it comes from, name it yourself with {} beside --from-json"
_OTHER_FORMATS = ("avi", "bmp", "m4v", "mkv", "mov", "tif", "tiff", "webp")
_FORMATS = f"{', '.join(f'.{name}' for name in FORMATS[:-1])} or .{FORMATS[-1]}"
_RECORDED = {"prompt": str, "seed": int, "settings": dict, "model": str, "output": str, "dtype": str, "model_hash": str}
_MAY_BE_RECORDED = {
    "negative_prompt": str, "then": list, "image": str, "image_hash": str, "lora": str, "weights": str, "tiled": bool,
    "scale": int
}  # fmt: skip


def read_request(path: Path) -> dict[str, Any]:
    """Return the record `--from-json`.

    Raises:
        ValueError: it is no record of an output.
    """
    if not path.is_file():
        raise ValueError(f"--from-json {path}: no such file; give the .json that lies beside an output")
    record = read_json(path)
    if missing := _RECORDED.keys() - record.keys():
        raise ValueError(f"{path} is no record of an output: it lacks {', '.join(sorted(missing))}")
    asked = {name: kind for name, kind in _MAY_BE_RECORDED.items() if record.get(name) is not None}
    for name, kind in {**_RECORDED, **asked}.items():
        if not isinstance(record[name], kind) or (kind is int and isinstance(record[name], bool)):
            raise ValueError(f"{path} is no record of an output: its {name} is {str(record[name])[:200]!r}")
    if not 0 <= record["seed"] < MOST_SEEDS:
        raise ValueError(f"{path} is no record of an output: its seed is {str(record['seed'])[:200]}")
    if isinstance(preset := record["settings"].get("preset"), str) and Path(preset).suffix:
        raise ValueError(
            f"{path} names the preset file {preset[:200]!r}; its keys belong there, or give it with --preset"
        )
    return record


def take_record(options: argparse.Namespace, record: Mapping[str, Any]) -> None:
    """Fill the options that are not given from a record: model, prompt, picture, seed, how it was loaded, output.

    What it says of files is taken where they lie in its own folder or under the checkpoints; whoever wrote it, nothing
    else is opened.

    Raises:
        ValueError: a prompt is given too, or a file lies elsewhere.
    """
    if options.prompt or options.prompt_file:
        raise ValueError("--from-json holds the prompt; leave --prompt and --prompt-file out")
    if options.num != 1:
        raise ValueError("--from-json makes one output again, of its own seed; for --num variants give --prompt TEXT")
    options.model = options.model or _recorded_model(record["model"], options)
    if record.get("lora") and not options.lora:
        options.lora = _recorded_file(record["lora"], options, "--lora FOLDER")
    if (options.image or options.extend) and not record.get("image"):
        option = "--image" if options.image else "--extend"
        raise ValueError(f"{options.from_json} was made without a picture; leave {option} out")
    if record.get("image") and options.extend is None:
        options.image = options.image or [str(_recorded_file(record["image"], options, "--image FILE"))]
    options.prompt, options.negative_prompt = [record["prompt"]], record.get("negative_prompt")
    options.then = options.then or record.get("then")
    options.seed = record["seed"] if options.seed is None else options.seed
    options.dtype = options.dtype or record["dtype"]
    options.weights = options.weights or record.get("weights")
    options.tiled = options.tiled or bool(record.get("tiled"))
    options.scale = record.get("scale") if options.scale is None else options.scale
    if options.out is None:
        name = bare_name(record["output"], said_by=options.from_json, remedy="say where it goes with --out")
        options.out = options.from_json.with_name(name)


def _recorded_model(name: str, options: argparse.Namespace) -> str:
    """Return the name of a model under the checkpoints, or a folder that a record may name.

    Raises:
        ValueError: it names a folder elsewhere, or an address: whoever wrote the record would choose what is opened.
    """
    if scheme_of(name):
        raise ValueError(f"{options.from_json} names the model by address, {name[:200]!a}; to use it: --model ADDRESS")
    if not Path(name).is_absolute() and not name.startswith((".", "~")):
        path = inside(
            ckpts_root(options.ckpts), name, said_by=options.from_json, remedy=_NAME_IT.format("--model NAME")
        )
        if (
            path.is_dir() or bundled_folder(name) or not Path(name).is_dir()
        ):  # what is nowhere is said with the command that brings it
            return name
    return str(_recorded_file(name, options, "--model NAME"))


def _recorded_file(name: str, options: argparse.Namespace, option: str) -> Path:
    """Return a file or folder that a record names, links followed.

    Raises:
        ValueError: it lies neither in the record's folder nor under the checkpoints.
    """
    remedy = _NAME_IT.format(option)
    if "\0" in name or len(name) > 4096:
        raise ValueError(f"{options.from_json} names {name[:60]!a}, which is no path; {remedy}")
    own, ckpts = options.from_json.absolute().parent.resolve(), ckpts_root(options.ckpts).resolve()
    path = (own / name).resolve()
    if not any(path.is_relative_to(folder) for folder in (own, ckpts)):
        raise ValueError(
            f"{options.from_json} names {name[:200]!r}, which lies neither beside it nor in {ckpts}; {remedy}"
        )
    return path


def check_picture(options: argparse.Namespace, record: Mapping[str, Any]) -> None:
    """Check that the picture a record's output begins with, if it does, is the one there was.

    Raises:
        ValueError: it is not there, or another one.
    """
    from lumos.hub.hashes import sha256_of

    if not record.get("image"):
        return
    picture = Path(options.image[0])
    if not picture.is_file():
        raise ValueError(
            f"{picture}, the picture of {options.from_json}, is not there; put it back, or name it with --image"
        )
    if sha256_of(picture) != record.get("image_hash"):
        raise ValueError(f"{picture} is another picture than {options.from_json} was made with; put it back")


def check_weights(record: Mapping[str, Any], found: str, options: argparse.Namespace) -> None:
    """Check that the model here has the weights of the record.

    Raises:
        ValueError: its hash is another one.
    """
    if found != record["model_hash"]:
        other = f"{options.model} has other weights ({found})"
        raise ValueError(f"{other} than {options.from_json} was made with; see --model")


def check_record_kept(record: Mapping[str, Any], path: Path, plan: "Plan") -> None:
    """Check that the record `--from-json` is not written over by that of another output.

    Raises:
        ValueError: the output goes beside it, and is made otherwise.
    """
    from lumos.cli.jobs.record import differences, record_path

    for one in plan.missing:
        place = record_path(plan.folder.recorded(one.job.name))
        changed = differences(record, one.wanted)
        if changed and place.exists() and place.samefile(path):
            raise ValueError(f"--from-json {path} would be written over ({'; '.join(changed)}); choose another --out")


def prompts_of(options: argparse.Namespace, kind: ModelKind) -> list[Prompt]:
    """Return the prompts asked for, --num times each, with picture, negative prompt and seed.

    Seeds count on from --seed, over the variants of a prompt and then over the prompts; without it, from the seed that
    a list gives a prompt.

    Raises:
        ValueError: none, one that is empty, a picture that is not there, or that this model does not take.
    """
    _check_words(options)
    if options.prompt_file:
        prompts = read_prompts(options.prompt_file, images=options.image_folder)
    else:
        prompts = [_changing(Prompt(text=text, name=name_of(text)), options.then) for text in options.prompt]
    pictured = next((one for one in prompts if one.image is not None), None)
    if pictured is not None and "i2v" not in kind.tasks:
        rule = f"{kind.title} makes videos from text alone"
        raise ValueError(f"{options.prompt_file}: {pictured.name!r} names a picture, and {rule}; take another --model")
    if any(one.then for one in prompts) and not kind.changes_prompts:
        rule = f"{kind.title} makes a clip under one prompt"
        raise ValueError(f"{options.prompt_file} has a prompt that changes, and {rule}; take another --model")
    images = options.image or []
    if len(images) not in (0, 1, len(prompts)):
        raise ValueError(f"--image is given {len(images)} times for {len(prompts)} prompts; give one, or one for each")
    given = [Path(image) for image in images * (len(prompts) if len(images) == 1 else 1)]
    asked = [
        replace(
            one,
            image=given[index] if given else one.image,
            negative=_negative(one.negative if options.negative_prompt is None else options.negative_prompt, kind),
            seed=one.seed if options.seed is None else options.seed + index * options.num,
        )
        for index, one in enumerate(prompts)
    ]
    return distinct(variant for one in asked for variant in _variants(one, options))


def _changing(one: Prompt, then: Sequence[Sequence[Any]] | None) -> Prompt:
    """Return the prompt with the texts that follow it: [frame, text] of --then, or of a record."""
    changes = [(int(at) if isinstance(at, str) and at.strip().isdigit() else at, text) for at, text in then or []]
    return replace(one, then=changes_of(one.text, changes, "--then"))


def _variants(one: Prompt, options: argparse.Namespace) -> Iterator[Prompt]:
    """Yield a prompt --num times: named after its seed where that is asked for or needed, or else after its number."""
    for copy in range(options.num):
        seed = None if one.seed is None else one.seed + copy
        name = one.name
        if seed is not None and (options.num > 1 or (options.prompt and options.seed is not None)):
            name = f"{one.name}-seed{seed}"
        elif options.num > 1:
            name = f"{one.name}-{copy + 1}"
        yield replace(one, name=name, seed=seed)


def outputs_of(options: argparse.Namespace, prompts: Sequence[Prompt], *, image: bool) -> list[Path]:
    """Return where each prompt's output goes: --out itself if it names a file, else a file in that folder.

    Raises:
        ValueError: one file for several prompts, or a name of another format.
    """
    out = Path(options.out or DEFAULT_OUT)
    suffix = format_of(out.name)
    if suffix in FORMATS and not out.is_dir():
        if len(prompts) > 1:
            raise ValueError(f"--out {out} is one file for {len(prompts)} outputs; give a folder")
        if options.format not in (None, suffix):
            raise ValueError(f"--out {out} and --format {options.format} disagree; leave one of them out")
        return [out]
    if suffix in _OTHER_FORMATS and not out.is_dir():
        raise ValueError(f"--out {out}: no .{suffix} is written; give a name with {_FORMATS}, or a folder")
    if out.is_file():
        raise ValueError(f"--out {out} is a file of no known format; give a folder, or a name with {_FORMATS}")
    return [out / f"{one.name}.{options.format or ('png' if image else 'mp4')}" for one in prompts]


def _check_words(options: argparse.Namespace) -> None:
    check_number("num", int, options.num, Range(1, 10**5))
    if options.prompt and options.prompt_file:
        raise ValueError("--prompt and --prompt-file are both given; leave one of them out")
    if not options.prompt and not options.prompt_file:
        raise ValueError("say what to make: --prompt TEXT (again for more), or --prompt-file FILE")
    if options.then and options.prompt_file:
        raise ValueError('--then is for --prompt; in the list of --prompt-file each entry may have its own "then"')
    if options.image_folder and not options.prompt_file:
        raise ValueError("--image-folder is for the pictures a --prompt-file names; give one, or --image FILE")
    for image in options.image or []:
        if not Path(image).is_file():
            raise ValueError(f"--image {image}: no such file; give a picture (png, jpg, webp...)")
    for number, text in enumerate(options.prompt or [], 1):
        if not text.strip():
            raise ValueError("the prompt is empty; describe what is to be seen")
        text_of(text, f"--prompt number {number}")
    if fault := unwritable(options.negative_prompt or ""):
        raise ValueError(f"--negative-prompt: {fault}; write it anew")


def _negative(text: str | None, kind: ModelKind) -> str | None:
    return None if kind.empty_negative_is_none and text == "" else text
