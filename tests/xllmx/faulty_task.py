"""The toy task, with something going wrong on one rank at one step."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from toy_task import ToyData, ToyTask

from xllmx.loss import LossOutput
from xllmx.ranks.distributed import rank
from xllmx.task import Prepared


class FaultyTask(ToyTask):
    """`unreadable`, `bad`: [rank, step] whose data end, whose loss is NaN; the samples of `bad` go to `seen`."""

    def __init__(
        self,
        *,
        unreadable: list[int] | None = None,
        bad: list[int] | None = None,
        seen: str | None = None,
        accumulation: int = 1,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self.unreadable, self.bad, self.seen, self.accumulation = unreadable, bad, seen, accumulation
        self.batches: list[list[int]] = []

    def collate(self, samples: list[Any]) -> Tensor:
        if not (self.bad or self.unreadable):
            return super().collate(samples)
        rows = ToyData(29, seed=0).rows
        self.batches.append([int((rows == sample).all(1).nonzero()) for sample in samples])
        if self.unreadable == [rank(), len(self.batches) // self.accumulation]:
            raise ValueError(f"no more rows at step {self.unreadable[1]}")
        return super().collate(samples)

    def loss(self, model: nn.Module, prepared: Prepared) -> LossOutput:
        output = super().loss(model, prepared)
        if self.bad is None or self.bad != [rank(), len(self.batches) // self.accumulation]:
            return output
        if self.seen is not None:
            Path(self.seen).write_text(json.dumps(self.batches[-self.accumulation :]))
        return LossOutput(sum=output.sum * torch.nan, count=output.count, metrics=output.metrics)
