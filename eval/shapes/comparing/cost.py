"""What a clip of a model costs: passes, seconds and memory measured, FLOPs by arithmetic, weights counted.

Times and memory are of the machine and of this process, which should measure one model alone.
"""

import resource
import statistics
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from eval.shapes.prompts import Record, make_prompts
from eval.shapes.run import PipelineGenerator
from lumos.cli.jobs.runner import Job, Planned
from lumos.cli.models.door import find_model, refuse_settings
from lumos.cli.models.kind import Model


@dataclass(frozen=True, kw_only=True)
class Cost:
    """The cost of one clip made alone."""

    num_parameters: int
    """Of the network that samples."""
    file_bytes: int
    """Of all weights: the network, and what turns text and pixels into numbers and back."""
    passes: int
    """Of the network, each branch of the guidance counted: the mean of the clips made: adaptive sampling ends early."""
    flops: int
    """Of so many passes at the mean of the planned ones; a multiplication and an addition are two."""
    seconds: float
    """Median wall time of a clip, from the prompt to the frames, on the device in the dtype below."""
    spread: float
    """(slowest - fastest) / median."""
    peak_bytes: int
    """Memory at its highest: of the process on a CPU, allocated on a GPU."""
    num_frames: int
    threads: int
    """Of a CPU."""
    device: str
    dtype: str


class MeasuredModel:
    """A model that is loaded and has made one clip to warm up; makes clips that are timed, one after another.

    Raises:
        ValueError: settings that the model does not have; a device or dtype that cannot be had.
    """

    def __init__(
        self, model: str, *, device: str | None = None, dtype: str | None = None, settings: Mapping[str, Any]
    ) -> None:
        found = find_model(model, device=device, dtype=dtype, how={"keep_encoders": True})
        refuse_settings(found, settings)
        self._model, self._settings, self._seconds = found, settings, list[float]()
        self._calls = list[int]()
        self._pipeline: Any = found.load([])
        self._generate = PipelineGenerator(self._pipeline, settings=settings)
        self._first = make_prompts("t2v", 1, seed=0)[0]
        self._num_frames = len(self._generate([self._first])[0])

    def make(self, record: Record) -> float:
        """Wall time of one clip in seconds; its frames are on the host in the end, so nothing is left to wait for."""
        before = time.perf_counter()
        self._generate([record])
        self._seconds.append(time.perf_counter() - before)
        self._calls.extend(self._generate.model_calls)
        return self._seconds[-1]

    def cost(self) -> Cost:
        """The cost of a clip, by the clips made so far, at least one."""
        costs = self._model.kind.costs(self._model, self._pipeline.dtype)
        of_clip = costs.of_clip(planned_clip(self._model, self._first, self._settings))
        median, passes = statistics.median(self._seconds), statistics.mean(self._calls)
        return Cost(
            num_parameters=costs.num_parameters,
            file_bytes=sum(path.stat().st_size for path in _weights(self._model)),
            passes=round(passes),
            flops=round(of_clip.flops * passes / of_clip.passes),
            seconds=median,
            spread=(max(self._seconds) - min(self._seconds)) / median,
            peak_bytes=_peak_bytes(self._pipeline.device),
            num_frames=self._num_frames,
            threads=torch.get_num_threads(),
            device=str(self._pipeline.device),
            dtype=str(self._pipeline.dtype).removeprefix("torch."),
        )


def measure_cost(
    model: str, *, repeats: int = 5, device: str | None = None, dtype: str | None = None, settings: Mapping[str, Any]
) -> Cost:
    """Make one clip to warm up, then `repeats` of other prompts, one after another.

    Raises:
        ValueError: as `MeasuredModel`.
    """
    measured = MeasuredModel(model, device=device, dtype=dtype, settings=settings)
    for record in make_prompts("t2v", repeats + 1, seed=0)[1:]:
        measured.make(record)
    return measured.cost()


def planned_clip(model: Model, record: Record, settings: Mapping[str, Any]) -> Planned:
    """A video of a record as the arithmetic of its work takes it."""
    chosen = model.settings_for(settings, image=None)
    job = Job(name="clip.mp4", prompt=record.prompt.text)
    return Planned(job=job, number=1, settings=chosen, wanted={}, place=None, seed=None)


def _weights(model: Model) -> list[Path]:
    """The files that decide what the model makes and hold weights."""
    files = {path.resolve() for path in model.files.paths_to_hash}
    return sorted(path for path in files if path.suffix in (".safetensors", ".bin", ".pth", ".jit"))


def _peak_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    status = Path("/proc/self/status")
    if status.is_file():  # where there is one: what is said below begins with that of the process that started this one
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
