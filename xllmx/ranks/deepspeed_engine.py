"""DeepSpeed ZeRO-1, -2, -3 as an `engine.Engine`; the library is imported only here, and only when it is asked for.

Checkpoints hold the same names as the native engine's, so that either goes on where the other stopped. They are made of
whole tensors, other than the native engine's: while saving or loading, every process holds all weights and moments in
fp32.
"""

import dataclasses
import logging
import os
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xllmx.loss import LossOutput
from xllmx.optimisation.optim import OptimConfig, build_optimizer, set_learning_rate
from xllmx.optimisation.precision import computing_in
from xllmx.ranks.distributed import is_main, launched_local_rank, num_ranks
from xllmx.ranks.parallel import ParallelConfig, parallelize
from xllmx.task import Prepared, TrainTask
from xllmx.trainer_config import TrainerConfig

_INSTEAD = "use parallel.engine=native, which shards as well"
_MOMENTS = ("exp_avg", "exp_avg_sq")


class ZeroEngine:
    """DeepSpeed's engine; it is started with the first loss, so that a checkpoint can be loaded before.

    Raises:
        ValueError: DeepSpeed is not installed or does not run here, or a setting that it has no part in.
    """

    def __init__(
        self,
        task: TrainTask,
        config: TrainerConfig,
        *,
        optim: OptimConfig,
        parallel: ParallelConfig,
        device: torch.device,
    ) -> None:
        _check(config, parallel)
        _import_deepspeed()
        self._task, self._config, self._parallel, self._device = task, config, parallel, device
        self.model = task.build_model()
        parallelize(self.model, task.shard_units(self.model), parallel)
        task.init_weights(self.model, device=device, seed=config.seed)
        self.model.to(torch.float32)
        self.optimizer: torch.optim.Optimizer = build_optimizer(self.model, optim)
        self._names = {name: p for name, p in self.model.named_parameters() if p.requires_grad}
        self._groups = _named_groups(self.optimizer, self._names)
        self._loss = _Loss(task, self.model)
        self._engine: Any = None
        self._loaded: dict[str, Any] = {}
        self._steps = 0.0

    def loss(self, prepared: Prepared) -> LossOutput:
        """Return the summed loss of this rank's batch."""
        if self._engine is None:
            self._start()
        with computing_in(self._config.precision, self._device):
            total = self._engine(prepared)
        assert self._loss.output is not None
        return dataclasses.replace(self._loss.output, sum=total)  # DeepSpeed's hooks hang on what it returned

    def backward(self, loss: Tensor, *, last: bool) -> None:
        """Run the backward; DeepSpeed takes the mean over ranks, so the loss is multiplied by their number first."""
        self._engine.set_gradient_accumulation_boundary(last)
        self._engine.backward(loss * num_ranks(), scale_wrt_gas=False)
        if not last:
            self._engine.step()  # which only counts

    def step(self, lr: float, *, clip: float) -> Tensor:
        """Return the norm of the whole gradient before clipping."""
        assert clip == self._config.clip_grad_norm
        set_learning_rate(self.optimizer, lr)
        self._engine.step()
        self._steps += 1
        return torch.as_tensor(self._engine.get_global_grad_norm(), dtype=torch.float32, device=self._device)

    def settle(self) -> None:
        """Do nothing: DeepSpeed frees what it gathers by itself."""

    def state(self) -> dict[str, Any]:
        """Return `model` and `optimizer` by name, whole, on the CPU."""
        model = {name: value.detach().cpu().float() for name, value in self.model.state_dict().items()}
        moments = {name: {key: torch.zeros(p.shape) for key in _MOMENTS} for name, p in self._names.items()}
        if self._engine is not None:
            from deepspeed.utils import safe_get_full_fp32_param, safe_get_full_optimizer_state

            for name, parameter in self._names.items():
                model[name] = safe_get_full_fp32_param(parameter).detach().cpu().clone()
                for key in _MOMENTS if self._steps else ():
                    moments[name][key] = safe_get_full_optimizer_state(parameter, key).detach().cpu().clone()
        states = {name: {"step": torch.tensor(self._steps), **values} for name, values in moments.items()}
        return {"model": model, "optimizer": {"state": states, "param_groups": self._groups}}

    def load(self, state: dict[str, Any]) -> None:
        """Take up a state; only before the first loss."""
        assert self._engine is None
        self.model.load_state_dict(state["model"])
        self._loaded = state["optimizer"]["state"]
        self._steps = float(next(iter(self._loaded.values()))["step"])

    def whole_model(self) -> nn.Module | None:
        """Return a model with the whole weights, on the main rank's CPU."""
        weights = self.state()["model"]
        if not is_main():
            return None
        model = self._task.build_model()
        model.load_state_dict(weights, assign=True)
        return model

    def _start(self) -> None:
        deepspeed = _import_deepspeed()
        inside = {p for unit in self._task.shard_units(self.model) for p in unit.parameters()}
        inside |= {p for m in self.model.modules() if isinstance(m, nn.Embedding) for p in m.parameters()}
        weights = {name: p.detach().cpu().clone() for name, p in self._names.items()}  # before bf16 rounds them
        try:
            self._engine, *_ = deepspeed.initialize(
                model=self._loss, optimizer=self.optimizer, config=self._settings(), dist_init_required=False
            )
        except (RuntimeError, AssertionError, ImportError, OSError) as error:
            reason = " ".join(str(error).split())[:300] or type(error).__name__
            raise ValueError(f"DeepSpeed does not run here ({reason}); {_INSTEAD}") from error
        if self._parallel.zero_stage == 3:
            for parameter in self._names.values():
                if parameter not in inside:  # the head: its weight is used outside of a forward of its own
                    deepspeed.zero.register_external_parameter(self._loss, parameter)
        for name, parameter in self._names.items():
            _set_part(self._engine.optimizer, parameter, weights[name])
        if self._loaded:
            self._load_moments()

    def _settings(self) -> dict[str, Any]:
        return {
            "train_micro_batch_size_per_gpu": 1,  # the loss is divided by the global count before it gets there
            "gradient_accumulation_steps": self._config.accumulation(num_ranks()),
            "gradient_clipping": self._config.clip_grad_norm,
            "bf16": {"enabled": self._config.precision == "bf16"},
            "data_types": {"grad_accum_dtype": "fp32"},
            "communication_data_type": "fp32",
            "zero_optimization": {"stage": self._parallel.zero_stage},
            "zero_allow_untested_optimizer": True,
            "zero_force_ds_cpu_optimizer": False,
            "steps_per_print": 10**9,
        }

    def _load_moments(self) -> None:
        """Give the optimiser's flat partitions the moments that were loaded by name."""
        zero = self._engine.optimizer
        flat = [p for group in zero.optimizer.param_groups for p in group["params"]]
        if self._parallel.zero_stage == 3:
            flat = list(zero.fp32_partitioned_groups_flat)
        for partition in flat:
            moments = {key: torch.zeros_like(partition) for key in _MOMENTS}
            zero.optimizer.state[partition] = {"step": torch.tensor(self._steps), **moments}
        if self._parallel.zero_stage < 3:
            zero._lazy_init_hp_params_optimizer_state()
        for name, parameter in self._names.items():
            for key in _MOMENTS:
                _set_part(zero, parameter, self._loaded[name][key], key=key)
        self._loaded = {}


