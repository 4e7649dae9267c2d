"""The parts of the run on a device, in their order: quick answers first, what compiles last."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module

from benchmarks.device.findings import Findings
from benchmarks.device.place import Place


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part, which runs in a process of its own."""

    title: str
    """For people."""
    module: str
    """In this folder, with a function of the same name; loaded where it runs, for each loads much of its own."""
    limit_s: int
    """After which it is stopped, loading PyTorch included."""

    def run(self, place: Place) -> Findings:
        """Return what it finds."""
        work: Callable[[Place], Findings] = getattr(import_module(f"benchmarks.device.{self.module}"), self.module)
        return work(place)


PARTS: Mapping[str, Part] = {
    "rates": Part(title="what the device reaches", module="rates", limit_s=40),
    "agreement": Part(title="the same numbers as on the CPU", module="agreement", limit_s=90),
    "refinement": Part(title="a refinement of Lumos-1 (1B class)", module="refinement", limit_s=60),
    "clip": Part(title="a clip of Lumos-1, and its first picture", module="clip", limit_s=75),
    "flow": Part(title="Lumina-Video (2B, 672x384, 64 frames)", module="flow_steps", limit_s=70),
    "training": Part(title="training steps of Lumos-1 (1B class, 448x256)", module="training_run", limit_s=65),
    "compiled": Part(title="compiled blocks, FlexAttention", module="compiled", limit_s=70),
}
"""By name; their limits together are less than 8 minutes, those of the first two less than 3."""
