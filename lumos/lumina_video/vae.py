"""Clips to latents and back with the VAE of CogVideoX: 8x in space, 4x in time (README section 5).

It runs over a clip in groups, and normalises over all frames of a group: every latent depends on its whole group, so
the grouping is part of the numbers.

    frames      0 1 2 3 | 4 5 6 7 | ...        4m frames are m latents, all alike; the groups are of 32 frames
    latents        0         1      ...        an even number of latents decodes to 4 frames each, in groups of two

The library gives a one-frame latent to a clip of 4m + 1 frames, and 4n - 3 frames to an odd number n of latents. Here
neither happens: a clip has 4m frames, and an odd number of latents is decoded with its last one repeated.
"""

from pathlib import Path
from typing import Any, cast

import torch
from diffusers.models import AutoencoderKLCogVideoX
from jaxtyping import Float
from torch import Tensor

from lumos.hub.models import read_json
from lumos.lumina_video.checkpoint.tensor_files import TensorFiles, check_shapes, fill
from xllmx.settings.number_range import Range, check_number

WEIGHTS = "diffusion_pytorch_model.safetensors"

RELEASED_FRAMES_PER_GROUP = 32
"""Of the latents the released weights were trained on; the library's own is 8 and gives other latents."""

GROUP_KEY = "_frames_per_group"
"""In `config.json`: frames per group that weights of one's own were trained with. Diffusers skips names with `_`."""


_MOST_LEVELS = 8
_WIDTH = Range(1, 2**16)
_FIELDS: dict[str, tuple[Any, Range]] = {
    **dict.fromkeys(("in_channels", "out_channels"), (int, Range(3, 3))),
    **dict.fromkeys(("latent_channels", "norm_num_groups", "sample_height", "sample_width"), (int, _WIDTH)),
    "block_out_channels": (list[int], _WIDTH),
    "layers_per_block": (int, Range(1, 100)),
    "temporal_compression_ratio": (float, Range(1, 64)),
    "norm_eps": (float, Range(0, 1, above=True)),
    "scaling_factor": (float, Range(1e-6, 10**6)),
    "shift_factor": (float | None, Range(-(10**6), 10**6)),
}
"""Field of `config.json` -> its type and what it may be."""


class NotFiniteError(ValueError):
    """The network gave NaN or infinity."""


