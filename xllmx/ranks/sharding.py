"""Weights cut over the ranks (FSDP2 on a replicate x shard mesh), and which rows of them a rank holds."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import (
    CPUOffloadPolicy,
    FSDPModule,
    MixedPrecisionPolicy,
    OffloadPolicy,
    fully_shard,
    register_fsdp_forward_method,
)
from torch.distributed.tensor import DTensor

from xllmx.ranks.distributed import num_ranks, processes_of_machines
from xllmx.ranks.parallel import ParallelConfig


def replicate_shard_mesh(device_type: str, replicas: int) -> DeviceMesh:
    """Return the mesh of all ranks: [dp_shard] (FSDP), or with several replicas [dp_replicate, dp_shard] (HSDP).

    Neighbouring ranks share a replica, so that with 8 GPUs a machine and a replica a machine, weights are gathered
    within machines and only gradients travel between them (2 machines of 4):

        dp_replicate 0   [ 0 1 2 3 ]    gathers and reduces along dp_shard, within the machine
        dp_replicate 1   [ 4 5 6 7 ]    then sums gradients along dp_replicate: 0 with 4, 1 with 5, ...
    """
    ranks = num_ranks()
    if replicas == 1:
        return init_device_mesh(device_type, (ranks,), mesh_dim_names=("dp_shard",))
    return init_device_mesh(device_type, (replicas, ranks // replicas), mesh_dim_names=("dp_replicate", "dp_shard"))


def copies_of(config: ParallelConfig) -> int:
    """Return in how many copies the weights lie on these processes; called on all of them.

    Raises:
        ValueError: as `ParallelConfig.copies`.
    """
    machines = processes_of_machines()
    return config.copies(num_ranks(), a_machine=machines[0] if len(set(machines)) == 1 else None)


def shard(
    model: nn.Module,
    units: Sequence[nn.Module],
    config: ParallelConfig,
    *,
    device: torch.device,
    compute_dtype: torch.dtype,
    replicas: int = 1,
    methods: Sequence[str] = (),
) -> nn.Module:
    """Return the model (usually on meta), every parameter cut along its first dimension over the ranks.

    Each unit and each embedding outside of them is gathered when it is run. What is left (the head, the last norm) is
    gathered when the model is entered and stays so until its backward is done, so that a loss may use the head's weight
    without a forward of its own.

    Args:
        model: fp32; these are the master weights.
        units: its modules to gather one at a time.
        config: offload, whether to gather twice.
        device: where it computes.
        compute_dtype: what weights are gathered in; gradients are summed (not averaged) in fp32.
        replicas: copies of the model (`copies_of`).
        methods: methods besides `forward` that the model is entered by.
    """
    mesh = replicate_shard_mesh(device.type, replicas)
    offload = CPUOffloadPolicy(pin_memory=device.type in ("cuda", "xpu")) if config.cpu_offload else OffloadPolicy()
    policy = MixedPrecisionPolicy(param_dtype=compute_dtype, reduce_dtype=torch.float32, cast_forward_inputs=False)
    # The residual stream is fp32 as on one rank, where autocast leaves it so.
    wide = MixedPrecisionPolicy(
        param_dtype=compute_dtype, reduce_dtype=torch.float32, output_dtype=torch.float32, cast_forward_inputs=False
    )
    inside = {module for unit in units for module in unit.modules()}
    embeddings = [m for m in model.modules() if isinstance(m, nn.Embedding) and m not in inside]
    for unit in [*embeddings, *units]:
        own = wide if isinstance(unit, nn.Embedding) else policy
        again = config.reshard_after_forward
        fully_shard(unit, mesh=mesh, mp_policy=own, offload_policy=offload, reshard_after_forward=again)
    fully_shard(model, mesh=mesh, mp_policy=policy, offload_policy=offload, reshard_after_forward=False)
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.set_gradient_divide_factor(1.0)  # the loss is divided by the global count already
            module.set_force_sum_reduction_for_comms(True)
    for method in methods:
        register_fsdp_forward_method(model, method)
    return model


def local_rows(tensor: Tensor) -> slice:
    """Return which rows of the whole tensor this rank holds: all of them where it is not sharded."""
    num_rows = tensor.shape[0]
    if not isinstance(tensor, DTensor):
        return slice(0, num_rows)
    for dimension, placement in enumerate(tensor.placements):
        if placement.is_shard():
            share = -(-num_rows // tensor.device_mesh.size(dimension))
            first = min(tensor.device_mesh.get_local_rank(dimension) * share, num_rows)
            return slice(first, min(first + share, num_rows))
    return slice(0, num_rows)


@torch.no_grad()
def fill_rows(tensor: Tensor, rows: Callable[[slice], Tensor]) -> None:
    """Fill the rows of the tensor that this rank holds with `rows(slice of the whole)`; no other rows are asked for."""
    part = local_rows(tensor)
    local = tensor.to_local() if isinstance(tensor, DTensor) else tensor
    if part.stop > part.start:
        local.copy_(rows(part))


@torch.no_grad()
def set_rows(tensor: Tensor, indices: Tensor, values: Tensor) -> None:
    """Set row indices[i] of the whole tensor to values[i], for the rows that this rank holds."""
    part = local_rows(tensor)
    local = tensor.to_local() if isinstance(tensor, DTensor) else tensor
    mine = (indices >= part.start) & (indices < part.stop)
    local[(indices[mine] - part.start).to(local.device)] = values[mine].to(local)


def whole(tensor: Tensor) -> Tensor:
    """Return the whole of a tensor of which each rank holds a part (called on all ranks), or the tensor itself."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
