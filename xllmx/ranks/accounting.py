"""The memory of training on a GPU by arithmetic: weights, optimiser, gradients and gathered weights, by shards.

Activations belong to the model that makes them; here is only what any model has.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

MASTER_BYTES = 4
"""Bytes of a master weight, of its gradient, of each of AdamW's two moments and of its average: fp32."""
COMPUTE_BYTES = {"bf16": 2, "fp16": 2, "fp32": 4, "tf32": 4}
"""Bytes of a number the model computes with."""


@dataclass(frozen=True, kw_only=True)
class Sharding:
    """How a copy of the weights is cut (`xllmx.ranks.sharding`); one shard too is gathered unit by unit."""

    shards: int
    """GPUs that share the copy."""
    gathers_again: bool = True
    """Whether a unit is let go after its forward (`parallel.reshard_after_forward`); else all stay gathered."""


@dataclass(frozen=True, kw_only=True)
class StateBytes:
    """Bytes on one GPU that do not depend on the batch."""

    weights: int
    """fp32 master weights, this rank's shard."""
    optimizer: int
    """AdamW's two moments of the trainable part; of matrices that Muon moves its one momentum (`with_muon`)."""
    gradients: int
    """fp32 gradients of the trainable part, this rank's shard."""
    average: int
    """The averaged weights, where there are any."""
    working: int
    """Weights gathered or cast for computing, and the unsharded gradients of the unit at work."""
    held: int
    """fp32 gradients of all that is trained, whole, which a sharded run holds until the last batch of a step."""

    @property
    def total(self) -> int:
        """Their sum."""
        return self.weights + self.optimizer + self.gradients + self.average + self.working + self.held

    def with_muon(self, parameters: int) -> "StateBytes":
        """Return the same where Muon moves matrices of so many parameters, of which it keeps one momentum, whole."""
        return replace(self, optimizer=self.optimizer - MASTER_BYTES * parameters)


def state_bytes(
    units: Sequence[int],
    *,
    trainable: int,
    sharding: Sharding | None = None,
    precision: str = "bf16",
    averaged: bool = False,
    accumulates: bool = False,
) -> StateBytes:
    """Return the bytes of the training state on a GPU.

    Sharded, two units at most are gathered (the one at work and the next) unless all stay so, and one has unsharded
    gradients, in the computing precision and, for the reduction, in fp32. Otherwise nothing is gathered, but every
    weight has a copy in the computing precision if that is not fp32.

    Args:
        units: parameters of each part that is gathered on its own: the embedding, each block, the head.
        trainable: how many of all parameters are trained; of the others only the weights are kept.
        sharding: how weights, gradients and optimiser are cut; None: each GPU has all of them.
        precision: what the model computes in (a name of `COMPUTE_BYTES`).
        averaged: whether an average of the weights is kept.
        accumulates: whether a step has several batches on a GPU; gradients are summed over the shards in the last.

    Raises:
        ValueError: no shard, or more trainable parameters than there are.
    """
    total = sum(units)
    shards = 1 if sharding is None else sharding.shards
    if shards < 1:
        raise ValueError(f"{shards} shards; the state lies on 1 GPU or more")
    if trainable > total:
        raise ValueError(f"{trainable} trainable parameters of {total}; give the trainable part of the model")
    compute = COMPUTE_BYTES[precision]
    if sharding is not None:
        gathered = sum(sorted(units)[-2:]) if sharding.gathers_again else total
        working = compute * gathered + (compute + MASTER_BYTES) * (max(units) if trainable == total else 0)
    else:
        working = compute * total if compute != MASTER_BYTES else 0
    share = -(-total // shards), -(-trainable // shards)
    return StateBytes(
        weights=MASTER_BYTES * share[0],
        optimizer=2 * MASTER_BYTES * share[1],
        gradients=MASTER_BYTES * share[1],
        average=MASTER_BYTES * share[0] if averaged else 0,
        working=working,
        held=MASTER_BYTES * trainable if accumulates and sharding is not None else 0,
    )
