"""The VAE as a task of the engine: rendered clips through its latents and back, the loss their error.

The network is diffusers' own, called as `CogVideoXVAE` calls it: a clip is coded and decoded in groups of 8 frames
(two latents), each group knowing the one before it through the caches of its causal convolutions. Streams differ in
what of a clip they show:

    images     windows of one frame
    clips      windows of one group of 8 frames      small, and full of edges: most is learnt from these
    chained    two groups one after the other        whole pictures, as in use: the norms see all of them, and objects
                                                     stay whole at the border between groups
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from diffusers.models import AutoencoderKLCogVideoX
from torch import Tensor, nn

from lumos.lumina_video.checkpoint.tensor_files import check_shapes
from lumos.lumina_video.training.parts.balance import balance_channels
from lumos.lumina_video.vae import GROUP_KEY
from lumos.shapes import render, sample_spec
from xllmx.finite import check_weights
from xllmx.loss import LossOutput
from xllmx.rng import sample_generator, seed_for
from xllmx.run.whole_training import network_weights
from xllmx.settings.number_range import SHARE, Range, check_numbers
from xllmx.settings.setting import SettingError
from xllmx.task import Prepared

FRAMES_PER_GROUP = 8
"""Two latents: what diffusers encodes at once by itself, and what every decoder decodes at once."""

FRAMES_OF = {"images": 1, "clips": FRAMES_PER_GROUP, "chained": 2 * FRAMES_PER_GROUP}
"""Stream -> frames of its samples."""

_SCALED_ON = 32  # clips from whose latents the scale is measured
_SEEN = 12.0  # a window whose values deviate by more than this (of 255) shows an edge


@dataclass(frozen=True, kw_only=True)
class VAENetworkConfig:
    """Sizes of the network, by their names in diffusers; all else is as in CogVideoX."""

    block_out_channels: Annotated[tuple[int, ...], Range(1, 2**16)] = (16, 32, 64, 64)
    """Channels at 1, 1/2, 1/4 and 1/8 of the picture's sides."""
    layers_per_block: Annotated[int, Range(1, 100)] = 1
    """Residual blocks at each of them in the encoder; the decoder has one more."""
    norm_num_groups: Annotated[int, Range(1, 2**16)] = 8
    """Groups of channels that are normalised together."""
    latent_channels: Annotated[int, Range(1, 2**16)] = 16
    """C of the latents."""

    def __post_init__(self) -> None:
        check_numbers(self, "task.network.")
        if bad := [channels for channels in self.block_out_channels if channels % self.norm_num_groups]:
            rule = f"each must be a multiple of norm_num_groups={self.norm_num_groups}"
            raise SettingError("task.network.block_out_channels", f"has {bad[0]}; {rule}")


@dataclass(frozen=True, kw_only=True)
class VAETaskConfig:
    """The network, the clips it learns from and the weights of its losses."""

    network: VAENetworkConfig = field(default_factory=VAENetworkConfig)
    """Sizes of the network."""
    init_from: Path | None = None
    """Weights to start from: the `network.safetensors` of an earlier run's folder; None starts afresh."""
    balance: Annotated[float, SHARE] = 0.0
    """How far the channels of the latents of `init_from` are made alike before the training (`balance_channels`)."""
    freeze_encoder: bool = False
    """Train the decoder only: latents made before stay right."""
    num_clips: Annotated[int, Range(1, 10**7)] = 20000
    """Clips of the bundled world, rendered on the fly from their number."""
    num_eval_clips: Annotated[int, Range(1, 10**7)] = 256
    """Held-out clips, of 16 frames."""
    size_px: Annotated[int, Range(1, 8192)] = 64
    """Height and width of the clips."""
    fps: Annotated[int, Range(1, 1000)] = 8
    """Frames a second."""
    crop_px: Annotated[int, Range(0, 8192)] = 32
    """Side of the square windows of images and clips. 0: whole pictures."""
    extras: Annotated[float, SHARE] = 0.2
    """Chance of a shape and of a colour that only training shows."""
    noise: Annotated[float, Range(0, 1000)] = 0.1
    """Deviation of the noise that is added to the unscaled latents before they are decoded; the more, the more of a
    sampler's error the decoder forgives."""
    l1_weight: Annotated[float, Range(0, 10**6)] = 1.0
    """Weight of the mean absolute error beside the mean squared one."""

    def __post_init__(self) -> None:
        check_numbers(self, "task.")
        if self.balance and self.init_from is None:
            raise ValueError("task.balance is of latents that mean something; give task.init_from, or balance=0")
        for name in ("size_px", "crop_px"):
            if getattr(self, name) % self.pixels_per_latent:
                step = self.pixels_per_latent
                raise ValueError(f"task.{name} is {getattr(self, name)}; it must be a multiple of {step}")
        if not 0 <= self.crop_px <= self.size_px:
            raise ValueError(f"task.crop_px is {self.crop_px}; it must lie between 0 and size_px={self.size_px}")

    @property
    def pixels_per_latent(self) -> int:
        """Pixels per latent along height and width."""
        return 2 ** (len(self.network.block_out_channels) - 1)


