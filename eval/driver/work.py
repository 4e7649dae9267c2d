"""What a benchmark asks for: its list as jobs of the runner, and where the outputs go."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eval.driver.folders import BenchmarkFolder
from lumos.cli.jobs.pipeline import Settings
from lumos.cli.jobs.runner import Job, Recipe
from lumos.hub.hashes import sha256_of

_SEED_BYTES = 6
"""Seeds below 2^48: exact in every reader of json."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """A benchmark's jobs and where their outputs go."""

    jobs: list[Job]
    """All that are asked for, in order, made by `job_of`."""
    folder: BenchmarkFolder
    prompt_file: Path
    """The official list."""
    settings: dict[str, Any] = field(default_factory=dict)
    """What the pipeline is called with."""
    remarks: list[str] = field(default_factory=list)
    """What a person should know, though it is no error."""


def job_of(name: str, *, official: str, index: int, text: str, base_seed: int, image: Path | None = None) -> Job:
    """The job of output `index` of an official prompt, of which the model sees `text`."""
    notes = {"official_prompt": official, "index": index}
    return Job(name=name, prompt=text, image=image, seed=seed_of(base_seed, official, index), notes=notes)


def seed_of(base: int, prompt: str, index: int) -> int:
    """The seed of an output: a hash of (base seed, official prompt, index), from 0 to 2^48 - 1."""
    digest = hashlib.sha256(f"{base}\n{index}\n{prompt}".encode()).digest()
    return int.from_bytes(digest[:_SEED_BYTES], "big")


def num_prompts(jobs: Sequence[Job]) -> int:
    """How many official prompts the jobs are of."""
    return len({job.notes["official_prompt"] for job in jobs})


def describe(work: Work, recipe: Recipe, settings: Settings, *, seed: int) -> dict[str, Any]:
    """What the folder is a run of; stands in `run.json` of the records."""
    return {
        **recipe.model,
        "settings": settings.to_dict(),
        "seed": seed,
        "prompt_file": work.prompt_file.name,
        "prompt_file_hash": sha256_of(work.prompt_file),
        "rewritten": any(job.prompt != job.notes["official_prompt"] for job in work.jobs),
        "num_prompts": num_prompts(work.jobs),
        "num_samples": len(work.jobs),
        "num_frames": settings.num_output_frames,
    }
