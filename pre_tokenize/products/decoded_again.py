"""Clips of a shard that are decoded again as it is made: which, and how near they come to their sources.

They lie evenly spread over the shard's rows, and of each only the first frames are decoded: a few clips tell what a
tokenizer loses, and cost little. Which ones depends on the rows alone, not on batches, threads or when a run stopped.

    rows 0-9, 3 of them wanted from rows 0, 3, 6 on; rows 3 and 4 gave no clip: 0, 5, 6
"""

from collections import deque
from collections.abc import Sequence

from torch import Tensor

from lumos.media.decoded import psnr
from lumos.media.shards.shard_writer import SHARD_SIZE
from pre_tokenize.option_choices import NUM_DECODED as NUM_DECODED
from pre_tokenize.products.pixels import Decode, Pixels

MOST_LATENT_FRAMES = 8
"""Of a clip that is decoded; what codes and VAEs give for them does not depend on the ones after them."""


def spread(rows: range, num: int) -> list[int]:
    """At most `num` of the rows, evenly spread."""
    num = min(num, len(rows))
    return [rows[place * len(rows) // num] for place in range(num)]


def decoded_of(num: int) -> set[int]:
    """The numbers of the clips that are decoded of `num` clips which none is left out of, in shards of `SHARD_SIZE`."""
    shards = [range(first, min(first + SHARD_SIZE, num)) for first in range(0, num, SHARD_SIZE)]
    return {number for rows in shards for number in spread(rows, NUM_DECODED)}


class DecodedAgain:
    """The clips of one shard that are decoded."""

    def __init__(self, rows: range, *, num: int, decode: Decode | None) -> None:
        """Choose among `rows`; nothing is chosen where there is nothing that decodes."""
        self._wanted = deque(spread(rows, num) if decode else [])
        self._decode, self._chosen = decode, set[int]()
        self._psnr_db: dict[int, float] = {}

    def see(self, row: int) -> None:
        """Take note of a row that has pixels; rows come in their order."""
        if self._wanted and row >= self._wanted[0]:
            self._wanted.popleft()
            self._chosen.add(row)

    def measure(self, row: int, pixels: Pixels, output: Tensor) -> None:
        """Decode what the network gave for the pixels of a row, if it is one of those.

        Raises:
            ValueError: what decodes it gives no such pixels.
        """
        if row not in self._chosen or self._decode is None:
            return
        try:
            decoded = self._decode(pixels, output)
        except ValueError as error:
            raise ValueError(f"{error} (--num_decoded 0 goes on without decoding)") from error
        (self._psnr_db[row],) = psnr(pixels.frames[None, : decoded.shape[2]], decoded)

    def by_place(self, rows: Sequence[int]) -> dict[int, float]:
        """PSNR in dB by the place that each row has in `rows`, those of the shard's clips."""
        places = {row: place for place, row in enumerate(rows)}
        return {places[row]: value for row, value in self._psnr_db.items()}
