"""Whether loss and gradient stay finite: kept on the device, looked at where that is cheap, written down if not."""

import json
from collections.abc import Callable
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor

from xllmx.data.streams import Streams
from xllmx.disk.files import write_text
from xllmx.ranks.distributed import all_reduce_sum, is_main, num_ranks


class FiniteWatch:
    """Remembers the first step with a loss or gradient that is not finite on any rank; the same on all of them."""

    def __init__(self, device: torch.device) -> None:
        self._step = torch.zeros((), dtype=torch.long, device=device)
        self._own_loss = torch.zeros((), device=device)

    def add(self, step: int, loss: Tensor, grad_norm: Tensor) -> None:
        """Take in this rank's loss and the norm of the whole gradient of step `step` (from 1)."""
        bad = ~(torch.isfinite(loss) & torch.isfinite(grad_norm))
        first = (all_reduce_sum(bad.long()) > 0) & (self._step == 0)
        self._step = torch.where(first, step, self._step)
        self._own_loss = torch.where(first, loss, self._own_loss)

    def raise_if_bad(self, run_dir: Path, streams: Streams, *, saved_step: Callable[[], int | None]) -> None:
        """Stop a run that has had a bad step, after writing down its samples; waits for the device. On all ranks.

        Args:
            run_dir: where the file `not-finite-step-NNNNNNNN.json` is written.
            streams: of the training.
            saved_step: says of which step this run's newest checkpoint is, to name it; None where there is none.

        Raises:
            ValueError: some step was not finite.
        """
        if bad_step := int(self._step):
            path = run_dir / f"not-finite-step-{bad_step:08d}.json"
            self._write(path, bad_step, streams)
            names = streams.cycle.at(bad_step - 1)
            which = f"stream{'s' if len(names) > 1 else ''} {', '.join(names)}"
            saved = saved_step()
            kept, again = "this run has no checkpoint yet", "start again"
            if saved is not None:
                kept, again = f"the last checkpoint, of step {saved}, is kept", "start again to resume"
            raise ValueError(
                f"loss or gradient is not finite at step {bad_step} ({which}), whose samples are listed in {path}; "
                f"{kept}: lower optim.lr or look at these samples, and {again}"
            )

    def _write(self, path: Path, step: int, streams: Streams) -> None:
        """Write the bad step's streams and, by rank, its loss and samples, as JSON."""
        losses = [float(self._own_loss)]
        if dist.is_initialized():
            gathered: list[float] = [0.0] * num_ranks()
            dist.all_gather_object(gathered, losses[0])
            losses = gathered
        if is_main():
            names = streams.cycle.at(step - 1)
            by_stream = {name: streams.samples_at(step - 1, name) for name in names}
            about = {
                "step": step,
                "stream": ", ".join(names),
                "stream_of_micro_batch": [name for name in names for _ in by_stream[name][0]],
                "ranks": [
                    {"loss": str(loss), "micro_batches": [batch for name in names for batch in by_stream[name][rank]]}
                    for rank, loss in enumerate(losses)
                ],
            }
            write_text(path, json.dumps(about, indent=1))
