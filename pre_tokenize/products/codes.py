"""Items as clips of Lumos-1: pixels cut to a bucket, their codes and ids of the caption (lumos/lumos1/README.md)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, sqrt
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from lumos.lumos1.sequence import Clip
from lumos.media.crop import MAX_ASPECT, PATCH_PX, crop_to_bucket
from lumos.media.decoding.decord_frames import Reader
from lumos.media.frames import FrameChoice
from lumos.media.reading import read_clip, read_image
from lumos.tokenizer.vocab import Vocab
from pre_tokenize.lists.table import Item
from pre_tokenize.products.decoded_again import MOST_LATENT_FRAMES
from pre_tokenize.products.encode import Made, on_device
from pre_tokenize.products.pixels import Pixels
from xllmx.settings.number_range import Range, check_numbers


class TextEncoder(Protocol):
    """What is needed of a text tokenizer."""

    vocab: Vocab

    def prompt_ids(self, caption: str, *, width: int, height: int) -> list[int]:
        """Ids of the prompt, frames and fps left open."""


class VideoCoder(Protocol):
    """What is needed of a visual tokenizer."""

    def encode(self, video: Tensor) -> Tensor:
        """Codes [B, T, H, W] of pixels [B, 3, F, Hpx, Wpx] in [-1, 1]."""

    def decode(self, codes: Tensor) -> Tensor:
        """Pixels [B, 3, 4 T - 3, Hpx, Wpx], about [-1, 1], of codes [B, T, H, W]."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """What items are made into. Raises `ValueError` for a setting that makes no clip."""

    modality: Literal["image", "video"]
    """Images are clips of one frame, fps 1 and duration 1, whatever the next two say."""
    size: Annotated[int, Range(PATCH_PX, 2**16)] | list[tuple[int, int]]
    """Target size in pixels, see `crop_sizes`; or the sizes (width, height) of which each item gets the nearest."""
    fps: Annotated[int, Range(1, 1000)]
    """Frames per second."""
    duration: Annotated[int, Range(1, 100_000)]
    """Seconds."""
    frame_choice: FrameChoice = "time"
    """How the frames of a video are found, see `read_clip`."""
    reader: Reader = "auto"
    """What reads them, see `choose_reader`."""

    def __post_init__(self) -> None:
        check_numbers(self, "--target_")
        if self.modality == "image":
            object.__setattr__(self, "fps", 1)
            object.__setattr__(self, "duration", 1)

    def check(self, vocab: Vocab) -> None:
        """Check that the vocabulary has a number token for each setting (sides in patches); ValueError otherwise."""
        most = vocab.num_numbers - 1
        longest = ceil(sqrt(MAX_ASPECT))  # at least the side of the widest bucket, in sides of the square one
        if isinstance(self.size, int):
            size = ("--target_size", self.size, most // longest * PATCH_PX)
        else:
            size = ("--size: the longest side", max(map(max, self.size)), most * PATCH_PX)
        for name, value, largest in (
            ("--target_fps", self.fps, most),
            ("--target_duration", self.duration, most),
            size,
        ):
            if value > largest:
                raise ValueError(
                    f"{name} is {value}, more than the text tokenizer has a token for; give at most {largest}"
                )


class ClipFrames:
    """Reads items as the frames of clips."""

    captioned = True

    def __init__(self, target: Target) -> None:
        self._target = target

    def read(self, path: Path) -> Pixels:
        """The pixels of an item in its bucket. Raises `MediaError`."""
        return Pixels(frames=self._frames(path))

    def _frames(self, path: Path) -> UInt8[np.ndarray, "F H W 3"]:
        target = self._target
        if target.modality == "image":
            return crop_to_bucket(read_image(path)[None], target.size)
        fps, duration = target.fps, target.duration
        how: dict[str, Any] = {"frame_choice": target.frame_choice, "reader": target.reader}
        return read_clip(path, fps=fps, duration=duration, size=target.size, **how)


class Codes:
    """Turns items into clips with a pair of tokenizers."""

    captioned = True

    def __init__(self, target: Target, *, text: TextEncoder, visual: VideoCoder, device: str) -> None:
        """Take tokenizers; ValueError where the text tokenizer has no word for a setting of the target."""
        target.check(text.vocab)
        self._target, self._text, self._visual, self._device = target, text, visual, device
        self.read = ClipFrames(target).read

    def network(self, batch: Sequence[Pixels]) -> Tensor:
        """Codes [B, T, H, W] of items of one shape."""
        video = on_device([pixels.frames for pixels in batch], device=self._device)
        with torch.inference_mode():
            return self._visual.encode(video).cpu()

    def decode(self, pixels: Pixels, codes: Tensor) -> Tensor:
        """The first frames [1, 3, G, H, W] of codes [T, H, W]."""
        return self._visual.decode(codes[None, :MOST_LATENT_FRAMES].long()).cpu()

    def made(self, batch: Sequence[tuple[Item, Pixels]], codes: Tensor) -> Mapping[int, Made]:
        """A clip for each item."""
        if (num_codes := self._text.vocab.num_codes) <= codes.max():
            raise ValueError(
                f"the visual tokenizer made code {codes.max()}, but the text tokenizer knows codes 0..{num_codes - 1}; "
                "give --visual_tokenizer and --text_tokenizer of one model"
            )
        return {
            item.row: self._clip(item, pixels.frames.shape[1:3], code)
            for (item, pixels), code in zip(batch, codes, strict=True)
        }

    def _clip(self, item: Item, size: tuple[int, ...], codes: Tensor) -> Clip:
        height, width = size
        return Clip(
            prompt_ids=np.array(self._text.prompt_ids(item.text, width=width, height=height), dtype=np.int32),
            caption=item.text,
            codes=codes.numpy().astype(np.uint16),
            fps=self._target.fps,
            duration=self._target.duration,
            source=item.path,
        )
