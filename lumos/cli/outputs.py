"""Jobs -> files: each output made once, whole or not at all, with its record beside it."""

import glob
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lumos.cli.record import code_version, differences, file_hash, model_hash, read_record, write_record
from lumos.lumos1.pipeline import LumosPipeline
from lumos.lumos1.sampling.request import OnFrame
from lumos.lumos1.sampling.settings import Settings
from lumos.media.files import require_folder
from lumos.media.inputs import choose_seeds
from lumos.media.writing import write_image, write_video
from xllmx.setting import SettingError

FORMATS = ("mp4", "gif", "png")
_SHOWN_CHARACTERS = 40


@dataclass(frozen=True, kw_only=True)
class Job:
    """One output to make."""

    prompt: str
    """What the model sees."""
    output: Path
    """Where it goes; the suffix says the format."""
    image: Path | None = None
    """First frame, for image-to-video."""
    negative_prompt: str | None = None
    """What to lead away from."""
    seed: int | None = None
    """None: drawn, or that of the finished output."""


@dataclass(frozen=True, kw_only=True)
class Made:
    """An output that is there."""

    output: Path
    """The file."""
    seed: int
    """What makes it again."""
    seconds: float
    """How long it took, its share of the batch; 0 when it was there already."""
    new: bool
    """Whether it was made now."""


def make_outputs(
    pipeline: LumosPipeline,
    jobs: Sequence[Job],
    settings: Mapping[str, Any],
    *,
    batch_size: int = 1,
    overwrite: bool = False,
    on_frame: OnFrame | None = None,
) -> Iterator[Made]:
    """Yields every job's output once it is there: the finished ones first, then the new ones, batch by batch.

    Args:
        pipeline: the model.
        jobs: what to make, every `output` another file.
        settings: what `LumosPipeline` takes; None = the model's default.
        batch_size: samples that go through the model together.
        overwrite: whether an output that was made otherwise is replaced.
        on_frame: called with (latent frame, codes) while a batch is being made.

    Raises:
        ValueError: before anything is made, for a wrong setting, a prompt too long (of several, it is named), a picture
            that is none, an output that is there and is another one (with the remedy), a folder that takes no file.
    """
    if batch_size < 1:
        raise SettingError("batch_size", f"is {batch_size}; it must be at least 1")
    _check_names(jobs)
    parts = _Parts(pipeline)
    pending = []
    for number, job in enumerate(jobs, start=1):
        try:
            wanted = parts.record(job, settings)
        except ValueError as error:
            of_all = isinstance(error, SettingError) and error.name in settings
            if len(jobs) == 1 or of_all:
                raise
            raise ValueError(f"prompt {number} of {len(jobs)} ({_shortened(job.prompt)!r}): {error}") from error
        seed = finished_seed(job.output, wanted, overwrite=overwrite)
        if seed is None:
            pending.append(job)
        else:
            yield Made(output=job.output, seed=seed, seconds=0.0, new=False)
    for folder in dict.fromkeys(job.output.parent for job in pending):
        require_folder(folder)
    for start in range(0, len(pending), batch_size):
        yield from _make(parts, pending[start : start + batch_size], settings, on_frame)


def finished_seed(output: Path, wanted: Mapping[str, Any], *, overwrite: bool = False) -> int | None:
    """The seed of an output that is there and is the one wanted, or None if it is to be made.

    Raises ValueError if another one stands there and may not be replaced.
    """
    if not output.exists():
        return None
    record = read_record(output)
    if record is None:
        fault = "no record of how it was made lies beside it"
    elif changed := differences(record, wanted):
        fault = f"it was made otherwise ({'; '.join(changed)})"
    elif record.get("output_hash") != file_hash(output):
        fault = "it is not the file its record speaks of"
    else:
        return int(record["seed"])
    if not overwrite:
        raise ValueError(f"{output} is there already, and {fault}; use --overwrite, or another --out")
    return None


