"""The clips of one stream as the engine's dataset, cut to the training length."""

from collections.abc import Hashable

import numpy as np

from lumos.lumos1.data.clips import ClipDataset
from lumos.lumos1.data.shards import SHAPE_COLUMNS
from lumos.lumos1.sequence_lengths import sequence_lengths
from lumos.lumos1.training.items.cutting import cut_clip, cut_shapes
from lumos.lumos1.training.items.length_limit import LengthLimit
from lumos.lumos1.training.items.samples import Sample
from lumos.lumos1.training.tokenizer_check import check_vocabulary
from lumos.tokenizer.vocab import Vocab
from xllmx.data.broken import BrokenSampleError
from xllmx.data.kinds import Kinds
from xllmx.subset import within


class ClipStream:
    """Map-style dataset of `Sample`.

    `lengths` are in tokens, `bucket_keys` the grids (H, W) and the type that a data YAML gives a set, so that a batch
    has one of each; both are those of the cut clips, as far as they are known without reading them (of a released
    record only the whole length is). `subsets` are the clips of which an epoch sees a part. `shapes` are (T, H, W, fps,
    seconds) of the cut clips; zeros of one that is too long, or of which they are not known. `known_lengths` are the
    tokens of kinds of clips after the cut to `duration_s`, as far as they are known, and how many there are of each.
    """

    def __init__(
        self, clips: ClipDataset, *, modes: tuple[str, ...], cfg_drop: float, limit: LengthLimit, vocab: Vocab
    ) -> None:
        """Choose which clips are used, from their shapes; none is read."""
        self._clips, self._modes, self._cfg_drop = clips, modes, cfg_drop
        self._limit, self._vocab = limit, vocab
        kinds = clips.kinds.values
        shapes = np.array([kind.shape for kind in kinds], np.int64).reshape(-1, len(SHAPE_COLUMNS))
        shapes = cut_shapes(shapes, limit.duration_s)
        known = shapes[:, 1] > 0
        lengths = np.array([kind.length for kind in kinds], dtype=np.int64)
        lengths[known] = sequence_lengths(shapes[known])
        judged = known if limit.duration_s is not None else np.ones_like(known)  # of a record before the cut alone
        self.known_lengths = lengths[judged], clips.kinds.counts()[judged]
        self.selection = limit.select(shapes, lengths, which=clips.kinds.which)
        all_known = bool(known.all())
        keys: list[Hashable] = [
            (*(row if all_known else ()), kind.type) for row, kind in zip(shapes[:, 2:4].tolist(), kinds, strict=True)
        ]
        used = self.selection.indices
        chosen = clips.kinds if isinstance(used, range) else clips.kinds[used]
        self.lengths: Kinds[int] = chosen.given(np.minimum(lengths, limit.max_length).tolist()).compact()
        said = np.where((known & (lengths <= limit.max_length))[:, None], shapes[:, 1:], 0)
        self.shapes: Kinds[tuple[int, ...]] = chosen.given([tuple(row) for row in said.tolist()])
        of_used = chosen.given(keys).compact()
        self.bucket_keys: Kinds[Hashable] | None = of_used if len(set(of_used.values)) > 1 else None
        self.subsets, self.shard_starts = list(clips.subsets), clips.shard_starts
        if not isinstance(used, range):
            self.subsets, self.shard_starts = within(clips.subsets, used), np.searchsorted(used, clips.shard_starts)

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
