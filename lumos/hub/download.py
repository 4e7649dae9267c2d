"""Models of the hub -> folders of `ckpts/`: what a name brings, part by part, sized before the first byte comes.

A part is what comes from one repository into one folder. A model of Lumos-1 takes two tokenizers beside its own files,
one of Lumina-Video a text encoder and a VAE, unless its repository holds them; they are shared and brought once.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lumos.hub import transfer
from lumos.hub.models import (
    LUMINA_REPO,
    LUMINA_VIDEO,
    LUMOS1,
    MODEL_ARGS,
    SHARED_NAMES,
    SHARED_TEXT_TOKENIZER,
    TEXT_TOKENIZER,
    VISUAL_PAIR,
    ckpts_root,
    kind_of_type,
    repository_of,
    resolve,
)
from lumos.hub.shared_parts import (
    GEMMA,
    SAFETENSORS,
    SEE_PAGE,
    SHARED,
    TEXT,
    VAE,
    VAE_FILES,
    VISUAL,
    SharedPart,
    matching,
)
from xllmx.safe.json_text import parse_json
from xllmx.safe.safetensors_file import check_safetensors

_LICENCES = {LUMINA_REPO: "Apache-2.0, see its page"}
"""Of the weights in a repository."""

_WHAT = {LUMOS1: "model of Lumos-1", LUMINA_VIDEO: "model of Lumina-Video"}
_BIN = r"pytorch_model[\w.-]*\.bin(\.index\.json)?"
_CONSOLIDATED = r"consolidated\.\d+-of-\d+\."


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part of a model: what it is, where it goes, and what of it is still to come."""

    name: str
    """Repository of the hub, with the folder inside it."""
    what: str
    """Its use, for people."""
    licence: str
    """Of its weights."""
    folder: Path
    """Where its files go."""
    files: tuple[transfer.RemoteFile, ...] = ()
    """Those that are not here yet, in the order in which they come."""
    here: tuple[transfer.RemoteFile, ...] = ()
    """Those that were compared with the hub's and are whole."""
    barred: transfer.LicenceError | None = None
    """Why it cannot be had yet: somebody has to accept its licence first."""

    @property
    def num_bytes(self) -> int:
        """Bytes still to come."""
        return sum(file.num_bytes_left for file in self.files)


def download(
    name: str,
    root: str | Path | None = None,
    *,
    revision: str = "main",
    endpoint: str | None = None,
    on_part: Callable[[Part], None] | None = None,
) -> Path:
    """Bring a model from the hub with the parts it needs, each checked; return its folder. Resumes what was cut.

    Args:
        name: a released name, a hub id (`org/name` or `org/name/folder`), `cosmos` for the tokenizers of Lumos-1, or
            the text encoder or the VAE of Lumina-Video by its own.
        root: the folder of checkpoints.
        revision: branch, tag or commit of the model's repository.
        endpoint: the host; None is HF_ENDPOINT, else the public hub.
        on_part: called with every part, before the first byte comes.

    Raises:
        ValueError: a name that is none, a repository that holds no model.
        TransferError: it does not fit on the disk, the transfer fails, or a licence must be accepted first; parts that
            are open to all have been brought by then.
    """
    parts = parts_of(name, root, revision=revision, endpoint=endpoint)
    if on_part is not None:
        for part in parts:
            on_part(part)
    files = [file for part in parts for file in part.files]
    transfer.check_space(files)
    for whole in (file for part in parts for file in part.here):
        transfer.keep(whole)
    for file in files:
        transfer.fetch(file)
        if file.place.suffix == ".safetensors":
            check_safetensors(file.place)
    for barred in (part.barred for part in parts if part.barred):
        raise barred
    if name in SHARED_NAMES:
        return ckpts_root(root) / SHARED_TEXT_TOKENIZER.parts[0]
    is_lumos1 = parts[0].what == _WHAT[LUMOS1]
    return resolve(name, root).model if is_lumos1 else parts[0].folder


def parts_of(
    name: str, root: str | Path | None = None, *, revision: str = "main", endpoint: str | None = None
) -> list[Part]:
    """Return what `download` of this name would bring; nothing is written.

    A shared part that is here whole is not asked for again; the model itself is compared with the hub.

    Raises:
        ValueError, TransferError: as `download`; an unaccepted licence is said in the part.
    """
    ckpts = ckpts_root(root)
    alone = [shared for shared in SHARED if name in shared.names]
    if alone:
        return [_asked_for(shared, ckpts, endpoint) for shared in alone]
    repo, subfolder = repository_of(name)
    folder = ckpts / name
    try:
        snapshot = transfer.open_snapshot(repo, revision=revision, endpoint=endpoint)
        kind, wanted = _model_files(snapshot, subfolder, folder)
        files, here = transfer.compare_files(snapshot, {path: folder / relative for path, relative in wanted.items()})
    except transfer.LicenceError as error:
        return [Part(name=name, what="model", licence=_licence(repo), folder=folder, barred=error)]
    model = Part(name=name, what=_WHAT[kind], licence=_licence(repo), folder=folder, files=files, here=here)
    own = set(wanted.values())
    return [model, *(_needed(shared, ckpts, endpoint) for shared in _shared_by(kind, own, folder))]


