"""The parts of a model on disk: the network's own folder, and the encoders in it or shared under `ckpts/`.

NAME/                          config.json, model.safetensors (or a released folder: model_args.pth, ...)
  text_encoder/                a Gemma-2 of the hub's layout       else ckpts/google/gemma-2-2b
  tokenizer/tokenizer.json     or text_encoder/tokenizer.json      else beside the shared Gemma-2
  vae/                         a CogVideoX VAE of diffusers        else ckpts/THUDM/CogVideoX-2b/vae
  generation_config.json       width, height, num_frames, fps, preset (a name or an object), system_prompt, ...
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lumos.hub import models as hub
from lumos.hub.bundled import bundled
from lumos.hub.models import ADAPTER_FILES, SHARED_TEXT_ENCODER, SHARED_VAE
from lumos.lumina_video.checkpoint.weights import config_file, read_config, weight_files
from xllmx.safe.safetensors_file import refuse_pointer

_TOKENIZER = "tokenizer.json"
_VAE_WEIGHTS = "diffusion_pytorch_model.safetensors"


@dataclass(frozen=True, kw_only=True)
class LuminaVideoFiles:
    """Where the parts of one model lie, all of them present and of widths that fit."""

    name: str
    """Its path under `ckpts/`, or the whole path of a folder elsewhere."""
    model: Path
    """Folder of the network's config and weights."""
    text_encoder: Path
    """Folder of the Gemma-2."""
    tokenizer: Path
    """The file `tokenizer.json`."""
    vae: Path
    """Folder of the VAE."""
    defaults: dict[str, Any]
    """Settings of generation this model asks for (`generation_config.json`)."""
    lora: Path | None = None
    """Folder of adapters that are merged into the network."""

    @property
    def paths_to_hash(self) -> list[Path]:
        """The files that decide what the model makes: configs and weights of all parts, tokenizer, adapters."""
        network = [config_file(self.model), *weight_files(self.model)]
        text = [self.text_encoder / "config.json", *self.text_encoder_weights, self.tokenizer]
        adapters = [self.lora / name for name in ADAPTER_FILES] if self.lora else []
        return [*network, *text, self.vae / "config.json", self.vae_weights, *adapters]

    @property
    def text_encoder_weights(self) -> list[Path]:
        """The files of weights of the Gemma-2."""
        return hub.weight_files(self.text_encoder)

    @property
    def vae_weights(self) -> Path:
        """The file of weights of the VAE."""
        return self.vae / _VAE_WEIGHTS


def find_parts(folder: Path | str, ckpts: Path | str) -> LuminaVideoFiles:
    """Return where the parts of the model in `folder` lie; reads configs, no weights.

    A part in the model's own folder is taken, whatever is shared; a broken one is not passed over.

    Raises:
        ValueError: a part is missing (the message has the command that brings it), incomplete, or of another width.
    """
    folder, ckpts = Path(folder), Path(ckpts)
    config = read_config(folder)
    weight_files(folder)
    text_encoder = _own_or_shared(folder / "text_encoder", ckpts, SHARED_TEXT_ENCODER, "text encoder")
    vae = _own_or_shared(folder / "vae", ckpts, SHARED_VAE, "VAE")
    hub.check_weights(text_encoder)
    for needed in ("config.json", _VAE_WEIGHTS):
        if not (vae / needed).is_file():
            raise ValueError(f"the VAE {vae} lacks {needed}; copy it there, or run: lumos download {SHARED_VAE}")
        refuse_pointer(vae / needed)
    _check_width(text_encoder, "hidden_size", config.cap_feat_dim, "cap_feat_dim")
    _check_width(vae, "latent_channels", config.in_channels, "in_channels")
    own_defaults = folder / "generation_config.json"
    return LuminaVideoFiles(
        name=_name(folder, ckpts),
        model=folder,
        text_encoder=text_encoder,
        tokenizer=_tokenizer(folder, text_encoder),
        vae=vae,
        defaults=_defaults(own_defaults) if own_defaults.is_file() else {},
    )


def _defaults(path: Path) -> dict[str, Any]:
    """Return the settings a model asks for; they name no file, which whoever made the model would choose."""
    settings = hub.read_json(path)
    if isinstance(preset := settings.get("preset"), str) and Path(preset).suffix:
        raise ValueError(
            f"{path} names the preset file {preset[:200]!r}; write its keys there, or give it with --preset"
        )
    return settings


def _own_or_shared(own: Path, ckpts: Path, shared: Path, what: str) -> Path:
    for place in (own, ckpts / shared):
        if place.is_dir():
            return place
    raise ValueError(f"no {what}: neither {own} nor {ckpts / shared} is there; run: lumos download {shared}")


def _tokenizer(folder: Path, text_encoder: Path) -> Path:
    places = (folder / "tokenizer" / _TOKENIZER, text_encoder / _TOKENIZER)
    for place in places:
        if place.is_file():
            return place
    where = " nor ".join(map(str, places))
    raise ValueError(f"no text tokenizer: neither {where} is there; run: lumos download {SHARED_TEXT_ENCODER}")


def _check_width(part: Path, field: str, expected: int, ours: str) -> None:
    width = hub.read_json(part / "config.json").get(field)
    if width != expected:
        raise ValueError(
            f"{part} has {field} {width} and the model {ours} {expected}: they do not belong together; "
            "put the model's own part into its folder"
        )


def _name(folder: Path, ckpts: Path) -> str:
    folder = folder.resolve()
    for root in (ckpts.resolve(), bundled() / "ckpts"):
        if folder.is_relative_to(root):
            return folder.relative_to(root).as_posix()
    return str(folder)
