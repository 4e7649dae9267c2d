"""Settings of how a model is run and cut over ranks; imported without torch."""

from dataclasses import dataclass
from typing import Annotated, Literal

from xllmx.settings.number_range import Range, check_numbers
from xllmx.words import plural


@dataclass(frozen=True, kw_only=True)
class ParallelConfig:
    """How the units of a model (`TrainTask.shard_units`, usually its blocks) are run, and where its weights lie."""

    engine: Literal["native", "deepspeed"] = "native"
    """PyTorch's own sharding, or DeepSpeed ZeRO (pip install -e '.[deepspeed]')."""
    sharding: Literal["auto", "full", "hybrid", "none"] = "auto"
    """full: weights, gradients, optimiser are cut over all ranks (FSDP); hybrid: over those of a machine, with a copy a
    machine (HSDP), so that only gradients cross the network; none: every rank has all. auto: hybrid where there are
    several machines of several ranks each, full where there are several ranks."""
    replicas: Annotated[int, Range(1, 10**6)] | None = None
    """Groups of ranks that each hold the model once; within a group it is sharded. Must divide the number of ranks, and
    groups may not lie across machines unless they fill them. None: as many as `sharding` makes."""
    reshard_after_forward: bool = True
    """Gather a unit's weights again for the backward; false keeps them gathered: more memory, less traffic."""
    cpu_offload: bool = False
    """Weights, gradients and optimiser live in the host's memory, and the optimiser steps there; needs sharding."""
    zero_stage: Literal[1, 2, 3] = 2
    """With engine deepspeed: what is cut over the ranks: optimiser (1), and gradients (2), and weights (3)."""
    activation_checkpointing: bool | Literal["selective"] = False
    """true: keep only the inputs of each unit and compute the inside again in the backward: less memory, more time.
    selective: keep the matrix products and the attention too, and compute only what is cheap again."""
    compile: bool = False
    """torch.compile each unit; worth it on a GPU, needs a C++ compiler on a CPU."""

    def __post_init__(self) -> None:
        check_numbers(self, "parallel.")
        if self.sharding == "hybrid" and self.replicas is not None:
            raise ValueError(
                "parallel.sharding is 'hybrid', which makes a copy a machine; leave parallel.replicas out, or take "
                "sharding=full with them"
            )
        if self.sharding == "none" and ((self.replicas or 1) > 1 or self.cpu_offload):
            name = "cpu_offload" if self.cpu_offload else "replicas"
            raise ValueError(f"parallel.{name} needs sharded weights; set parallel.sharding=full, or leave it out")
        if self.compile and self.activation_checkpointing == "selective":
            raise ValueError(
                "parallel.activation_checkpointing is 'selective', which chooses among operators, and parallel.compile "
                "leaves none to choose among; set activation_checkpointing=true, or compile=false"
            )

    def is_sharded(self, num_ranks: int) -> bool:
        """Whether the native engine cuts the weights over so many ranks."""
        cut = self.sharding in ("full", "hybrid") or (self.sharding == "auto" and (num_ranks > 1 or self.cpu_offload))
        return self.engine == "native" and cut

    def copies(self, num_ranks: int, *, a_machine: int | None = None) -> int:
        """Return in how many copies sharded weights lie on so many ranks.

        Args:
            num_ranks: of all machines.
            a_machine: ranks of each machine, which are neighbours; None: machines differ, or nobody said.

        Raises:
            ValueError: the copies do not divide the ranks or lie across machines, or a copy a machine cannot be made.
        """
        machines = 1 if a_machine is None else num_ranks // a_machine
        if self.sharding == "hybrid" and a_machine is None:
            raise ValueError(
                f"parallel.sharding is 'hybrid', and the {num_ranks} processes are not as many on each machine, "
                "neighbours by number; start as many on each (srun: --distribution=block), or set "
                "parallel.sharding=full"
            )
        if self.replicas is None:
            copies_machines = self.sharding == "hybrid" or (self.sharding == "auto" and (a_machine or 1) > 1)
            return machines if copies_machines else 1
        divisors = [number for number in range(1, num_ranks + 1) if num_ranks % number == 0]
        if machines > 1 and a_machine:  # shards fill machines, or a machine holds whole copies
            divisors = [n for n in divisors if (num_ranks // n) % a_machine == 0 or a_machine % (num_ranks // n) == 0]
        if self.replicas not in divisors:
            where = f" on {machines} machines of {a_machine}" if machines > 1 else ""
            rule = "which does not divide" if num_ranks % self.replicas else "whose shards lie across the machines of"
            raise ValueError(
                f"parallel.replicas is {self.replicas}, {rule} {plural(num_ranks, 'process')}{where}; "
                f"use {', '.join(map(str, divisors))}, or leave it out"
            )
        return self.replicas
