"""Which VAE made a set of latents: the one that is asked for, or the one among the checkpoints that is the same."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from lumos.hub.bundled import BUNDLED_MODELS, bundled_folder
from lumos.hub.hashes import sha256_of
from lumos.hub.models import SHARED_VAE, ckpts_root, find_folder
from lumos.look.report import LookRequest
from lumos.lumina_video.data.latents import VAEIdentity
from lumos.lumina_video.vae import WEIGHTS, CogVideoXVAE, is_vae

_PLACES = ("*", "*/*", "*/*/*")
_DIGITS = 12


@dataclass(frozen=True, kw_only=True)
class ChosenVAE:
    """The VAE of a set, not loaded, if there is one, and how that is known."""

    folder: Path | None
    identity: VAEIdentity | None
    """What is known of the one that made the latents; else of the one that decodes them."""
    said: str
    """For a person."""


def choose_vae(request: LookRequest, made_by: VAEIdentity | None, *, channels: int) -> ChosenVAE:
    """The VAE that gives latents of `channels` channels back; `made_by` is what their set says of it.

    Raises:
        ValueError: the one that is asked for is none, or did not make these latents.
    """
    if request.model is not None:
        return _asked(request, made_by)
    root = ckpts_root(request.ckpts)
    for name, folder in _folders(root):
        if (identity := _identity(folder)) is not None:
            if made_by is not None and _is_same(made_by, identity, folder):
                return ChosenVAE(folder=folder, identity=made_by, said=f"{name}, which made the latents")
            if made_by is None and identity.channels == channels and folder == root / SHARED_VAE:
                said = f"taken for {name}'s: no record says which VAE made the latents; --model takes another"
                return ChosenVAE(folder=folder, identity=identity, said=said)
    remedy = "give its folder, or its model, with --model"
    which = f" (sha256 {made_by.sha256[:_DIGITS]}...)" if made_by is not None and made_by.sha256 else ""
    said = f"the VAE that made the latents{which} is not in {root}; {remedy}"
    return ChosenVAE(folder=None, identity=made_by, said=said)


def _folders(root: Path) -> Iterator[tuple[str, Path]]:
    """Folders in which a VAE may be, with their names: the released one's, those of checkpoints and of our models."""
    yield str(SHARED_VAE), root / SHARED_VAE
    for place in _PLACES:
        for file in sorted(root.glob(f"{place}/{WEIGHTS}")):
            yield str(file.parent.relative_to(root)), file.parent
    for model in BUNDLED_MODELS:
        if (folder := bundled_folder(model)) is not None:
            yield f"{model}/vae", folder / "vae"


def _asked(request: LookRequest, made_by: VAEIdentity | None) -> ChosenVAE:
    found = (
        Path(str(request.model))
        if is_vae(Path(str(request.model)))
        else find_folder(request.model or "", ckpts_root(request.ckpts))
    )
    folder = next((place for place in (found, found / "vae") if is_vae(place)), None) if found is not None else None
    if folder is None:
        raise ValueError(f"--model {request.model}: no VAE there; give the folder of one, or of a model that has one")
    identity = VAEIdentity.of(CogVideoXVAE.without_weights(folder))
    if made_by is not None:
        made_by.require(replace(identity, sha256=sha256_of(folder / WEIGHTS)), said_by=f"--model {request.model}")
    return ChosenVAE(folder=folder, identity=made_by or identity, said=f"{request.model}, as asked")


def _identity(folder: Path) -> VAEIdentity | None:
    """Which VAE a folder holds, but for its hash; None where there is none, or a damaged one."""
    try:
        return VAEIdentity.of(CogVideoXVAE.without_weights(folder)) if is_vae(folder) else None
    except ValueError:
        return None


def _is_same(made_by: VAEIdentity, identity: VAEIdentity, folder: Path) -> bool:
    if replace(made_by, sha256="") != identity:
        return False
    return not made_by.sha256 or made_by.sha256 == sha256_of(folder / WEIGHTS)