class CogVideoXVAE:
    """Pixels to latents of about unit variance, and back, one clip at a time."""

    clips_at_once = 1
    """How many clips are encoded together; more are faster where they are small, and take as many times the memory."""

    def __init__(
        self,
        model: AutoencoderKLCogVideoX,
        *,
        frames_per_group: int | None = None,
        tiled: bool = False,
    ) -> None:
        """Wrap the network of diffusers.

        Args:
            model: the network; its groups and tiling are set here.
            frames_per_group: frames that are encoded together, a multiple of 4; None is what the model's config says
                (`GROUP_KEY`), or else that of the released weights.
            tiled: encode and decode pictures larger than the VAE's tile (half its `sample_height` and `sample_width`;
                360x240 px for the released one) in overlapping tiles. A few times less memory, and slightly other
                numbers: off unless asked for, as in the release.

        Raises:
            ValueError: `frames_per_group` is no multiple of the frames of a latent, or tiles would not fit together.
        """
        self.model = model.eval().requires_grad_(False)
        if frames_per_group is None:
            frames_per_group = self.model.config.get(GROUP_KEY, RELEASED_FRAMES_PER_GROUP)
        if (
            not isinstance(frames_per_group, int)
            or isinstance(frames_per_group, bool)
            or frames_per_group < 1
            or frames_per_group % self.temporal
        ):
            raise ValueError(
                f"frames_per_group={frames_per_group} must be a multiple of {self.temporal}; "
                f"use {RELEASED_FRAMES_PER_GROUP} for latents that go with released weights"
            )
        self.model.num_sample_frames_batch_size = frames_per_group
        if tiled:
            self._check_tiles()
        self.model.use_tiling = tiled

    @classmethod
    def from_pretrained(
        cls,
        folder: str | Path,
        *,
        frames_per_group: int | None = None,
        tiled: bool = False,
        device: str | torch.device = "cpu",
        dtype: torch.dtype | None = None,
    ) -> "CogVideoXVAE":
        """Load the VAE from a folder of diffusers: `config.json` and `diffusion_pytorch_model.safetensors`.

        `dtype` None keeps that of the file; the rest is as in the constructor.

        Raises:
            ValueError: a file is missing or damaged, or is of another VAE.
        """
        vae = cls.without_weights(folder, frames_per_group=frames_per_group, tiled=tiled)
        fill(vae.model, TensorFiles([Path(folder) / WEIGHTS]), device=device, dtype=dtype)
        return vae

    @classmethod
    def without_weights(
        cls, folder: str | Path, *, frames_per_group: int | None = None, tiled: bool = False
    ) -> "CogVideoXVAE":
        """Return the VAE of a folder as far as can be told without reading its weights: what they are like is checked.

        It knows `spatial`, `temporal`, `channels` and `scale`, and encodes and decodes nothing.

        Raises:
            ValueError: as `from_pretrained`, but for numbers in the weights.
        """
        folder = Path(folder)
        config = read_vae_config(folder)
        try:
            with torch.device("meta"):
                model = AutoencoderKLCogVideoX.from_config(config)
        except (TypeError, ValueError, KeyError, IndexError, RuntimeError, ZeroDivisionError) as error:
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise ValueError(f"{folder / 'config.json'} describes no VAE ({reason}); copy it again") from error
        check_shapes(model, TensorFiles([folder / WEIGHTS]).shapes, source=folder)
        return cls(model, frames_per_group=frames_per_group, tiled=tiled)

    @classmethod
    def published(cls, *, tiled: bool = False) -> "CogVideoXVAE":
        """Return the released VAE without weights: its shape is the one that the library gives by default."""
        with torch.device("meta"):
            return cls(AutoencoderKLCogVideoX(), tiled=tiled)

    @property
    def num_parameters(self) -> int:
        """Return how many numbers its weights are."""
        return sum(weight.numel() for weight in self.model.parameters())

    @property
    def spatial(self) -> int:
        """Pixels per latent along height and width."""
        return 2 ** (len(self.model.config["block_out_channels"]) - 1)

    @property
    def temporal(self) -> int:
        """Frames per latent frame."""
        return int(self.model.config["temporal_compression_ratio"])

    @property
    def channels(self) -> int:
        """C, the number of channels of a latent."""
        return int(self.model.config["latent_channels"])

    @property
    def scale(self) -> float:
        """What the network's latents are multiplied with to have about unit variance (1.15258426 for the released)."""
        return float(self.model.config["scaling_factor"])

    @torch.no_grad()
    def encode(self, pixels: Float[Tensor, "B 3 F Hpx Wpx"]) -> Float[Tensor, "B C T H W"]:
        """Latents of clips of F = 4T frames or of images (F = 1), pixels in [-1, 1]: scale * the posterior's mode.

        They have the dtype the VAE computes in.

        Raises:
            ValueError: other numbers of frames; a side that is no multiple of 8; latents that are not finite
                (`NotFiniteError`).
        """
        self._check_pixels(pixels)
        clips = []
        for part in pixels.split(self.clips_at_once):
            posterior = self.model.encode(part.to(self.model.device, self.model.dtype)).latent_dist
            clips.append(self._finite(posterior.mode() * self.scale, "latents of the encoder"))
        return torch.cat(clips)

    @torch.no_grad()
    def decode(self, latents: Float[Tensor, "B C T H W"], num_frames: int) -> Float[Tensor, "B 3 F Hpx Wpx"]:
        """Exactly `num_frames` = 4T frames (or 1 of an image's only latent), fp32, about [-1, 1] (not clamped).

        An odd number of latents gets a copy of its last one, whose frames are cut off again: it touches none but its
        own group of two.

        Raises:
            ValueError: `num_frames` or the channels do not fit the latents; pixels that are not finite.
        """
        self._check_latents(latents, num_frames)
        if latents.shape[2] % 2 and num_frames > 1:
            latents = torch.cat([latents, latents[:, :, -1:]], dim=2)
        clips = []
        for clip in latents.split(1):
            scaled_back = (clip / self.scale).to(self.model.device, self.model.dtype)
            frames = self.model.decode(scaled_back).sample[:, :, :num_frames]
            wanted = (1, 3, num_frames, *(self.spatial * side for side in clip.shape[3:]))
            if tuple(frames.shape) != wanted:
                found = f"the VAE makes pixels {list(frames.shape)} where {list(wanted)} belong"
                raise ValueError(f"{found}; use the model's own VAE")
            clips.append(self._finite(frames.float(), "pixels of the decoder"))
        return torch.cat(clips)

    def decoding_bytes(self, width: int, height: int, *, itemsize: int) -> int:
        """Return the bytes that decoding takes at least: what the last level reads and writes of the frames at once.

        Args:
            width: of the frames, in pixels.
            height: likewise.
            itemsize: bytes of a number it computes with.
        """
        pixels = width * height
        if self.model.use_tiling:
            pixels = min(pixels, self.model.tile_sample_min_height * self.model.tile_sample_min_width)
        frames = self.temporal * self.model.num_latent_frames_batch_size
        return 2 * frames * pixels * self.model.config["block_out_channels"][0] * itemsize

    def _check_tiles(self) -> None:
        """They overlap by a sixth of their height and a fifth of their width, which must be whole latents."""
        height, width = self.model.tile_sample_min_height, self.model.tile_sample_min_width
        step_y, step_x = 6 * self.spatial, 5 * self.spatial
        if height % step_y or width % step_x:
            raise ValueError(
                f"tiles of {width}x{height} px (half of sample_width and sample_height of the VAE's config) do not fit "
                f"together: they must be multiples of {step_x} and {step_y}; use tiled=False"
            )

    def _check_pixels(self, pixels: Tensor) -> None:
        num_frames, height, width = pixels.shape[2:]
        if height % self.spatial or width % self.spatial:
            raise ValueError(f"pictures of {width}x{height} px: both sides must be multiples of {self.spatial}")
        if num_frames != 1 and num_frames % self.temporal:
            below = num_frames // self.temporal * self.temporal
            nearest = f"{max(below, 1)} or {below + self.temporal}"
            raise ValueError(
                f"a clip of {num_frames} frames: the VAE takes multiples of {self.temporal} (or 1, an image); "
                f"cut it to {nearest}"
            )

    def _check_latents(self, latents: Tensor, num_frames: int) -> None:
        channels, num_latents = latents.shape[1:3]
        if channels != self.channels:
            raise ValueError(f"latents of {channels} channels: this VAE has {self.channels}; use the model's own VAE")
        whole = self.temporal * num_latents
        if num_frames != whole and (num_latents, num_frames) != (1, 1):
            raise ValueError(f"{num_latents} latent frames are {whole} frames, asked for {num_frames}; ask for {whole}")

    def _finite(self, tensor: Tensor, what: str) -> Tensor:
        if not bool(tensor.isfinite().all()):
            dtype = str(self.model.dtype).removeprefix("torch.")
            raise NotFiniteError(f"{what} are not finite (the VAE computes in {dtype}); run it in float32")
        return tensor


