"""The work of one process: decode, crop and encode the items of its rows, shard by shard."""

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, islice
from math import ceil, sqrt
from pathlib import Path
from typing import Annotated, Literal, Protocol, TypeVar

import numpy as np
import torch
from einops import rearrange
from jaxtyping import UInt8
from torch import Tensor

from lumos.lumos1.sequence import Clip
from lumos.media.crop import MAX_ASPECT, PATCH_PX, crop_to_bucket
from lumos.media.frames import FrameChoice, MediaError
from lumos.media.reading import media_errors, read_clip, read_image
from lumos.tokenizer.vocab import Vocab
from pre_tokenize.ledger import Ledger, Skip
from pre_tokenize.pace import Pace
from pre_tokenize.table import Item, Table
from xllmx.number_range import COUNT, Range, check_numbers

EMPTY_CAPTION = "empty caption"

Decoded = tuple[Item, np.ndarray | Skip]
"""An item and its pixels, uint8 [F, H, W, 3], or why it has none."""

_I = TypeVar("_I")
_O = TypeVar("_O")


class TextEncoder(Protocol):
    """What the encoder needs of a text tokenizer."""

    vocab: Vocab

    def prompt_ids(self, caption: str, *, width: int, height: int) -> list[int]:
        """Ids of the prompt, frames and fps left open."""


class VideoEncoder(Protocol):
    """What the encoder needs of a visual tokenizer."""

    def encode(self, video: Tensor) -> Tensor:
        """Codes [B, T, H, W] of pixels [B, 3, F, Hpx, Wpx] in [-1, 1]."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """What items are made into. Raises `ValueError` for a setting that makes no clip."""

    modality: Literal["image", "video"]
    """Images are clips of one frame, fps 1 and duration 1, whatever the next two say."""
    size: Annotated[int, Range(32, 2**16)]
    """Target size in pixels, see `crop_sizes`."""
    fps: Annotated[int, Range(1, 1000)]
    """Frames per second."""
    duration: Annotated[int, Range(1, 100_000)]
    """Seconds."""
    frame_choice: FrameChoice = "time"
    """How the frames of a video are found, see `read_clip`."""

    def __post_init__(self) -> None:
        check_numbers(self, "--target_")
        if self.modality == "image":
            object.__setattr__(self, "fps", 1)
            object.__setattr__(self, "duration", 1)

    def check(self, vocab: Vocab) -> None:
        """Check that the vocabulary has a number token for each setting (sides in patches); ValueError otherwise."""
        most = vocab.num_numbers - 1
        longest = ceil(sqrt(MAX_ASPECT))  # at least the side of the widest bucket, in sides of the square one
        for name, value, largest in (
            ("fps", self.fps, most),
            ("duration", self.duration, most),
            ("size", self.size, most // longest * PATCH_PX),
        ):
            if value > largest:
                raise ValueError(
                    f"--target_{name} is {value}, more than the text tokenizer has a token for; give at most {largest}"
                )


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much is held in memory at once."""

    shard_rows: Annotated[int, COUNT] = 64
    """Rows of a shard: the work that is lost when a process is killed."""
    batch_size: Annotated[int, Range(1, 10**6)] = 1
    """Clips of equal shape that go through the encoder together."""
    num_workers: Annotated[int, Range(1, 1024)] = 2
    """Threads that decode ahead."""
    device: str = "cpu"
    """Where the visual tokenizer runs; pixels are sent there as bytes."""

    def __post_init__(self) -> None:
        check_numbers(self, "--")