class RenderedClips:
    """Sample i of a stream, uint8 [3, F, H, W], rendered when it is asked for; the same for the same seed."""

    def __init__(self, config: VAETaskConfig, *, num: int, seed: int, num_frames: int, extras: float) -> None:
        self._config, self._num, self._seed = config, num, seed
        self._num_frames, self._extras = num_frames, extras
        self.lengths: Sequence[int] = [1] * num

    def __len__(self) -> int:
        return self._num

    def __getitem__(self, index: int) -> Tensor:
        side, rng = self._config.size_px, random.Random(seed_for(self._seed, index))
        spec = sample_spec(rng, held_out=False, extras=self._extras)
        first = rng.choice((0, FRAMES_PER_GROUP)) if self._num_frames <= FRAMES_PER_GROUP else 0
        frames = render(
            spec, width=side, height=side, num_frames=2 * FRAMES_PER_GROUP, fps=self._config.fps
        )  # all of them: a frame shows the time since the first
        shown = frames[first : first + self._num_frames]
        return torch.from_numpy(np.ascontiguousarray(shown.transpose(3, 0, 1, 2)))


class VAETask:
    """The `TrainTask` of the VAE: reconstruction from the posterior's mode and a little noise."""

    entered_by = ("encode", "decode")

    def __init__(self, config: VAETaskConfig, *, export_dtype: torch.dtype = torch.float32) -> None:
        self.config, self._export_dtype = config, export_dtype

    def build_model(self) -> AutoencoderKLCogVideoX:
        """Return the network on the meta device."""
        with torch.device("meta"):
            return self._network()

    def init_weights(self, model: nn.Module, *, device: torch.device, seed: int) -> None:
        """Fill the network with fresh weights from the seed, or with those of `init_from`."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            weights = _quiet_start(self._network()).state_dict()
        if self.config.init_from is not None:
            weights = network_weights(self.config.init_from, of="VAE")
            check_shapes(model, {name: tuple(t.shape) for name, t in weights.items()}, source=self.config.init_from)
        model.load_state_dict(weights, assign=True)
        model.to(device)
        assert isinstance(model, AutoencoderKLCogVideoX)
        if self.config.balance:
            balance_channels(model, self._some_latents(model), share=self.config.balance)
        model.encoder.requires_grad_(not self.config.freeze_encoder)

    def shard_units(self, model: nn.Module) -> Sequence[nn.Module]:
        """Return the blocks of encoder and decoder, without the first and last convolution of each."""
        assert isinstance(model, AutoencoderKLCogVideoX)
        encoder, decoder = model.encoder, model.decoder
        return [*encoder.down_blocks, encoder.mid_block, decoder.mid_block, *decoder.up_blocks]

    def build_dataset(self, split: str) -> Mapping[str, RenderedClips]:
        """Return the streams of the split; no clip is in both splits. Held-out clips are chained, as in use."""
        if split != "train":
            return {"chained": self._clips("chained", split, num=self.config.num_eval_clips, extras=0.0)}
        return {
            name: self._clips(name, split, num=self.config.num_clips, extras=self.config.extras) for name in FRAMES_OF
        }

    def collate(self, samples: list[Tensor]) -> Tensor:
        """Return uint8 [B, 3, F, H, W]."""
        return torch.stack(samples)

    def prepare(self, batch: Tensor, generator: torch.Generator) -> Prepared:
        """Return the clips in [-1, 1], windows of them where the stream shows windows, and noise for their latents."""
        generators = [sample_generator(generator, place) for place in range(len(batch))]
        if self.config.crop_px and batch.shape[2] <= FRAMES_PER_GROUP:
            batch = torch.stack([self._window(clip, g) for clip, g in zip(batch, generators, strict=True)])
        pixels, shape = batch.float() / 127.5 - 1, self._latent_shape(batch)
        noise = torch.stack([torch.randn(shape, generator=g) for g in generators])
        inputs = {"pixels": pixels, "noise": self.config.noise * noise}
        return Prepared(inputs=inputs, targets=pixels, num_targets=pixels.numel(), num_tokens=pixels[:, 0].numel())

    def _window(self, clip: Tensor, generator: torch.Generator) -> Tensor:
        """Return the first of six random windows that shows an edge, or else the last."""
        side, window = self.config.crop_px, clip
        for _ in range(6):
            y, x = (int(torch.randint(n - side + 1, (), generator=generator)) for n in clip.shape[2:])
            window = clip[:, :, y : y + side, x : x + side]
            if float(window[:, ::4].float().std(dim=(1, 2, 3)).max()) > _SEEN:
                break
        return window

    def loss(self, model: nn.Module, prepared: Prepared) -> LossOutput:
        """Return sum (x' - x)^2 + l1_weight |x' - x| over all pixels; noise only in training."""
        assert isinstance(model, AutoencoderKLCogVideoX)
        latents = model.encode(prepared.inputs["pixels"]).latent_dist.mode()
        noisy = latents + prepared.inputs["noise"] if model.training else latents
        pixels = model.decode(noisy).sample.float()
        error = pixels - prepared.targets
        total = error.square().sum() + self.config.l1_weight * error.abs().sum()
        return LossOutput(sum=total, count=error.numel(), metrics=_quality(pixels.detach(), prepared.targets, latents))

    def export(self, model: nn.Module, folder: Path) -> None:
        """Write a folder of diffusers whose scale makes the latents of training clips deviate by 1 from the mean."""
        assert isinstance(model, AutoencoderKLCogVideoX)
        latents = self._some_latents(model)
        deviation = float((latents - latents.mean(dim=(0, 2, 3, 4), keepdim=True)).square().mean().sqrt())
        if not 1e-6 < deviation < 1e6:  # nor NaN
            raise ValueError(f"the latents deviate by {deviation:g}, from which no scale follows; train on, or anew")
        fresh = self._network(scaling_factor=round(1 / deviation, 6), **{GROUP_KEY: FRAMES_PER_GROUP})
        fresh.load_state_dict(model.state_dict())
        nn.Module.to(
            fresh, self._export_dtype
        )  # that of diffusers warns of layers to keep in fp32, of which it has none
        check_weights(fresh.state_dict(), "the VAE to be exported", remedy="export it in a wider type (export_dtype)")
        fresh.save_pretrained(folder)

    @torch.no_grad()
    def _some_latents(self, model: AutoencoderKLCogVideoX) -> Tensor:
        """Return the unscaled latents of some training clips."""
        clips = self._clips("chained", "train", num=_SCALED_ON, extras=0.0)
        pixels = [clips[index][None].float() / 127.5 - 1 for index in range(_SCALED_ON)]
        return torch.cat([model.encode(p.to(model.device)).latent_dist.mode() for p in pixels]).float()

    def _clips(self, stream: str, split: str, *, num: int, extras: float) -> RenderedClips:
        seed = seed_for(0, stream=f"{split}/{stream}")
        return RenderedClips(self.config, num=num, seed=seed, num_frames=FRAMES_OF[stream], extras=extras)

    def _network(self, **settings: Any) -> AutoencoderKLCogVideoX:
        network, side = self.config.network, self.config.size_px
        model = AutoencoderKLCogVideoX(
            block_out_channels=network.block_out_channels,
            layers_per_block=network.layers_per_block,
            norm_num_groups=network.norm_num_groups,
            latent_channels=network.latent_channels,
            sample_height=side,
            sample_width=side,
            **{name: value for name, value in settings.items() if not name.startswith("_")},
        )
        model.num_sample_frames_batch_size = FRAMES_PER_GROUP
        model.register_to_config(**settings)
        return model

    def _latent_shape(self, batch: Tensor) -> tuple[int, ...]:
        num_frames, height, width = batch.shape[2:]
        step = self.config.pixels_per_latent
        return self.config.network.latent_channels, -(-num_frames // 4), height // step, width // step


@torch.no_grad()
def _quiet_start(model: AutoencoderKLCogVideoX) -> AutoencoderKLCogVideoX:
    """Start as the skips alone: residual branches add 0, and the latents do not yet modulate the decoder's norms.

    On one core 16.7 dB after 16 s in place of 14.2, and no better after 32 s.
    """
    for name, parameter in model.named_parameters():
        if (".resnets." in name and ".conv2.conv." in name) or name.endswith("conv_b.conv.bias"):
            parameter.zero_()
        elif name.endswith("conv_y.conv.bias"):
            parameter.fill_(1.0)
    return model


def _quality(pixels: Tensor, target: Tensor, latents: Tensor) -> dict[str, tuple[Tensor | float, Tensor | float]]:
    mse = ((pixels.clamp(-1, 1) - target) / 2).square().flatten(1).mean(dim=1)
    psnr, latents = -10 * mse.clamp_min(1e-10).log10(), latents.detach().float()
    return {"psnr_db": (psnr.sum(), float(len(psnr))), "latent_rms": (latents.square().mean().sqrt(), 1.0)}
