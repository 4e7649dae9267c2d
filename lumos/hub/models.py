"""Names of models -> the local folders that hold them, and which model a folder holds.

    ckpts/
      lumos-tiny/                                  bundled; holds its own tokenizers
      tiny-visual/                                 bundled; tokenizers of real clips, without a model
      1B/stage-1-image/ ...                        released weights of Lumos-1, `lumos download 1B/stage-1-image`
      cosmos/tokenizer/text_tokenizer.json         shared by all released models of Lumos-1
      cosmos/Cosmos-Tokenizer-DV4x8x8/             encoder.jit, decoder.jit
      Alpha-VLLM/Lumina-Video-f24R960/             released weights of Lumina-Video
      google/gemma-2-2b/                           its text encoder, shared by all models of Lumina-Video
      THUDM/CogVideoX-2b/vae/                      its VAE, shared too
      <org>/<name>[/<folder>]                      any other hub repository

A tree placed there by hand is the same as a downloaded one: nothing is read but the files themselves.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

from lumos.hub.bundled import BUNDLED_MODELS, BUNDLED_TOKENIZERS, bundled, bundled_folder, checkout
from xllmx.safe.inside import inside
from xllmx.safe.json_text import read_object
from xllmx.safe.safetensors_file import refuse_pointer
from xllmx.settings.setting import suggestion
from xllmx.store.address import SCHEMES, Address, Location, is_address, location_of, scheme_of
from xllmx.store.folder_copy import UnmarkedError, folder_copy

DEFAULT_MODEL = "lumos-tiny"
"""The model used when none is named; it comes with the code (`lumos.hub.bundled`)."""

LUMOS1, LUMINA_VIDEO = "lumos1", "lumina_video"
"""What a folder may hold (`kind_of`), by the name of the model's wing."""

_KINDS = {"chameleon": LUMOS1, "lumina_video": LUMINA_VIDEO}
"""`model_type` of a `config.json` -> model."""
_TITLES = {LUMOS1: "Lumos-1", LUMINA_VIDEO: "Lumina-Video"}

MODEL_ARGS = "model_args.pth"
"""What stands for a `config.json` beside released weights of Lumina-Video."""

MODEL_MARKS = ("config.json", "adapter_config.json", MODEL_ARGS)
"""Files of which a folder of a model, or of adapters, has one."""

LUMOS_REPO = "Alibaba-DAMO-Academy/Lumos-1"
"""Hub repository of the released models and their text tokenizer."""

COSMOS_REPO = "nvidia/Cosmos-Tokenizer-DV4x8x8"
"""Hub repository of the released visual tokenizer (a gated one: its licence is accepted on its page)."""

TEXT_TOKENIZER = "text_tokenizer.json"
SHARED_TEXT_TOKENIZER = Path("cosmos/tokenizer") / TEXT_TOKENIZER
SHARED_VISUAL_TOKENIZER = Path("cosmos/Cosmos-Tokenizer-DV4x8x8")
SHARED_NAMES = ("cosmos", SHARED_VISUAL_TOKENIZER.name, COSMOS_REPO)
"""What `download` calls the tokenizers of the released models."""


VISUAL_PAIR = ("encoder.jit", "decoder.jit")
PART_MARKS = (*MODEL_MARKS, VISUAL_PAIR[0], TEXT_TOKENIZER, "tokenizer.json")
"""Files of which a folder of a model, or of a part of one, has one."""
ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")
"""Of a folder of LoRA adapters, as peft names them."""

LUMINA_REPO = "Alpha-VLLM/Lumina-Video-f24R960"
"""Hub repository of the released Lumina-Video."""

SHARED_TEXT_ENCODER = Path("google/gemma-2-2b")
"""Under `ckpts/`; its hub repository too (a gated one)."""

SHARED_VAE = Path("THUDM/CogVideoX-2b/vae")
"""Under `ckpts/`; a folder of the hub repository of CogVideoX-2b too."""

_P256: dict[str, Any] = {"width": 448, "height": 256}
_P384: dict[str, Any] = {"width": 672, "height": 384}

RELEASED: Mapping[str, Mapping[str, Any]] = {
    f"{size}/{stage}": defaults
    for size in ("1B", "3B")
    for stage, defaults in {
        "stage-1-image": {**_P256, "num_frames": 1},
        "stage-2-joint": _P256,
        "stage-2-joint-384p": _P384,
        "v2-stage2-joint-384p-sft": _P384,
    }.items()
}
"""Released names -> the settings each was trained for; a `generation_config.json` beside the weights wins."""