class Encoder:
    """Turns items into clips with a pair of tokenizers."""

    def __init__(
        self, table: Table, target: Target, *, text: TextEncoder, visual: VideoEncoder, limits: Limits
    ) -> None:
        self._table, self._target, self._limits = table, target, limits
        self._text, self._visual = text, visual
        target.check(text.vocab)

    def run(self, ledger: Ledger, *, on_row: Callable[[], None]) -> Pace:
        """Make a shard of every stretch of rows that `ledger` misses; `on_row` is called once a row.

        Workers decode ahead of the network, from one shard into the next.
        """
        size, ahead = self._limits.shard_rows, 2 * self._limits.num_workers + self._limits.batch_size
        starts = [(start, gap) for gap in ledger.missing for start in range(gap.start, gap.stop, size)]
        shards = [range(start, min(start + size, gap.stop)) for start, gap in starts]
        items, pace = (self._table.items[row] for row in chain(*shards)), Pace()
        with ThreadPoolExecutor(self._limits.num_workers) as pool:
            decoded = _ahead(pool, self._decode, items, ahead)
            for rows in shards:
                clips, skipped = self._shard(islice(decoded, len(rows)), on_row, pace)
                ledger.write(rows, clips, skipped=skipped)
        return pace

    def _shard(
        self, decoded: Iterable[Decoded], on_row: Callable[[], None], pace: Pace
    ) -> tuple[list[Clip], list[Skip]]:
        """Clips and skips of the items, in their order."""
        clips: dict[int, Clip] = {}
        skipped: list[Skip] = []
        waiting: dict[tuple[int, ...], list[tuple[Item, np.ndarray]]] = defaultdict(list)
        for item, outcome in decoded:
            on_row()
            if isinstance(outcome, Skip):
                skipped.append(outcome)
                continue
            batch = waiting[outcome.shape]
            batch.append((item, outcome))
            if len(batch) == self._limits.batch_size:
                clips |= self._encode(waiting.pop(outcome.shape), pace)
        for batch in waiting.values():
            clips |= self._encode(batch, pace)
        return [clips[row] for row in sorted(clips)], skipped

    def _decode(self, item: Item) -> Decoded:
        if not item.text:
            return item, Skip(row=item.row, path=item.path, reason=EMPTY_CAPTION)
        try:
            with media_errors(item.path):
                return item, self._pixels(self._table.locate(item))
        except MediaError as error:
            return item, Skip(row=item.row, path=item.path, reason=error.reason, detail=error.detail)

    def _pixels(self, path: Path) -> UInt8[np.ndarray, "F H W 3"]:
        target = self._target
        if target.modality == "image":
            return crop_to_bucket(read_image(path)[None], target.size)
        fps, duration = target.fps, target.duration
        return read_clip(path, fps=fps, duration=duration, size=target.size, frame_choice=target.frame_choice)

    def _encode(self, batch: list[tuple[Item, np.ndarray]], pace: Pace) -> dict[int, Clip]:
        video = pixels([frames for _, frames in batch], device=self._limits.device)
        with torch.inference_mode(), pace.network(len(batch)):
            codes = self._visual.encode(video).cpu().numpy()
        if (num_codes := self._text.vocab.num_codes) <= codes.max():
            raise ValueError(
                f"the visual tokenizer made code {codes.max()}, but the text tokenizer knows codes 0..{num_codes - 1}; "
                "give --visual_tokenizer and --text_tokenizer of one model"
            )
        height, width = video.shape[-2:]
        return {
            item.row: Clip(
                prompt_ids=np.array(self._text.prompt_ids(item.text, width=width, height=height), dtype=np.int32),
                caption=item.text,
                codes=codes[index].astype(np.uint16),
                fps=self._target.fps,
                duration=self._target.duration,
                source=item.path,
            )
            for index, (item, _) in enumerate(batch)
        }


def pixels(clips: Sequence[np.ndarray], *, device: str) -> Tensor:
    """Pixels [B, 3, F, H, W] in [-1, 1] (x / 255 * 2 - 1), on the device, of uint8 clips [F, H, W, 3]."""
    stacked = torch.from_numpy(np.stack(clips))
    if device.startswith("cuda"):
        stacked = stacked.pin_memory().to(device, non_blocking=True)
    return rearrange(stacked, "B F H W C -> B C F H W").float().div_(255).mul_(2).sub_(1).contiguous()


def _ahead(pool: ThreadPoolExecutor, work: Callable[[_I], _O], inputs: Iterable[_I], depth: int) -> Iterator[_O]:
    """Results of `work` in order, at most `depth` of them made ahead."""
    remaining = iter(inputs)
    pending: deque[Future[_O]] = deque(pool.submit(work, item) for item in islice(remaining, depth))
    while pending:
        result = pending.popleft().result()
        pending.extend(pool.submit(work, item) for item in islice(remaining, 1))
        yield result
