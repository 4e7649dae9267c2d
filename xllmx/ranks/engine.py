"""Engines compute a step: losses, gradients over all ranks, the optimiser. DeepSpeed's has a file of its own."""

import logging
import math
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.distributed.checkpoint import state_dict as dcp_state
from torch.distributed.checkpoint.state_dict import StateDictOptions
from torch.distributed.fsdp import FSDPModule

from xllmx.loss import LossOutput
from xllmx.optimisation.loss_scale import LossScale
from xllmx.optimisation.optim import OptimConfig, build_optimizer, set_learning_rate
from xllmx.optimisation.precision import compute_dtype, computing_in
from xllmx.ranks.distributed import all_reduce_gradients, is_main, num_ranks
from xllmx.ranks.memory import require_room
from xllmx.ranks.parallel import ParallelConfig, parallelize
from xllmx.ranks.sharding import copies_of, shard, whole
from xllmx.task import EnteredTask, Prepared, TrainTask
from xllmx.trainer_config import TrainerConfig

_LOG = logging.getLogger(__name__)


@runtime_checkable
class Engine(Protocol):
    """What the training loop calls to compute a step; every method is called on all ranks."""

    model: nn.Module
    optimizer: torch.optim.Optimizer

    def loss(self, prepared: Prepared) -> LossOutput:
        """Return the summed loss of this rank's batch."""
        ...

    def backward(self, loss: Tensor, *, last: bool) -> None:
        """Add the gradient of this rank's share of the loss; the `last` of a step sums gradients over ranks."""
        ...

    def step(self, lr: float, *, clip: float) -> Tensor:
        """Move the weights and clear the gradient; return its norm before it was clipped to `clip` (0: not clipped)."""
        ...

    def settle(self) -> None:
        """Clean up after losses without a backward: weights are again as the optimiser sees them."""
        ...

    def state(self) -> dict[str, Any]:
        """Return `model` and `optimizer` by name, each rank its parts; names do not depend on the number of ranks."""
        ...

    def load(self, state: dict[str, Any]) -> None:
        """Take up what `state` returned, filled from a checkpoint."""
        ...

    def whole_model(self) -> nn.Module | None:
        """Return the model with whole weights on the main rank, to be exported; None on the others."""
        ...


class NativeEngine:
    """PyTorch's own: one process, replicas, or weights cut over the ranks (`ParallelConfig.sharding`)."""

    def __init__(
        self,
        task: TrainTask,
        config: TrainerConfig,
        *,
        optim: OptimConfig,
        parallel: ParallelConfig,
        device: torch.device,
    ) -> None:
        self._task, self._config, self._device = task, config, device
        self.model = self._build_model(parallel)
        units = task.shard_units(self.model)
        self.optimizer: torch.optim.Optimizer = build_optimizer(self.model, optim, units=units)
        self._scale = LossScale() if config.precision == "fp16" else None

    def loss(self, prepared: Prepared) -> LossOutput:
        """Return the summed loss of this rank's batch."""
        with computing_in(self._config.precision, self._device):
            return self._task.loss(self.model, prepared)

    def backward(self, loss: Tensor, *, last: bool) -> None:
        """Run the backward; ranks exchange gradients in the last one of a step only."""
        if isinstance(self.model, FSDPModule):
            self.model.set_requires_gradient_sync(last)
            self.model.set_is_last_backward(last)
        (self._scale.scaled(loss) if self._scale else loss).backward()
        if last and not isinstance(self.model, FSDPModule):
            all_reduce_gradients(self.model)

    def step(self, lr: float, *, clip: float) -> Tensor:
        """Return the norm of the whole gradient before clipping; 0 where fp16 overflowed and the step was left out."""
        for parameter in self.model.parameters():
            if parameter.requires_grad and parameter.grad is None:
                # No batch of the step used it: zero on one rank and on many, and the optimiser has a state for it.
                parameter.grad = torch.zeros_like(parameter)
        if self._scale:
            self._scale.unscale(self.model.parameters())
        grad_norm = whole(nn.utils.clip_grad_norm_(self.model.parameters(), clip or math.inf)).to(self._device)
        set_learning_rate(self.optimizer, lr)
        if self._scale:
            grad_norm = self._scale.step(self.optimizer, grad_norm)
        else:
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return grad_norm

    def settle(self) -> None:
        """Free the weights that the forward gathered; without a backward nothing else does."""
        for module in self.model.modules():
            if isinstance(module, FSDPModule):
                module.reshard()

    def state(self) -> dict[str, Any]:
        """Return `model` and `optimizer` by name, each rank its own parts."""
        model, optimizer = dcp_state.get_state_dict(self.model, self.optimizer)
        return {"model": model, "optimizer": optimizer, **({"scale": self._scale.state()} if self._scale else {})}

    def load(self, state: dict[str, Any]) -> None:
        """Take up a state."""
        if self._scale:
            self._scale.load(state["scale"])
        options = {"model_state_dict": state["model"], "optim_state_dict": state["optimizer"]}
        dcp_state.set_state_dict(self.model, self.optimizer, **options)

    def whole_model(self) -> nn.Module | None:
        """Return the model itself, or where it is sharded one with the gathered weights, on the main rank's CPU."""
        if not isinstance(self.model, FSDPModule):
            return self.model if is_main() else None
        options = StateDictOptions(full_state_dict=True, cpu_offload=True)
        weights = dcp_state.get_model_state_dict(self.model, options=options)
        if not is_main():
            return None
        model = self._task.build_model()
        model.load_state_dict(weights, assign=True)
        return model

    def _build_model(self, parallel: ParallelConfig) -> nn.Module:
        model, place = self._task.build_model(), self._device
        units = self._task.shard_units(model)
        parallelize(model, units, parallel)
        is_sharded = parallel.is_sharded(num_ranks())
        room, replicas = torch.device("cpu") if parallel.cpu_offload else place, 1
        if is_sharded:
            replicas = copies_of(parallel)
            if is_main() and num_ranks() > 1:
                cut = num_ranks() // replicas
                _LOG.info(
                    "weights: %d cop%s, each cut over %d processes", replicas, "y" if replicas == 1 else "ies", cut
                )
        require_room(model, room, shards=num_ranks() // replicas if is_sharded else 1)
        if is_sharded:
            shard(
                model.to(torch.float32),
                units,
                parallel,
                device=self._device,
                compute_dtype=compute_dtype(self._config.precision),
                replicas=replicas,
                methods=self._task.entered_by if isinstance(self._task, EnteredTask) else (),
            )
            place = torch.device("cpu") if parallel.cpu_offload else place
        self._task.init_weights(model, device=place, seed=self._config.seed)
        left = [name for name, parameter in model.named_parameters() if parameter.is_meta]
        assert not left, f"init_weights left on meta: {left}"
        return model.to(torch.float32)  # master weights; autocast computes in bf16


def build_engine(
    task: TrainTask, config: TrainerConfig, *, optim: OptimConfig, parallel: ParallelConfig, device: torch.device
) -> Engine:
    """Return the engine that `parallel.engine` names, with the task's model in it."""
    if parallel.engine == "deepspeed":
        from xllmx.ranks.deepspeed_engine import ZeroEngine

        return ZeroEngine(task, config, optim=optim, parallel=parallel, device=device)
    return NativeEngine(task, config, optim=optim, parallel=parallel, device=device)
