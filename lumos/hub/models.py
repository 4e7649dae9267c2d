"""From the name of a model to the local folder that holds it, and downloads into that folder.

    ckpts/
      lumos-tiny/                                  bundled; holds its own tokenizers
      1B/stage-1-image/ ...                        released weights, `lumos download 1B/stage-1-image`
      cosmos/tokenizer/text_tokenizer.json         shared by all released models
      cosmos/Cosmos-Tokenizer-DV4x8x8/             encoder.jit, decoder.jit
      <org>/<name>[/<folder>]                      any other hub repository

A tree placed there by hand is the same as a downloaded one: nothing is read but the files themselves.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lumos.hub import transfer
from xllmx.inside import inside
from xllmx.json_text import read_object
from xllmx.setting import suggestion

DEFAULT_MODEL = "lumos-tiny"
"""The model used when none is named; part of a checkout, never downloaded."""

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


def ckpts_root(root: str | Path | None = None) -> Path:
    """The folder of checkpoints: `root` when given, else the checkout's `ckpts/`, else that of the current folder."""
    if root is not None:
        return Path(root).expanduser()
    checkout = Path(__file__).resolve().parents[2]
    if (checkout / "pyproject.toml").is_file():
        return checkout / "ckpts"
    return Path.cwd() / "ckpts"


def resolve(name: str | Path = DEFAULT_MODEL, root: str | Path | None = None, *, weights: bool = True) -> ModelFiles:
    """The files of a model: a bundled or released name, a hub id (with a folder inside it or without), or a folder.

    Nothing is downloaded. `weights` False asks for the tokenizers and settings alone. Raises ValueError that names
    what is missing and the command that brings it.
    """
    ckpts = ckpts_root(root)
    folder = find_folder(name, ckpts)
    if folder is None:
        raise ValueError(_not_here(str(name), ckpts))
    if weights:
        check_weights(folder)
    return ModelFiles(
        name=str(name) if folder.is_relative_to(ckpts) else str(folder.resolve()),
        model=folder,
        text_tokenizer=_text_tokenizer(folder, ckpts),
        visual_tokenizer=_visual_tokenizer(folder, ckpts),
        defaults=_defaults(folder, ckpts),
    )


def find_folder(name: str | Path, ckpts: Path) -> Path | None:
    """The folder `name` stands for, or None: under `ckpts` by name first, then as a path of its own."""
    path = Path(name).expanduser()
    places = [path] if str(name).startswith((".", "~", "/")) else [ckpts / path, path]
    return next((place for place in places if place.is_dir()), None)


def check_weights(folder: Path) -> None:
    """Check that `folder` holds a config and every file of weights its index names; ValueError otherwise."""
    if any(folder.glob("*.part")):
        raise ValueError(f"the download of {folder} is not finished; run the same `lumos download` again, it resumes")
    if not (folder / "config.json").is_file():
        raise ValueError(f"{folder} has no config.json; a model folder holds config.json and model*.safetensors")
    weights = weight_files(folder)
    missing = [file.name for file in weights if not file.is_file()]
    if missing:
        raise ValueError(f"{folder} lacks {', '.join(missing)}, which its index names; copy or download them again")
    if not weights:
        names = "model.safetensors, pytorch_model.bin, or the .index.json of either with its shards"
        raise ValueError(f"{folder} has no weights ({names}); copy them there")


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
    """The object a JSON file holds; ValueError that names the file where it holds none (`xllmx.json_text`)."""
    return read_object(path)


def download(name: str, root: str | Path | None = None, *, revision: str = "main", endpoint: str | None = None) -> Path:
    """The folder of a model brought from the hub, with the tokenizers it needs, each checked; resumes what was cut.

    `name` is a released name, a hub id (`org/name` or `org/name/folder`), or `cosmos` for the tokenizers alone. The
    host is `endpoint`, else HF_ENDPOINT, else the public hub. Raises ValueError for a name that is none, OSError when
    the transfer fails.
    """
    ckpts = ckpts_root(root)
    if name in SHARED_NAMES:
        _download_text(ckpts, endpoint)
        _download_visual(ckpts, endpoint)
        return ckpts / SHARED_TEXT_TOKENIZER.parts[0]
    repo, subfolder = repository_of(name)
    folder = ckpts / name
    snapshot = transfer.open_snapshot(repo, revision=revision, endpoint=endpoint)
    wanted = model_files(snapshot.files, subfolder)
    transfer.fetch(snapshot, {path: folder / relative for path, relative in wanted.items()})
    for path in folder.glob("*.safetensors"):
        transfer.check_safetensors(path)
    if not any(place.is_file() for place in _text_places(folder, ckpts)):
        _download_text(ckpts, endpoint)
    if not any(map(_has_pair, _visual_places(folder, ckpts))):
        _download_visual(ckpts, endpoint)
    return resolve(name, root).model


