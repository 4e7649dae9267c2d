"""Randomness as a pure function of where it is used: (seed, step, rank, stream).

No generator lives longer than a step, so there is no random state to save, and a resumed run draws what the
uninterrupted one would have drawn.
"""

import hashlib

import torch


def seed_for(seed: int, step: int = 0, *, rank: int = 0, stream: str = "") -> int:
    """Return a number in [0, 2^63) that is the same on every machine and differs for every argument."""
    digest = hashlib.blake2b(f"{seed}/{step}/{rank}/{stream}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def generator_for(seed: int, step: int = 0, *, rank: int = 0, stream: str = "") -> torch.Generator:
    """Return a CPU generator that depends on nothing but its arguments."""
    return torch.Generator().manual_seed(seed_for(seed, step, rank=rank, stream=stream))


def generator_at(seed: int, step: int = 0, *, slot: int = 0, stream: str = "") -> torch.Generator:
    """Return the generator of a batch whose first sample has the place `slot` in the global batch of its step.

    The place is added to the seed, so that `sample_generator` of one sample is the same however the global batch is cut
    into ranks and accumulation.
    """
    return torch.Generator().manual_seed((seed_for(seed, step, stream=stream) + slot) % 2**63)


def sample_generator(generator: torch.Generator, index: int) -> torch.Generator:
    """Return the generator of sample `index` of a batch whose own is `generator` (made by `generator_at`)."""
    return generator_for((generator.initial_seed() + index) % 2**63, stream="sample")
