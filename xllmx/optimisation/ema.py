"""Exponential moving average of the weights, kept in fp32 beside the model."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """Average of a model's parameters over training; `state` maps a parameter's name to its average, fp32.

    With `warmup` the decay rises from 0.1 to its final value as (1 + n) / (10 + n) over the updates n, so that the
    first steps do not weigh on a short run.
    """

    def __init__(self, model: nn.Module, decay: float, *, every: int = 1, warmup: bool = True) -> None:
        """Start at the parameters of the model; `every` so many steps they are taken in."""
        if not 0 < decay < 1:
            raise ValueError(f"trainer.ema_decay is {decay}; it must lie between 0 and 1, or be 0 for no average")
        self.decay, self._every, self._warmup = decay, every, warmup
        self.state: dict[str, Tensor] = {
            name: parameter.detach().float().clone() for name, parameter in model.named_parameters()
        }

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Move the average towards the parameters after optimiser step `step` (from 0), if it is one that counts."""
        updates, rest = divmod(step + 1, self._every)
        if rest:
            return
        decay = min(self.decay, updates / (9 + updates)) if self._warmup else self.decay
        averages = list(self.state.values())
        parameters = [parameter.detach().float() for parameter in model.parameters()]
        torch._foreach_lerp_(averages, parameters, 1 - decay)

    @contextmanager
    def applied(self, model: nn.Module) -> Iterator[None]:
        """A context in which the model has the average as its parameters; after it, its own again."""
        own = [parameter.detach().clone() for parameter in model.parameters()]
        try:
            _assign(model, list(self.state.values()))
            yield
        finally:
            _assign(model, own)


@torch.no_grad()
def _assign(model: nn.Module, values: list[Tensor]) -> None:
    for parameter, value in zip(model.parameters(), values, strict=True):
        parameter.copy_(value)
