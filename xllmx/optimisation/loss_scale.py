"""Training in fp16: the loss is scaled up, so that small gradients do not vanish, and less where they overflow."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

_FIRST = 2.0**16
_GROW_AFTER = 2000


class LossScale:
    """The scale on the loss: doubled after 2000 steps without an overflow, halved at each; the same on all ranks."""

    def __init__(self) -> None:
        self._scale, self._steps_since_overflow = _FIRST, 0

    def scaled(self, loss: Tensor) -> Tensor:
        """Return the loss to run the backward from."""
        return loss * self._scale

    def unscale(self, parameters: Iterable[nn.Parameter]) -> None:
        """Divide the gradients by the scale, so that they are those of the loss."""
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.grad.div_(self._scale)

    def step(self, optimizer: torch.optim.Optimizer, grad_norm: Tensor) -> Tensor:
        """Move the weights, unless the norm of the gradient over all ranks is not finite; return it, 0 for such a step.

        Waits for the device.

        Raises:
            ValueError: gradients overflow however small the scale.
        """
        if math.isfinite(float(grad_norm)):
            optimizer.step()
            self._steps_since_overflow += 1
            if self._steps_since_overflow % _GROW_AFTER == 0:
                self._scale *= 2
            return grad_norm
        self._scale, self._steps_since_overflow = self._scale / 2, 0
        if self._scale < 1:
            raise ValueError(
                "trainer.precision is fp16, in which the gradients overflow although the loss is not scaled up; use "
                "trainer.precision=bf16, or fp32"
            )
        return torch.zeros_like(grad_norm)

    def state(self) -> dict[str, float | int]:
        """Return what a checkpoint keeps."""
        return {"scale": self._scale, "steps_since_overflow": self._steps_since_overflow}

    def load(self, state: dict[str, float | int]) -> None:
        """Take up a state."""
        self._scale, self._steps_since_overflow = float(state["scale"]), int(state["steps_since_overflow"])
