"""What a clip of a model costs: passes and FLOPs by arithmetic, seconds and memory measured, weights counted.

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
    """Of the network, each branch of the guidance counted."""
    flops: int
    """Of these passes; a multiplication and an addition are two."""
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


def measure_cost(
    model: str, *, repeats: int = 5, device: str | None = None, dtype: str | None = None, settings: Mapping[str, Any]
) -> Cost:
    """Make one clip to warm up, then `repeats` of other prompts, one after another.

    Raises:
        ValueError: settings that the model does not have; a device or dtype that cannot be had.
    """
    found = find_model(model, device=device, dtype=dtype, how={"keep_encoders": True})
    refuse_settings(found, settings)
    records = make_prompts("t2v", repeats + 1, seed=0)
    pipeline = found.load([])
    costs = found.kind.costs(found, pipeline.dtype)
    generate = PipelineGenerator(pipeline, settings=settings)
    clip = generate(records[:1])[0]
    seconds = [_seconds(generate, record, pipeline.device) for record in records[1:]]
    of_clip = costs.of_clip(_planned(found, records[0], settings))
    median = statistics.median(seconds)
    return Cost(
        num_parameters=costs.num_parameters,
        file_bytes=sum(path.stat().st_size for path in _weights(found)),
        passes=of_clip.passes,
        flops=of_clip.flops,
        seconds=median,
        spread=(max(seconds) - min(seconds)) / median,
        peak_bytes=_peak_bytes(pipeline.device),
        num_frames=len(clip),
        threads=torch.get_num_threads(),
        device=str(pipeline.device),
        dtype=str(pipeline.dtype).removeprefix("torch."),
    )


def _seconds(generate: PipelineGenerator, record: Record, device: torch.device) -> float:
    """Wall time of one clip; its frames are on the host in the end, so that nothing is left to wait for."""
    before = time.perf_counter()
    generate([record])
    return time.perf_counter() - before


def _planned(model: Model, record: Record, settings: Mapping[str, Any]) -> Planned:
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
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