@dataclass(frozen=True, kw_only=True)
class ModelFiles:
    """Where the parts of one model lie, all of them present."""

    name: str
    """What finds it again: the name it was asked for by, or the whole path of a folder elsewhere."""
    model: Path
    """Folder with `config.json` and the weights."""
    text_tokenizer: Path
    """A file in HF tokenizers' format."""
    visual_tokenizer: Path
    """Folder with `encoder.jit` and `decoder.jit`."""
    defaults: dict[str, Any]
    """Settings of generation this model asks for (`generation_config.json`); what is absent has the released value."""
    lora: Path | None = None
    """Folder of adapters that are merged into the weights."""

    @property
    def paths_to_hash(self) -> list[Path]:
        """The files that decide what the model makes: config, weights, tokenizers, adapters."""
        tokenizers = [self.text_tokenizer, *(self.visual_tokenizer / name for name in VISUAL_PAIR)]
        adapters = [self.lora / name for name in ADAPTER_FILES] if self.lora else []
        return [self.model / "config.json", *weight_files(self.model), *tokenizers, *adapters]


def ckpts_root(root: str | Path | None = None) -> Path:
    """The folder of checkpoints: `root` when given, else the checkout's `ckpts/`, else that of the current folder."""
    if root is not None:
        return Path(root).expanduser()
    return (checkout() or Path.cwd()) / "ckpts"


def model_folder(name: str | Path = DEFAULT_MODEL, root: str | Path | None = None) -> Path:
    """The folder of a model: a bundled or released name, a hub id (with a folder inside it or without), or a folder.

    Nothing is downloaded. Raises ValueError with the command that brings a model which is not here.
    """
    ckpts = ckpts_root(root)
    folder = find_folder(name, ckpts)
    if folder is None:
        raise ValueError(_not_here(str(name), ckpts))
    return folder


def kind_of(folder: Path) -> str:
    """Which model a folder holds, `LUMOS1` or `LUMINA_VIDEO`, by its config alone.

    Raises ValueError for a folder of another model, or of none.
    """
    has_config = (folder / "config.json").is_file()
    model_type = read_json(folder / "config.json").get("model_type") if has_config else None
    if (folder / MODEL_ARGS).is_file() and model_type not in _KINDS:
        return LUMINA_VIDEO
    if has_config:
        return kind_of_type(model_type, where=str(folder))
    _check_finished(folder)
    check_is_no_run(folder)
    _check_is_no_tokenizer(folder)
    rule = f"it has neither a config.json nor a {MODEL_ARGS}"
    raise ValueError(f"{folder} holds no model: {rule}; give a folder of Lumos-1 or of Lumina-Video")


def kind_of_type(model_type: object, *, where: str) -> str:
    """Which model the `model_type` of a `config.json` stands for; None, as in old files, is Lumos-1.

    Raises ValueError for a type of neither.
    """
    if model_type is None:
        return LUMOS1
    if isinstance(model_type, str) and model_type in _KINDS:
        return _KINDS[model_type]
    known = " or ".join(f"{kind} ({name!r})" for name, kind in _KINDS.items())
    raise ValueError(f"{where} holds a model of type {model_type!r}; give one of {known}")


def require_kind(folder: Path, kind: str, *, wanted: str) -> None:
    """Raise ValueError where a folder holds a model of the other kind."""
    if kind != wanted:
        found, taken = (_TITLES[one] for one in (kind, wanted))
        raise ValueError(f"{folder} holds a model of {found}, and this takes one of {taken}; name another")


def resolve(name: str | Path = DEFAULT_MODEL, root: str | Path | None = None, *, weights: bool = True) -> ModelFiles:
    """The files of a model of Lumos-1, found as `model_folder` finds it.

    `weights` False asks for the tokenizers and settings alone. Raises ValueError that names what is missing and the
    command that brings it.
    """
    ckpts, folder = ckpts_root(root), model_folder(name, root)
    if weights:
        if any((folder / name).is_file() for name in ("config.json", MODEL_ARGS)):
            require_kind(folder, kind_of(folder), wanted=LUMOS1)
        check_weights(folder)
    is_named = folder.is_relative_to(ckpts) or bundled_folder(name) == folder
    own = str(name) if is_named else str(folder.resolve())
    return ModelFiles(
        name=name_of(name, own),
        model=folder,
        text_tokenizer=_text_tokenizer(folder, ckpts),
        visual_tokenizer=_visual_tokenizer(folder, ckpts),
        defaults=defaults_of(folder, ckpts),
    )


