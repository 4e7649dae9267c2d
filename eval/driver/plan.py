"""What is to be made, worked out before a model is loaded: mistakes show at once, and a finished folder loads none."""

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eval.driver.folders import SampleFolder
from eval.driver.samples import Sample, seed_of
from lumos.cli.record import differences, file_hash, model_hash, read_record
from lumos.hub.models import ModelFiles

if TYPE_CHECKING:  # torch: only where a command line is carried out
    from lumos.lumos1.sampling.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Work:
    """A benchmark's samples and where they go."""

    samples: list[Sample]
    """All that are asked for, in order."""
    folder: SampleFolder
    prompt_file: Path
    """The official list."""
    settings: dict[str, Any] = field(default_factory=dict)
    """What the pipeline is called with."""
    remarks: list[str] = field(default_factory=list)
    """What a person should know, though it is no error."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Work for one model."""

    work: Work
    settings: "Settings"
    """The settings of every sample, with nothing left open."""
    seed: int
    """The base seed."""
    identity: dict[str, Any]
    """What all records must agree in: model, dtype, settings."""
    records: Path

    def seed_of(self, sample: Sample) -> int:
        """The seed of a sample."""
        return seed_of(self.seed, sample.prompt, sample.index)

    def is_finished(self, sample: Sample, *, overwrite: bool = False) -> bool:
        """Whether a sample is there, whole and made as asked for; one that was damaged since is not.

        Raises ValueError if another one stands there and may not be replaced.
        """
        path = self.work.folder.find(sample)
        if path is None:
            return False
        try:
            record = read_record(self.records / sample.name)
        except ValueError:  # a record that is damaged is ours, and so is the sample
            return False
        changed = differences(record, self._wanted(sample)) if record is not None else []
        if record is not None and not changed:
            return bool(record.get("output_hash") == file_hash(path))
        fault = f"it was made otherwise ({'; '.join(changed)})" if changed else "no record says how it was made"
        if not overwrite:
            raise ValueError(f"{path} is there already, and {fault}; use --overwrite, or another --out")
        return False

    def describe(self) -> dict[str, Any]:
        """What the folder is a run of; stands in `run.json` of the records."""
        samples, settings = self.work.samples, self.settings
        return {
            **self.identity,
            "seed": self.seed,
            "prompt_file": self.work.prompt_file.name,
            "prompt_file_hash": file_hash(self.work.prompt_file),
            "rewritten": any(sample.text != sample.prompt for sample in samples),
            "num_prompts": len({sample.prompt for sample in samples}),
            "num_samples": len(samples),
            "num_frames": settings.num_output_frames,
        }

    def _wanted(self, sample: Sample) -> dict[str, Any]:
        image = {"image_hash": _image_hash(sample.image)} if sample.image else {}
        made = {"prompt": sample.text, "negative_prompt": None, "seed": self.seed_of(sample)}
        return {**made, **image, **self.identity}


def plan(work: Work, files: ModelFiles, *, seed: int, dtype: str, records: Path) -> Plan:
    """The plan of some work for a model; ValueError for settings outside their rules."""
    from lumos.lumos1.sampling.settings import resolve_settings

    settings = resolve_settings(files.defaults, work.settings)
    identity = {
        "model": files.name,
        "model_hash": model_hash(files),
        "dtype": dtype,
        "settings": settings.to_dict(),
    }
    return Plan(work=work, settings=settings, seed=seed, identity=identity, records=records)


@cache
def _image_hash(path: Path) -> str:
    return file_hash(path)