class _Loss(nn.Module):
    """The task's loss as a module's forward: what DeepSpeed wraps."""

    def __init__(self, task: TrainTask, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.output: LossOutput | None = None
        self._task = task

    def forward(self, prepared: Prepared) -> Tensor:
        self.output = self._task.loss(self.model, prepared)
        return self.output.sum


def _check(config: TrainerConfig, parallel: ParallelConfig) -> None:
    given = {
        "trainer.ema_decay": config.ema_decay > 0,
        "trainer.together": bool(config.together),
        "trainer.precision=fp16": config.precision == "fp16",
        "parallel.cpu_offload": parallel.cpu_offload,
        "parallel.replicas": (parallel.replicas or 1) > 1,
        "parallel.sharding": parallel.sharding != "auto",
    }
    if named := [name for name, is_set in given.items() if is_set]:
        raise ValueError(f"{named[0]} has no part in parallel.engine=deepspeed; leave it out, or {_INSTEAD}")


def _import_deepspeed() -> Any:
    os.environ.setdefault("LOCAL_RANK", str(launched_local_rank()))  # DeepSpeed asks for it where there is no launcher
    try:
        import deepspeed
    except ImportError as error:
        raise ValueError(
            f"parallel.engine is deepspeed, which cannot be imported ({error}); pip install -e '.[deepspeed]', or "
            f"{_INSTEAD}"
        ) from error
    logging.getLogger("DeepSpeed").setLevel(logging.WARNING)
    return deepspeed


def _named_groups(optimizer: torch.optim.Optimizer, names: dict[str, nn.Parameter]) -> list[dict[str, Any]]:
    """Return the optimiser's groups with names for parameters, as the native engine's checkpoints have them."""
    name_of = {id(parameter): name for name, parameter in names.items()}
    return [
        {**group, "params": [name_of[id(parameter)] for parameter in group["params"]]}
        for group in optimizer.param_groups
    ]


@torch.no_grad()
def _set_part(zero: Any, parameter: nn.Parameter, value: Tensor, *, key: str | None = None) -> None:
    """Set this rank's part of the moment `key` (without a key: of the fp32 weight) from the whole value."""
    if hasattr(parameter, "ds_id"):  # ZeRO-3: a row of equal partitions, the last one padded
        part, _ = zero._get_fp32_opt_state_partition(parameter, False, key)
        padded = F.pad(value.flatten(), (0, part.numel() * num_ranks() - value.numel()))
        first = zero._get_param_partition_rank(parameter) * part.numel()
        part.copy_(padded[first : first + part.numel()])
    else:
        parameter.set_full_hp_param(value.to(parameter.device), key)  # type: ignore[attr-defined]  # DeepSpeed's