def find_folder(name: str | Path, ckpts: Path) -> Path | None:
    """The folder `name` stands for, or None: under `ckpts` by name, then a bundled model, then a path of its own.

    An address (`s3://bucket/folder`) stands for a copy of what lies there (`local_folder`).
    """
    if scheme_of(name) in (*SCHEMES, "file"):
        folder = local_folder(name)
        return folder if folder.is_dir() else None
    path = Path(name).expanduser()
    places = [path] if str(name).startswith((".", "~", "/")) else [ckpts / path, bundled_folder(name), path]
    return next((place for place in places if place is not None and place.is_dir()), None)


def named_folder(value: str | Path) -> Path:
    """The folder that a setting names as `--model` does: by a name under the checkpoints, or a path, there or not."""
    return find_folder(value, ckpts_root()) or Path(value)


def local_folder(place: str | Path) -> Path:
    """The folder of the disk for one that holds a model, a part of one or adapters: itself, or the copy of an address.

    All that is read of models by address comes through here, and is checked as any other folder then.

    Raises:
        StoreError: as `folder_copy`.
        ValueError: it is a training run.
    """
    location = location_of(place)
    if not isinstance(location, Address):
        return location
    try:
        return folder_copy(location, marks=PART_MARKS, what="a folder of a model, a tokenizer or adapters")
    except UnmarkedError:
        if (location / "config.yaml").is_file():
            _refuse_run(location, location)
        raise


def adapter_folder(place: str | Path) -> Path:
    """`local_folder` of adapters; ValueError where it holds none."""
    folder = local_folder(place)
    if missing := [name for name in ADAPTER_FILES if not (folder / name).is_file()]:
        remedy = "lumos export RUN FOLDER --adapter writes those of a run"
        raise ValueError(f"{place} holds no adapters: it lacks {', '.join(missing)}; {remedy}")
    return folder


def name_of(place: str | Path, otherwise: str) -> str:
    """What records call a model: its address where it was named by one, `otherwise` else."""
    return str(location_of(place)) if is_address(place) else otherwise


def check_is_no_run(folder: Path) -> None:
    """Raises ValueError, with what makes a model of it, for the folder of a training run, or one inside it."""
    for run in (folder, folder.parent, folder.parent.parent):
        if (run / "config.yaml").is_file() and (run / "checkpoints").is_dir():
            _refuse_run(folder, run)


def _check_is_no_tokenizer(folder: Path) -> None:
    has_pair = all((folder / "visual_tokenizer" / name).is_file() for name in VISUAL_PAIR)
    if has_pair and not weight_files(folder):
        remedy = "train a model of its codes (configs/train/my_clips.yaml), or give one, such as lumos-tiny"
        raise ValueError(f"{folder} holds tokenizers without a model; {remedy}")


def _refuse_run(folder: Location, run: Location) -> NoReturn:
    what = "is a training run" if run == folder else f"belongs to the training run {run}"
    raise ValueError(f"{folder} {what}, which is no model yet; make one of it: lumos export {run} FOLDER")


def check_weights(folder: Path) -> None:
    """Raises ValueError unless `folder` holds a config and every file of weights its index names, itself."""
    _check_finished(folder)
    if not (folder / "config.json").is_file():
        check_is_no_run(folder)
        _check_is_no_tokenizer(folder)
        raise ValueError(f"{folder} has no config.json; a model folder holds config.json and model*.safetensors")
    weights = weight_files(folder)
    missing = [file.name for file in weights if not file.is_file()]
    if missing:
        raise ValueError(f"{folder} lacks {', '.join(missing)}, which its index names; copy or download them again")
    if not weights:
        names = "model.safetensors, pytorch_model.bin, or the .index.json of either with its shards"
        raise ValueError(f"{folder} has no weights ({names}); copy them there")
    for file in weights:
        refuse_pointer(file)


def weight_files(folder: Path) -> list[Path]:
    """The files of weights of a model folder; those an index names may be absent."""
    for name in ("model.safetensors", "pytorch_model.bin"):
        if (folder / name).is_file():
            return [folder / name]
        index = folder / f"{name}.index.json"
        if index.is_file():
            return shards_of(index)
    return []


def shards_of(index: Path) -> list[Path]:
    """The files that an index of weights names, all in its folder; ValueError for an index that is none."""
    named = read_json(index).get("weight_map")
    remedy = "copy or download the model again"
    if not isinstance(named, dict) or not named:
        raise ValueError(f"{index} is no index of weights: it has no weight_map; {remedy}")
    files = {inside(index.parent, name, said_by=index, remedy=remedy) for name in named.values()}
    return sorted(files)