class _Parts:
    """The pipeline, with the parts of a record that are the same for all its outputs."""

    def __init__(self, pipeline: LumosPipeline) -> None:
        files = pipeline.files
        self.pipeline = pipeline
        self.model = {"model": files.name, "model_hash": model_hash(files)} if files else {}
        self.model |= {"lora": str(files.lora.resolve())} if files and files.lora else {}
        self.model |= {"weights": pipeline.weights} if pipeline.weights else {}
        self.code = code_version()

    def record(self, job: Job, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The record a job's output should have; ValueError if the job cannot be done."""
        pipeline = self.pipeline
        plan = pipeline.settings_for(settings, image=job.image)
        pipeline.prompt_ids(job.prompt, plan)
        choose_seeds(1, seed=job.seed)
        if job.output.suffix == ".png" and plan.num_output_frames > 1:
            raise ValueError(f"{job.output} is to hold {plan.num_output_frames} frames; use mp4 or gif, or one frame")
        image = {"image": str(job.image.resolve()), "image_hash": file_hash(job.image)} if job.image else {}
        return {
            "prompt": job.prompt,
            "negative_prompt": job.negative_prompt,
            **image,
            "seed": job.seed,
            "settings": plan.to_dict(),
            **self.model,
            "dtype": str(pipeline.dtype).removeprefix("torch."),
            "device": pipeline.device.type,
            "code": self.code,
        }


def _make(parts: _Parts, jobs: Sequence[Job], settings: Mapping[str, Any], on_frame: OnFrame | None) -> Iterator[Made]:
    """Makes one batch."""
    start = time.perf_counter()
    result = parts.pipeline(
        [job.prompt for job in jobs],
        image=[job.image for job in jobs],
        negative_prompt=[job.negative_prompt for job in jobs],
        seed=[choose_seeds(1, seed=job.seed)[0] for job in jobs],
        callback=on_frame,
        **settings,
    )
    seconds = (time.perf_counter() - start) / len(jobs)
    for index, (job, frames, seed) in enumerate(zip(jobs, result.frames, result.seeds, strict=True)):
        plan, calls = result.settings[index], result.model_calls[index]
        took = {"num_frames": len(frames), "model_calls": calls, "seconds": round(seconds, 3)}
        record = {**parts.record(job, settings), "seed": seed, **took}
        _write(job.output, np.stack([np.asarray(frame) for frame in frames]), plan, record)
        yield Made(output=job.output, seed=seed, seconds=seconds, new=True)


def _write(output: Path, frames: np.ndarray, plan: Settings, record: Mapping[str, Any]) -> None:
    """Writes an output and its record so that the two are never taken for a pair they are not.

    The file is finished under another name, then its record, which holds the file's hash, then it gets its name.
    """
    staged = output.with_name(f".{output.stem}.staged{output.suffix}")
    for left_over in output.parent.glob(f".{glob.escape(staged.name)}.*.tmp"):  # of a run that was killed
        left_over.unlink()
    try:
        if output.suffix == ".png":
            write_image(staged, frames[0])
        else:
            write_video(staged, frames, fps=plan.fps)
        write_record(output, {**record, "output": output.name, "output_hash": file_hash(staged)})
        staged.replace(output)
    finally:
        staged.unlink(missing_ok=True)


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."


def _check_names(jobs: Sequence[Job]) -> None:
    outputs = [job.output for job in jobs]
    for output in outputs:
        if output.suffix.removeprefix(".") not in FORMATS:
            raise ValueError(f"{output} is of no known format; its name must end in {', '.join(FORMATS)}")
        if output.is_dir():
            raise ValueError(f"{output} is a folder; choose another name for the output")
    if len(set(outputs)) < len(outputs):
        twice = next(output for output in outputs if outputs.count(output) > 1)
        raise ValueError(f"two prompts would go to {twice}; give them other names")
