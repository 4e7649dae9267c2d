"""How large the work of each part is: `FULL` for a GPU, `SMALL` to try all of it out on anything."""

from dataclasses import dataclass

from benchmarks.lumina_video import flow
from benchmarks.lumos1.work import WORKS, Work
from lumos.tokenizer.network import NetworkConfig


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Of all parts."""

    is_released: bool
    """Whether the networks are those that the arithmetic is about."""
    refinements: dict[str, Work]
    """By the size of the frame."""
    clip: Work
    """One whole clip."""
    clip_steps: int
    """Refinements of each of its frames."""
    visual: NetworkConfig
    """What decodes it."""
    flow: flow.FlowWork
    """Lumina-Video."""
    flow_steps: int
    """Euler steps of its whole run."""
    training: Work
    """A step of the trainer."""
    matrix: int
    """Rows and columns of a product."""
    copied_bytes: int
    rounds: int
    """How often each path is timed."""


FULL = Sizes(
    is_released=True,
    refinements={"448x256": WORKS["1b-class"], "672x384": WORKS["1b-class-384p"]},
    clip=WORKS["1b-class"],
    clip_steps=50,
    visual=NetworkConfig(),
    flow=flow.WORKS["released-512"],
    flow_steps=69,
    training=WORKS["1b-class"],
    matrix=8192,
    copied_bytes=2**30,
    rounds=3,
)
SMALL = Sizes(
    is_released=False,
    refinements={"96x64": WORKS["tiny"]},
    clip=Work(width=32, num_layers=1, num_heads=2, num_kv_heads=1, inner=48, grid=(4, 8), num_latent_frames=2),
    clip_steps=2,
    visual=NetworkConfig(channels=8, multipliers=(1, 2), num_res_blocks=1, z_channels=5),
    flow=flow.WORKS["tiny"],
    flow_steps=3,
    training=Work(width=32, num_layers=2, num_heads=2, num_kv_heads=1, inner=48, grid=(4, 8), num_latent_frames=2),
    matrix=256,
    copied_bytes=2**20,
    rounds=1,
)