def model_files(listing: Sequence[str], subfolder: str) -> dict[str, str]:
    """Return what to fetch of a repository's folder: its path there -> its path in the model folder, config last.

    Weights in safetensors make those in other formats needless; logs, optimizer states, averages and sub-runs are left
    where they are. A released model of Lumina-Video may lie in a folder of its own inside.

    Raises:
        ValueError: the folder holds no model, or several.
    """
    prefix = f"{subfolder}/" if subfolder else ""
    inside = [path.removeprefix(prefix) for path in listing if path.startswith(prefix)]
    released = [path.removesuffix(MODEL_ARGS) for path in inside if Path(path).name == MODEL_ARGS]
    if len(released) > 1:
        several = ", ".join(repr(prefix + path.removesuffix("/")) for path in released)
        raise ValueError(f"there are several models in the repository: name the folder of one, {several}")
    if released:
        prefix += released[0]
        inside = [path.removeprefix(released[0]) for path in inside if path.startswith(released[0])]
        config, patterns = MODEL_ARGS, (_CONSOLIDATED + "safetensors", _CONSOLIDATED + "pth")
    else:
        config, patterns = "config.json", (SAFETENSORS, _BIN)
    weights: list[str] = next(filter(None, (matching(inside, pattern) for pattern in patterns)), [])
    if not weights or config not in inside:
        folders = sorted(
            {path.rpartition("/")[0] for path in listing if Path(path).name in ("config.json", MODEL_ARGS)}
        )
        where = f"the folder {subfolder!r} of the repository" if subfolder else "the repository"
        raise ValueError(f"{where} holds no model; folders with one: {', '.join(map(repr, folders)) or 'none'}")
    parts = "|".join(("generation_config.json", TEXT_TOKENIZER, rf"visual_tokenizer/({'|'.join(VISUAL_PAIR)})"))
    encoders = rf"(tokenizer|text_encoder)/tokenizer\.json|text_encoder/({SAFETENSORS}|config\.json)"
    vae = rf"vae/({'|'.join(VAE_FILES)})"
    chosen = [*matching(inside, f"{parts}|{encoders}|{vae}"), *weights, config]
    return {prefix + path: path for path in chosen}


def _model_files(snapshot: transfer.Snapshot, subfolder: str, folder: Path) -> tuple[str, dict[str, str]]:
    """Return which model a repository holds, and its files; a config that is not here yet is read from the hub."""
    wanted = model_files(snapshot.files, subfolder)
    *_, config = wanted
    if wanted[config] == MODEL_ARGS:
        return LUMINA_VIDEO, wanted
    here = folder / wanted[config]
    text = here.read_bytes() if here.is_file() else transfer.read_small(snapshot, config)
    where = str(here) if here.is_file() else f"{snapshot.repo}/{config}"
    return kind_of_type(_object(text, where).get("model_type"), where=f"{snapshot.repo}/{config}"), wanted


def _object(text: bytes, where: str) -> Mapping[str, object]:
    content = parse_json(text, where)
    if not isinstance(content, dict):
        raise ValueError(f"{where} holds no JSON object; it is no model's, take another")
    return content


def _shared_by(kind: str, own: set[str], folder: Path) -> list[SharedPart]:
    """Return the shared parts that a model needs: those that are neither in its repository nor in its folder."""
    if kind == LUMINA_VIDEO:
        marks = {GEMMA: "text_encoder/config.json", VAE: "vae/config.json"}
    else:
        marks = {TEXT: TEXT_TOKENIZER, VISUAL: f"visual_tokenizer/{VISUAL_PAIR[0]}"}
    return [shared for shared, mark in marks.items() if mark not in own and not (folder / mark).is_file()]


def _needed(shared: SharedPart, ckpts: Path, endpoint: str | None) -> Part:
    """Return a part as it is here, or else what of it is to come."""
    try:
        shared.check(ckpts / shared.place)
    except ValueError:
        return _asked_for(shared, ckpts, endpoint)
    return Part(name=shared.name, what=shared.what, licence=shared.licence, folder=ckpts / shared.place)


def _asked_for(shared: SharedPart, ckpts: Path, endpoint: str | None) -> Part:
    files: tuple[transfer.RemoteFile, ...] = ()
    here: tuple[transfer.RemoteFile, ...] = ()
    barred = None
    try:
        snapshot = transfer.open_snapshot(shared.repo, endpoint=endpoint)
        wanted = shared.wanted(snapshot.files)
        if not wanted:
            raise ValueError(f"{shared.repo} holds no {shared.what}; copy it to {ckpts / shared.place} by hand")
        files, here = transfer.compare_files(snapshot, {path: ckpts / shared.place / wanted[path] for path in wanted})
    except transfer.LicenceError as error:
        barred = error
    return Part(
        name=shared.name,
        what=shared.what,
        licence=shared.licence,
        folder=ckpts / shared.place,
        files=files,
        here=here,
        barred=barred,
    )


def _licence(repo: str) -> str:
    return _LICENCES.get(repo, SEE_PAGE)
