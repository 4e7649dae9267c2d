"""Evaluation while training: the same held-out batches with the same randomness every time, and in every run."""

import torch

from xllmx.data.broken import FaultCount
from xllmx.data.streams import Streams
from xllmx.ranks.engine import Engine
from xllmx.rng import generator_at
from xllmx.run.reporting.metrics import Sums
from xllmx.task import TrainTask
from xllmx.trainer_config import TrainerConfig

_SEED = 0
"""Of the held-out batches of every run, whatever its own: their losses can be compared."""


class HeldOut:
    """The held-out streams of a task, and how its loss on them is measured."""

    def __init__(self, task: TrainTask, config: TrainerConfig, *, device: torch.device) -> None:
        """Make the streams, so that missing data is an error now; nothing is read."""
        self._task, self._config, self._device = task, config, device
        sizes, datasets = config.batch_size | config.eval_batch_size, task.build_dataset("eval")
        config.check_held_out(datasets)
        self.streams = Streams(datasets, batch_size=sizes, seed=_SEED)
        for order in self.streams.orders.values():
            order.repeats = True  # a few held-out samples are enough, and each rank needs a batch
        totals = {name: len(data) for name, data in self.streams.datasets.items()}
        self._faults = FaultCount(totals, config.max_broken)

    @torch.no_grad()
    def means(self, engine: Engine) -> dict[str, float]:
        """Return the mean metrics of each stream for the engine's model, which is in evaluation mode afterwards.

        The random choices are a function of stream and place alone, so that evaluation does not touch the training's
        and runs of different seeds are measured on the same.
        """
        sums = Sums(self._device)
        engine.model.eval()
        for name, order in self.streams.orders.items():
            drawn = self.streams.first_batches(name, self._config.eval_batches, collate=self._task.collate)
            for number, one in enumerate(drawn):
                batch = self._faults.note(name, one)
                generator = generator_at(_SEED, number, slot=order.slot(0), stream=f"eval/{name}")
                sums.add_loss(name, engine.loss(self._task.prepare(batch, generator).to(self._device)))
        engine.settle()
        return sums.means()
