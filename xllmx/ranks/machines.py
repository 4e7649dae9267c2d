"""GPUs of a kind in machines, as arithmetic sees them: how long products take, and what a sharded step exchanges.

    weights     gathered over the shards for the forward, and again for the backward, in what the model computes in
    gradients   summed over the shards in fp32, then over the replicas, once a step

Every group is reckoned as a ring that enters each machine once: of S bytes each GPU sends S (n - 1) / n, and a sum
over replicas goes round twice. How long a message takes to set out is not counted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from xllmx.ranks.accounting import COMPUTE_BYTES, MASTER_BYTES
from xllmx.ranks.data_sheets import GPUS, DataSheet, sheet_of
from xllmx.ranks.parallel import ParallelConfig
from xllmx.settings.number_range import COUNT, Range, check_numbers
from xllmx.settings.setting import SettingError, suggestion

DEFAULT_GPU = "H200"
UTILISATION = 0.4
"""Share of a GPU's bf16 peak that passes of a large model are assumed to reach."""
LINK_SHARE = 0.8
"""Share of a link's speed that an exchange of large tensors is assumed to reach."""
NETWORK_GB_S = 50.0
"""Between machines, for each GPU of one: a port of 400 Gbit/s InfiniBand (NDR)."""

_SPEED = Range(0, 10**6, above=True)


@dataclass(frozen=True, kw_only=True)
class Machines:
    """Which GPUs, how many, how they are joined, and what of their speed is reached.

    Raises:
        SettingError: a GPU that is not known, or a number outside its range.
    """

    gpu: str = DEFAULT_GPU
    """A name of `data_sheets.GPUS`, or of a device that holds one."""
    num_gpus: Annotated[int, Range(1, 10**6)] = 1
    """In all."""
    gpus_per_machine: Annotated[int, COUNT] = 8
    """Of one machine, where there are so many."""
    utilisation: Annotated[float, Range(0, 1, above=True)] = UTILISATION
    """Share of the peak that products reach."""
    link_gb_s: Annotated[float, _SPEED] | None = None
    """Between two GPUs of a machine, GB/s in each direction; None: of the data sheet."""
    network_gb_s: Annotated[float, _SPEED] | None = None
    """Of a machine to the others, GB/s in each direction; None: `NETWORK_GB_S` for each of its GPUs."""

    def __post_init__(self) -> None:
        check_numbers(self)
        if sheet_of(self.gpu) is None:
            raise SettingError("gpu", f"is {self.gpu!r}, whose peak is not known here; {suggestion(self.gpu, GPUS)}")

    @property
    def sheet(self) -> DataSheet:
        """What its maker says of the GPU."""
        sheet = sheet_of(self.gpu)
        assert sheet is not None
        return sheet

    @property
    def memory_bytes(self) -> float:
        """Memory of a GPU."""
        return 1e9 * self.sheet.memory_gb

    @property
    def gpus_together(self) -> int:
        """GPUs of a machine that are used."""
        return min(self.num_gpus, self.gpus_per_machine)

    @property
    def num_machines(self) -> int:
        """Machines that are used."""
        return -(-self.num_gpus // self.gpus_per_machine)

    @property
    def link(self) -> float:
        """Bytes a second that a GPU sends to the others of its machine."""
        return 1e9 * LINK_SHARE * (self.sheet.link_gb_s if self.link_gb_s is None else self.link_gb_s)

    @property
    def network(self) -> float:
        """Bytes a second that a machine sends to the others."""
        own = NETWORK_GB_S * self.gpus_together
        return 1e9 * LINK_SHARE * (own if self.network_gb_s is None else self.network_gb_s)

    def product_seconds(self, flops: float | int) -> float:
        """Return the time of so many FLOPs on one GPU."""
        return flops / (1e12 * self.sheet.tflops * self.utilisation)

    def exchange_seconds(self, traffic: "Traffic") -> float:
        """Return the time of what is exchanged; links inside machines and between them work side by side."""
        inside, together = traffic.gathered + traffic.reduced, self.gpus_together
        on_links = inside + (traffic.between if together > traffic.shards else 0)
        between_machines = inside if traffic.shards > together else 0.0
        if self.num_machines > 1:
            between_machines += min(traffic.shards, together) * traffic.between
        return max(on_links / self.link if together > 1 else 0.0, between_machines / self.network)

    def assumed(self) -> str:
        """Return the assumptions behind a time of products, for people."""
        return f"{self.utilisation:.0%} of the {self.sheet.tflops:.0f} TFLOP/s (bf16) of one {self.gpu}"


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """What each GPU sends in a step."""

    shards: int
    """GPUs that share one copy of the weights."""
    gathered: float
    """Bytes of weights, to the others of its copy."""
    reduced: float
    """Bytes of gradients, to the others of its copy."""
    between: float
    """Bytes of gradients, to the other copies."""

    @property
    def total(self) -> float:
        """Their sum."""
        return self.gathered + self.reduced + self.between


def step_traffic(
    units: Sequence[int],
    *,
    trainable: int,
    shards: int,
    replicas: int,
    precision: str = "bf16",
    batches: float | int = 1,
    gathers_again: bool = ParallelConfig.reshard_after_forward,
) -> Traffic:
    """Return what each GPU sends in an optimiser step.

    Args:
        units: parameters of each part that is gathered on its own; the last is the model's rest (head, last norm),
            which stays gathered from the forward to the backward.
        trainable: how many of all parameters have gradients.
        shards: GPUs that share one copy of the state.
        replicas: copies.
        precision: what the model computes in (a name of `COMPUTE_BYTES`).
        batches: of a step on one GPU, on average.
        gathers_again: whether units are gathered once more for the backward (`parallel.reshard_after_forward`).
    """
    total, rest = sum(units), units[-1]
    gathered = rest + (total - rest) * (2 if gathers_again else 1)
    others = (shards - 1) / shards
    return Traffic(
        shards=shards,
        gathered=others * batches * COMPUTE_BYTES[precision] * gathered,
        reduced=others * MASTER_BYTES * trainable,
        between=2 * (replicas - 1) / replicas * MASTER_BYTES * trainable / shards,
    )