def is_vae(folder: Path) -> bool:
    """Whether a folder has the config of a CogVideoX VAE; reads nothing else."""
    file = folder / "config.json"
    return file.is_file() and read_json(file).get("_class_name") == AutoencoderKLCogVideoX.__name__


def read_vae_config(folder: Path) -> dict[str, object]:
    """Return the config of a CogVideoX VAE in a folder; reads nothing else.

    Raises:
        ValueError: there is none, or it is of another VAE.
    """
    file = folder / "config.json"
    if not folder.is_dir():
        raise ValueError(
            f"there is no VAE {folder}, neither a folder nor the name of a model: correct it, or run: "
            "lumos download THUDM/CogVideoX-2b/vae"
        )
    if not file.is_file():
        raise ValueError(f"VAE {folder} has no config.json; run: lumos download THUDM/CogVideoX-2b/vae")
    config = read_json(file)
    if (kind := config.get("_class_name")) != AutoencoderKLCogVideoX.__name__:
        found = kind or config.get("model_type")
        raise ValueError(
            f"{folder} holds {f'a model of class {found!r}' if found else 'no VAE'}, the VAE is an "
            f"{AutoencoderKLCogVideoX.__name__}; run: lumos download THUDM/CogVideoX-2b/vae"
        )
    for name, (hint, range_) in _FIELDS.items():
        if name in config:
            try:
                check_number(name, hint, config[name], range_)
            except ValueError as error:
                raise ValueError(f"{file}: {error}") from error
    if not 1 <= len(cast(list, config.get("block_out_channels", [1]))) <= _MOST_LEVELS:
        raise ValueError(f"{file}: block_out_channels must be a list of 1 to {_MOST_LEVELS}; copy it again")
    return config
