"""The clips of one stream as the engine's dataset, cut to the training length."""

from collections.abc import Hashable, Sequence

import numpy as np

from lumos.lumos1.data.clips import ClipDataset
from lumos.lumos1.data.shards import sequence_lengths
from lumos.lumos1.training.cutting import cut_clip, cut_shapes
from lumos.lumos1.training.length_limit import LengthLimit
from lumos.lumos1.training.samples import Sample
from lumos.lumos1.training.tokenizer_check import check_vocabulary
from lumos.tokenizer.vocab import Vocab
from xllmx.data.broken import BrokenSampleError
from xllmx.subset import within


class ClipStream:
    """Map-style dataset of `Sample`.

    `lengths` are in tokens, `bucket_keys` the grids (H, W) and the type that a data YAML gives a set, so that a batch
    has one of each; both are those of the cut clips, as far as they are known without reading them (of a released
    record only the whole length is). `subsets` are the clips of which an epoch sees a part.
    """

    def __init__(
        self, clips: ClipDataset, *, modes: tuple[str, ...], cfg_drop: float, limit: LengthLimit, vocab: Vocab
    ) -> None:
        """Choose which clips are used, from their shapes; none is read."""
        self._clips, self._modes, self._cfg_drop = clips, modes, cfg_drop
        self._limit, self._vocab = limit, vocab
        shapes = cut_shapes(clips.shapes, limit.duration_s)
        known = shapes[:, 1] > 0
        lengths = np.asarray(clips.lengths, dtype=np.int64)
        lengths[known] = sequence_lengths(shapes[known])
        self.selection = limit.select(shapes, lengths)
        used = self.selection.indices
        self.lengths: Sequence[int] = np.minimum(lengths, limit.max_length)[used].tolist()
        grids = shapes[used, 2:4].tolist() if bool(known.all()) else [()] * len(used)
        types = [clips.types[index] for index in used] if clips.types else [""] * len(used)
        keys = [(*grid, kind) for grid, kind in zip(grids, types, strict=True)]
        self.bucket_keys: Sequence[Hashable] | None = keys if len(set(keys)) > 1 else None
        self.subsets = within(clips.subsets, used)

    def __len__(self) -> int:
        return len(self.selection.indices)

    def __getitem__(self, index: int) -> Sample:
        """Return the clip, cut to the training length.

        Raises:
            BrokenSampleError: the clip cannot be read, is not of this vocabulary, or is too long with action `drop`.
            ValueError: it is longer than the longest sequence, with action `error`.
        """
        try:
            clip = cut_clip(self._clips[int(self.selection.indices[index])], self._limit.duration_s)
            check_vocabulary(clip, self._vocab)
        except ValueError as error:
            raise BrokenSampleError(str(error)) from error
        return Sample(clip=self._limit.apply(clip), modes=self._modes, cfg_drop=self._cfg_drop)
