"""The visual tokenizer as a task of the engine: clips through the codes and back, the loss their error."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from torch import Tensor, nn

from lumos.filming.clips import ClipSize, FilmedClips, pictures_of
from lumos.shapes import render, sample_spec
from lumos.tokenizer.export import export_pair
from lumos.tokenizer.network import CausalVideoTokenizer, NetworkConfig
from xllmx.loss import LossOutput
from xllmx.rng import sample_generator, seed_for
from xllmx.run.whole_training import network_weights
from xllmx.settings.number_range import Range, check_numbers
from xllmx.task import Prepared

_SEEN = 12.0  # a window whose values deviate by more than this (of 255) shows an edge
_Z_FREE = 1.5  # |z| up to here is free: tanh still has a gradient there


@dataclass(frozen=True, kw_only=True)
class TokenizerTaskConfig:
    """The network, the clips it learns from and the weights of its losses."""

    network: NetworkConfig = field(default_factory=NetworkConfig)
    """Sizes of the network."""
    init_from: Path | None = None
    """Weights to start from: the `network.safetensors` of an earlier run's folder; None starts afresh."""
    freeze_encoder: bool = False
    """Train the decoder alone: the codes, and every model that speaks them, stay as they are."""
    pictures: Path | None = None
    """Folder of photographs, of which clips are filmed (`lumos.filming`), each a whole window of `crop_px` and
    `crop_frames`; one picture in eight is for evaluation. None: clips of the bundled world."""
    num_clips: Annotated[int, Range(1, 10**7)] = 20000
    """Clips of an epoch, made on the fly from their number."""
    num_eval_clips: Annotated[int, Range(1, 10**7)] = 256
    """Held-out clips."""
    size_px: Annotated[int, Range(8, 8192)] = 64
    """Height and width of the clips."""
    num_frames: Annotated[int, Range(1, 10_001)] = 13
    """Frames of a clip: 1 + 4k."""
    fps: Annotated[int, Range(1, 1000)] = 6
    """Frames a second."""
    crop_px: Annotated[int, Range(0, 8192)] = 32
    """Side of the square windows that training cuts, in which edges take more room. 0: whole frames."""
    crop_frames: Annotated[int, Range(1, 10_001)] = 9
    """Frames of the windows: 1 + 4k."""
    l1_weight: Annotated[float, Range(0, 10**6)] = 0.1
    """Weight of the mean absolute error beside the mean squared one."""
    range_weight: Annotated[float, Range(0, 10**6)] = 0.1
    """Weight of the penalty that keeps values before quantisation where tanh has a gradient."""

    def __post_init__(self) -> None:
        check_numbers(self, "task.")
        if self.num_frames % 4 != 1:
            raise ValueError(
                f"num_frames={self.num_frames} must be 1 + 4k: the first frame is coded alone, the rest by four"
            )
        if self.pictures is not None and (self.crop_frames % 4 != 1 or self.crop_px % 8):
            raise ValueError(
                f"task.crop_frames={self.crop_frames} must be 1 + 4k and task.crop_px={self.crop_px} a multiple of 8: "
                "filmed clips are windows of that size"
            )


class RenderedClips:
    """Clip i of the bundled world as uint8 [3, F, H, W]; the same for the same seed. Rendered once, kept in memory."""

    def __init__(self, config: TokenizerTaskConfig, *, num: int, seed: int, windowed: bool) -> None:
        """`windowed` says whether the task may cut windows of these clips."""
        self._config, self._num, self._seed, self._windowed = config, num, seed, windowed
        self.lengths: Sequence[int] = [1] * num
        self._rendered: dict[int, Tensor] = {}

    def __len__(self) -> int:
        return self._num

    def __getitem__(self, index: int) -> tuple[Tensor, bool]:
        if index not in self._rendered:
            self._rendered[index] = self._render(index)
        return self._rendered[index], self._windowed

    def _render(self, index: int) -> Tensor:
        config = self._config
        spec = sample_spec(random.Random(seed_for(self._seed, index)))
        frames = render(spec, width=config.size_px, height=config.size_px, num_frames=config.num_frames, fps=config.fps)
        return torch.from_numpy(np.ascontiguousarray(frames.transpose(3, 0, 1, 2)))


