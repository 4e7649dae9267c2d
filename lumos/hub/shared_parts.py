"""Parts that all models of a kind use: where they come from, where they lie under `ckpts/`, which files they are."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lumos.hub.models import (
    COSMOS_REPO,
    LUMOS_REPO,
    SHARED_NAMES,
    SHARED_TEXT_ENCODER,
    SHARED_TEXT_TOKENIZER,
    SHARED_VAE,
    SHARED_VISUAL_TOKENIZER,
    TEXT_TOKENIZER,
    VISUAL_PAIR,
    check_weights,
)

SEE_PAGE = "see its page"
"""The licence of weights of which nothing more is known here."""

SAFETENSORS = r"model[\w.-]*\.safetensors(\.index\.json)?"
"""Names of files of weights, as transformers writes them."""

VAE_FILES = ("diffusion_pytorch_model.safetensors", "config.json")
"""Of a VAE, as diffusers writes it."""


@dataclass(frozen=True, kw_only=True)
class SharedPart:
    """A part that all models of a kind use, at its place under `ckpts/`."""

    name: str
    repo: str
    what: str
    licence: str
    place: Path
    wanted: Callable[[Sequence[str]], dict[str, str]]
    """Listing of the repository -> path there: path in the part's folder."""
    check: Callable[[Path], None]
    """Raises ValueError unless the folder holds it."""
    names: tuple[str, ...]
    """What `download` calls it when it is asked for by itself."""


def matching(paths: Sequence[str], pattern: str) -> list[str]:
    """Return the paths that match a pattern as a whole."""
    return [path for path in paths if re.fullmatch(pattern, path)]


def _by_file_name(*names: str) -> Callable[[Sequence[str]], dict[str, str]]:
    """Return a choice of the files of those names, wherever they stand in the repository."""
    return lambda listing: {path: Path(path).name for path in listing if Path(path).name in names}


def _in_folder(subfolder: str, pattern: str) -> Callable[[Sequence[str]], dict[str, str]]:
    """Return a choice of the files of one folder of the repository."""
    prefix = f"{subfolder}/" if subfolder else ""
    return lambda listing: {path: path.removeprefix(prefix) for path in matching(listing, prefix + pattern)}


def _require(*names: str) -> Callable[[Path], None]:
    def check(folder: Path) -> None:
        if missing := [name for name in names if not (folder / name).is_file()]:
            raise ValueError(f"{folder} lacks {', '.join(missing)}")

    return check


def _check_text_encoder(folder: Path) -> None:
    _require("config.json", "tokenizer.json")(folder)
    check_weights(folder)


TEXT = SharedPart(
    name=LUMOS_REPO,
    repo=LUMOS_REPO,
    what="text tokenizer",
    licence=SEE_PAGE,
    place=SHARED_TEXT_TOKENIZER.parent,
    wanted=_by_file_name(TEXT_TOKENIZER),
    check=_require(TEXT_TOKENIZER),
    names=SHARED_NAMES,
)
VISUAL = SharedPart(
    name=COSMOS_REPO,
    repo=COSMOS_REPO,
    what="visual tokenizer",
    licence="NVIDIA's own (gated), see its page",
    place=SHARED_VISUAL_TOKENIZER,
    wanted=_by_file_name(*VISUAL_PAIR, "autoencoder.jit"),
    check=_require(*VISUAL_PAIR),
    names=SHARED_NAMES,
)
GEMMA = SharedPart(
    name=str(SHARED_TEXT_ENCODER),
    repo=str(SHARED_TEXT_ENCODER),
    what="text encoder",
    licence="Gemma terms of use (gated), see its page",
    place=SHARED_TEXT_ENCODER,
    wanted=_in_folder("", rf"tokenizer\.json|{SAFETENSORS}|config\.json"),
    check=_check_text_encoder,
    names=(str(SHARED_TEXT_ENCODER),),
)
VAE = SharedPart(
    name=str(SHARED_VAE),
    repo=str(SHARED_VAE.parent),
    what="VAE",
    licence="Apache-2.0, see its page",
    place=SHARED_VAE,
    wanted=_in_folder("vae", f"({'|'.join(VAE_FILES)})"),
    check=_require(*VAE_FILES),
    names=(str(SHARED_VAE), str(SHARED_VAE.parent)),
)
SHARED = (TEXT, VISUAL, GEMMA, VAE)
