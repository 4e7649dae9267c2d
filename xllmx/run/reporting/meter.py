"""A meter of training steps: losses, speed and cost since it was last read, which is every `log_every` steps."""

from collections.abc import Sequence
from contextlib import AbstractContextManager

import torch
from torch import Tensor

from xllmx.loss import LossOutput
from xllmx.ranks.distributed import num_ranks
from xllmx.run.reporting.metrics import Sums, peak_memory_bytes, throughput
from xllmx.run.stopping import LapClock
from xllmx.task import Prepared


class StepMeter:
    """Losses, tokens, FLOPs and time of training steps; nothing leaves the device before `row`."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._sums, self._clock = Sums(device), LapClock()
        self._read_at = 0

    def start(self, step: int) -> None:
        """Start the clock; `step` is the number of steps done before."""
        self._clock, self._read_at = LapClock(), step

    def waiting(self) -> AbstractContextManager[None]:
        """A context whose time counts as waiting for data."""
        return self._clock.waiting()

    def stopped(self) -> AbstractContextManager[None]:
        """A context whose time does not count as training (evaluation, saving)."""
        return self._clock.stopped()

    def add_loss(self, stream: str, output: LossOutput) -> None:
        """Count the loss and the metrics of one micro-batch of the stream."""
        self._sums.add_loss(stream, output)

    def add_step(self, loss: Tensor, grad_norm: Tensor, prepared: Sequence[Prepared]) -> None:
        """Count a whole step: this rank's part of the loss, the norm of the whole gradient, this rank's batches."""
        self._sums.add("loss", loss, 1 / num_ranks())
        self._sums.add("grad_norm", grad_norm)
        self._sums.add("flops", sum(batch.flops for batch in prepared), 1)
        self._sums.add("tokens", sum(batch.num_tokens or batch.num_targets for batch in prepared), 1 / num_ranks())

    def row(self, step: int, *, lr: float, epoch: float, elapsed_s: float) -> dict[str, float]:
        """Return the row of metrics after `step` steps: means over the steps since the last row, and their speed."""
        means = self._sums.means()
        lap_s, wait_share = self._clock.lap()
        step_s = lap_s / (step - self._read_at)
        self._read_at = step
        flops = means.pop("flops")
        return {
            **means,
            "lr": lr,
            "epoch": epoch,
            "tokens_per_s": means["tokens"] / step_s,
            "step_time_s": step_s,
            **throughput(flops, step_s, self._device),
            "data_wait_share": wait_share,
            "peak_memory_bytes": peak_memory_bytes(self._device),
            "elapsed_s": elapsed_s,
        }
