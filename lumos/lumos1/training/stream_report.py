"""What is said of a stream before training: how many clips are cut or left out, and what the model is too short for."""

import logging

from lumos.lumos1.training.items.clip_stream import ClipStream
from lumos.lumos1.training.items.length_limit import LengthLimit
from lumos.lumos1.training.items.lengths_after_cut import check_lengths, check_some_left
from xllmx.ranks.distributed import is_main
from xllmx.words import plural

_LOG = logging.getLogger(__name__)


def report_stream(name: str, stream: ClipStream, *, limit: LengthLimit, model_length: int) -> None:
    """Log, on the main rank, what a stream leaves out, and a length the model was not made for.

    Args:
        name: of the stream.
        stream: made with the limit.
        limit: of the task.
        model_length: tokens, `max_position_embeddings` of the model.

    Raises:
        ValueError: nothing of the stream is left, or with `task.too_long=error` a clip is known to be too long.
    """
    where, max_length = f"stream {name}", limit.max_length
    if limit.action == "error":
        check_lengths(where, *stream.known_lengths, max_length=max_length)
    chosen, total = stream.selection, len(stream.selection.indices) + stream.selection.num_dropped
    if is_main() and (chosen.num_cut or chosen.num_dropped):
        counts = {"cut": chosen.num_cut, "left out": chosen.num_dropped}
        done = ", ".join(f"{number} {what}" for what, number in counts.items() if number)
        _LOG.warning(
            "stream %s: of %s over task.max_length=%d tokens: %s", name, plural(total, "clip"), max_length, done
        )
    check_some_left(where, len(stream), total=total, max_length=max_length)
    longest = max(stream.lengths.values, default=0)
    if is_main() and longest > model_length:
        remedy = f"task.max_length={model_length} task.too_long=drop leaves them out"
        _LOG.warning(
            "stream %s: clips of up to %d tokens, the model is made for %d; %s", name, longest, model_length, remedy
        )