def model_files(listing: Sequence[str], subfolder: str) -> dict[str, str]:
    """What to fetch of a repository's folder: its path there -> its path in the model folder, `config.json` last.

    Weights in safetensors make those in .bin needless; logs, optimizer states and sub-runs are left where they are.
    Raises ValueError when the folder holds no model.
    """
    prefix = f"{subfolder}/" if subfolder else ""
    inside = [path.removeprefix(prefix) for path in listing if path.startswith(prefix)]
    safe = [path for path in inside if re.fullmatch(r"model[\w.-]*\.safetensors(\.index\.json)?", path)]
    weights = safe or [path for path in inside if re.fullmatch(r"pytorch_model[\w.-]*\.bin(\.index\.json)?", path)]
    if not weights or "config.json" not in inside:
        folders = sorted({path.rpartition("/")[0] for path in listing if path.endswith("config.json")})
        where = f"the folder {subfolder!r} of the repository" if subfolder else "the repository"
        raise ValueError(f"{where} holds no model; folders with one: {', '.join(map(repr, folders)) or 'none'}")
    extra = ("generation_config.json", TEXT_TOKENIZER, *(f"visual_tokenizer/{file}" for file in VISUAL_PAIR))
    chosen = [*(path for path in extra if path in inside), *weights, "config.json"]
    return {prefix + path: path for path in chosen}


def _download_text(ckpts: Path, endpoint: str | None) -> None:
    _download_shared(LUMOS_REPO, (TEXT_TOKENIZER,), ckpts / SHARED_TEXT_TOKENIZER.parent, endpoint=endpoint)


def _download_visual(ckpts: Path, endpoint: str | None) -> None:
    wanted = (*VISUAL_PAIR, "autoencoder.jit")
    _download_shared(COSMOS_REPO, wanted, ckpts / SHARED_VISUAL_TOKENIZER, endpoint=endpoint)


def _download_shared(repo: str, names: tuple[str, ...], folder: Path, *, endpoint: str | None) -> None:
    """Bring files of those names, wherever they stand in the repository, into one folder."""
    snapshot = transfer.open_snapshot(repo, endpoint=endpoint)
    found = {path: folder / Path(path).name for path in snapshot.files if Path(path).name in names}
    if not found:
        raise ValueError(f"{repo} holds no {' or '.join(names)}; copy it to {folder} by hand")
    transfer.fetch(snapshot, found)


def repository_of(name: str) -> tuple[str, str]:
    """The hub repository and the folder inside it that `name` stands for; ValueError if it is no name on the hub."""
    if name in RELEASED:
        return LUMOS_REPO, name
    if name == DEFAULT_MODEL:
        raise ValueError(f"{name!r} is not downloaded: it is part of a checkout (ckpts/{name}); clone the repository")
    parts = name.split("/")
    if len(parts) < 2 or not all(re.fullmatch(r"\w[\w.-]*", part) for part in parts) or parts[0] in ("1B", "3B"):
        raise ValueError(f"{name!r} is no model on the hub; {_suggest(name)}")
    return "/".join(parts[:2]), "/".join(parts[2:])


def _not_here(name: str, ckpts: Path) -> str:
    """What to do about a model that is not on this machine."""
    if name == DEFAULT_MODEL:
        return (
            f"the bundled model {name!r} is not in {ckpts}; run from a checkout, or point --ckpts at its ckpts folder"
        )
    try:
        repository_of(name)
    except ValueError:
        return f"there is no model {name!r}: no such folder, here or in {ckpts}; {_suggest(name)}"
    return f"the model {name!r} is not in {ckpts}; run: lumos download {name}"


def _suggest(name: str) -> str:
    known = [DEFAULT_MODEL, *RELEASED]
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


def _defaults(folder: Path, ckpts: Path) -> dict[str, Any]:
    trained_for = RELEASED.get(_name_under(folder, ckpts) or "", {})
    own = folder / "generation_config.json"
    return {**trained_for, **(read_json(own) if own.is_file() else {})}