def read_json(path: Path) -> dict[str, Any]:
    """The object a JSON file holds; ValueError that names the file where it holds none (`xllmx.safe.json_text`)."""
    return read_object(path)


def repository_of(name: str) -> tuple[str, str]:
    """The hub repository and the folder inside it that `name` stands for; ValueError if it is no name on the hub."""
    if name in RELEASED:
        return LUMOS_REPO, name
    if name in (*BUNDLED_MODELS, *BUNDLED_TOKENIZERS):
        option = "--model" if name in BUNDLED_MODELS else "--visual_tokenizer"
        place = bundled() / "ckpts" / name
        raise ValueError(f"{name!r} is not downloaded: it comes with the code, in {place}; give it as {option} {name}")
    parts = name.split("/")
    if len(parts) < 2 or not all(re.fullmatch(r"\w[\w.-]*", part) for part in parts) or parts[0] in ("1B", "3B"):
        raise ValueError(f"{name!r} is no model on the hub; {_suggest(name)}")
    return "/".join(parts[:2]), "/".join(parts[2:])


def _check_finished(folder: Path) -> None:
    if any(folder.glob("*.part")):
        raise ValueError(f"the download of {folder} is not finished; run the same `lumos download` again, it resumes")


def _not_here(name: str, ckpts: Path) -> str:
    """What to do about a model that is not on this machine."""
    if name in (*BUNDLED_MODELS, *BUNDLED_TOKENIZERS):
        places = f"neither in {ckpts} nor in {bundled() / 'ckpts'}"
        return f"{name!r}, which comes with the code, is {places}; install lumos again, or clone the repository again"
    try:
        repository_of(name)
    except ValueError:
        return f"there is no model {name!r}: no such folder, here or in {ckpts}; {_suggest(name)}"
    if near := _folders_near(Path(name)):
        return f"there is no folder {name!r}; did you mean {near}? (of the hub: lumos download {name})"
    return f"the model {name!r} is not in {ckpts}; run: lumos download {name}"


def _folders_near(path: Path) -> str | None:
    """A folder beside a path that is not there, of a name that is almost its own."""
    if not path.parent.is_dir() or path.parent == Path():
        return None
    beside = [one.name for one in path.parent.iterdir() if one.is_dir()]
    found = get_close_matches(path.name, beside, n=1, cutoff=0.75)
    return str(path.with_name(found[0])) if found else None


def _suggest(name: str) -> str:
    known = [*BUNDLED_MODELS, *BUNDLED_TOKENIZERS, *RELEASED, LUMINA_REPO]
    return f"{suggestion(name, known)}; a hub id (org/name) or a folder is taken too"


def _text_places(folder: Path, ckpts: Path) -> tuple[Path, Path]:
    return folder / TEXT_TOKENIZER, ckpts / SHARED_TEXT_TOKENIZER


def _visual_places(folder: Path, ckpts: Path) -> tuple[Path, Path]:
    return folder / "visual_tokenizer", ckpts / SHARED_VISUAL_TOKENIZER


def _text_tokenizer(folder: Path, ckpts: Path) -> Path:
    own, shared = _text_places(folder, ckpts)
    for place in (own, shared):
        if place.is_file():
            return place
    raise ValueError(f"no text tokenizer: neither {own} nor {shared} is there; run: lumos download {SHARED_NAMES[0]}")


def _visual_tokenizer(folder: Path, ckpts: Path) -> Path:
    own, shared = _visual_places(folder, ckpts)
    for place in (own, shared):
        if _has_pair(place):
            return place
    need = " and ".join(VISUAL_PAIR)
    raise ValueError(
        f"no visual tokenizer: {need} are neither in {own} nor in {shared}; run: lumos download {SHARED_NAMES[0]}"
    )


def _has_pair(folder: Path) -> bool:
    return all((folder / file).is_file() for file in VISUAL_PAIR)


def _name_under(folder: Path, ckpts: Path) -> str | None:
    folder, ckpts = folder.resolve(), ckpts.resolve()
    return folder.relative_to(ckpts).as_posix() if folder.is_relative_to(ckpts) else None


def defaults_of(folder: Path, ckpts: Path) -> dict[str, Any]:
    """The settings of generation that the model in a folder asks for; empty where it is none or says nothing."""
    trained_for = RELEASED.get(_name_under(folder, ckpts) or "", {})
    own = folder / "generation_config.json"
    return {**trained_for, **(read_json(own) if own.is_file() else {})}