class TokenizerTask:
    """The `TrainTask` of the visual tokenizer: reconstruction through the codes."""

    def __init__(self, config: TokenizerTaskConfig, *, export_dtype: torch.dtype = torch.float32) -> None:
        self.config, self._export_dtype = config, export_dtype

    def build_model(self) -> CausalVideoTokenizer:
        """Return the network on the meta device."""
        with torch.device("meta"):
            return CausalVideoTokenizer(self.config.network)

    def init_weights(self, model: nn.Module, *, device: torch.device, seed: int) -> None:
        """Fill the network with fresh weights from the seed, or with those of `init_from`."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            fresh = CausalVideoTokenizer(self.config.network)
        if self.config.init_from is not None:
            weights = network_weights(self.config.init_from, of="tokenizer")
            try:
                fresh.load_state_dict(weights)
            except RuntimeError as error:
                reason = " ".join(str(error).split())[:200]
                remedy = "set task.network as that run had it"
                raise ValueError(
                    f"task.init_from={self.config.init_from} is of another network ({reason}); {remedy}"
                ) from error
        model.load_state_dict(fresh.state_dict(), assign=True)
        for module, source in zip(model.modules(), fresh.modules(), strict=True):
            for name, buffer in source.named_buffers(recurse=False):  # the quantiser's constants are in no state dict
                module.register_buffer(name, buffer.to(device), persistent=False)
        model.to(device)
        assert isinstance(model, CausalVideoTokenizer)
        model.encoder.requires_grad_(not self.config.freeze_encoder)

    def shard_units(self, model: nn.Module) -> Sequence[nn.Module]:
        """Return the encoder and the decoder."""
        assert isinstance(model, CausalVideoTokenizer)
        return [model.encoder, model.decoder]

    def build_dataset(self, split: str) -> Mapping[str, RenderedClips | FilmedClips]:
        """Return the clips of the split, rendered or filmed; no clip is in both, and no picture."""
        config, training, seed = self.config, split == "train", seed_for(0, stream=split)
        num = config.num_clips if training else config.num_eval_clips
        windowed = training and config.crop_px > 0
        if config.pictures is None:
            return {"clips": RenderedClips(config, num=num, seed=seed, windowed=windowed)}
        side, length = (config.crop_px, config.crop_frames) if windowed else (config.size_px, config.num_frames)
        pictures = pictures_of(config.pictures, "train" if training else "eval")
        size = ClipSize(num_frames=length, height=side, width=side)
        return {"clips": FilmedClips(pictures, num=num, seed=seed, size=size)}

    def collate(self, samples: list[tuple[Tensor, bool]]) -> tuple[Tensor, bool]:
        """Return uint8 [B, 3, F, H, W] and whether windows are to be cut."""
        return torch.stack([clip for clip, _ in samples]), samples[0][1]

    def prepare(self, batch: tuple[Tensor, bool], generator: torch.Generator) -> Prepared:
        """Return windows of the videos in [-1, 1], drawn where there is something to see; in evaluation all of it."""
        clips, windowed = batch
        if windowed:
            generators = [sample_generator(generator, place) for place in range(len(clips))]
            clips = torch.stack([self._window(clip, g) for clip, g in zip(clips, generators, strict=True)])
        video = clips.float() / 127.5 - 1
        return Prepared(inputs=video, targets=video, num_targets=video.numel(), num_tokens=video[:, 0].numel())

    def _window(self, clip: Tensor, generator: torch.Generator) -> Tensor:
        """Return the first of four random windows that shows an edge, or else the last."""
        side, length = self.config.crop_px, self.config.crop_frames
        window = clip
        for _ in range(4):
            starts = [(clip.shape[1] - length) // 4 + 1, clip.shape[2] - side + 1, clip.shape[3] - side + 1]
            t, y, x = (int(torch.randint(n, (), generator=generator)) for n in starts)
            window = clip[:, 4 * t : 4 * t + length, y : y + side, x : x + side]
            if float(window[:, ::4].float().std(dim=(1, 2, 3)).max()) > _SEEN:
                break
        return window

    def loss(self, model: nn.Module, prepared: Prepared) -> LossOutput:
        """Return the squared and absolute error of the pixels, and the penalty on values out of the quantiser."""
        out = model(prepared.inputs)
        video, target = out.video.float(), prepared.targets
        error = video - target
        beyond = (out.z.float().abs() - _Z_FREE).relu().square().mean() * target.numel()
        total = error.square().sum() + self.config.l1_weight * error.abs().sum() + self.config.range_weight * beyond
        return LossOutput(sum=total, count=target.numel(), metrics=_quality(video.detach(), target, out.codes))

    def export(self, model: nn.Module, folder: Path) -> None:
        """Write encoder.jit and decoder.jit."""
        assert isinstance(model, CausalVideoTokenizer)
        fresh = CausalVideoTokenizer(self.config.network)
        fresh.load_state_dict(model.state_dict())
        export_pair(fresh, folder, dtype=self._export_dtype)


def _quality(video: Tensor, target: Tensor, codes: Tensor) -> dict[str, tuple[Tensor | float, Tensor | float]]:
    mse = ((video.clamp(-1, 1) - target) / 2).square().flatten(1).mean(dim=1)
    psnr = -10 * mse.clamp_min(1e-10).log10()
    return {"psnr_db": (psnr.sum(), float(len(psnr))), "codes_in_use": (float(codes.unique().numel()), 1.0)}
