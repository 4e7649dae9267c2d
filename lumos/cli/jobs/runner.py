"""Jobs -> files: each output made once, whole or not at all, with its record; by one process or by many.

    plan = plan_jobs(jobs, folder, recipe, batch_size=4, worker=worker)   # loads no model: mistakes show at once
    for made in run_jobs(plan, load):                                     # loads one if something is missing
        print(made.output, made.seed)

The list is cut into batches once, from its beginning, and worker r of n makes batches r, r + n, ... A batch of which
something is missing is made whole: an output stands in the same batch, and so is the same byte for byte, however many
workers there are and wherever a run was stopped. The record, which holds the hash of the file, gets its name first,
then the file, and what is replaced is removed before: wherever a process is killed, no file stands beside a record of
another one, and none without its record. Of two processes that make one name, neither replaces what the other made.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated, Any, TypeVar

import numpy as np
from jaxtyping import UInt8

from lumos.cli.jobs.finished import finished_seed, free_name
from lumos.cli.jobs.outputs import IMAGE_FORMATS, OutputFolder, format_of, move, placing, staging_folder
from lumos.cli.jobs.pictures import keep_picture, picture_entries
from lumos.cli.jobs.pipeline import LoadedModel, Pipeline, Settings, SettingsFor
from lumos.cli.jobs.places import check_places, named
from lumos.cli.jobs.record import code_version, record_path, write_record
from lumos.cli.jobs.scale import check_scale, enlarged
from lumos.cli.jobs.workers import ALONE, Worker, batches_of, share_of
from lumos.hub.hashes import sha256_of
from lumos.media.inputs import choose_seeds
from lumos.media.writing import write_image, write_video
from xllmx.disk.files import writing
from xllmx.settings.number_range import Range, check_numbers
from xllmx.settings.setting import SettingError

T = TypeVar("T")
_SHOWN_FAULTS = 3


@dataclass(frozen=True, kw_only=True)
class Job:
    """One output to make."""

    name: str
    """What its folder knows it by (`OutputFolder`); the suffix says the format."""
    prompt: str
    """What the model sees."""
    then: list[list[Any]] | None = None
    """[[frame, the prompt from there on], ...]"""
    image: Path | None = None
    """First frame, for image-to-video, or a video to go on from."""
    negative_prompt: str | None = None
    """What to lead away from."""
    seed: int | None = None
    """None: drawn, or that of the finished output."""
    notes: Mapping[str, Any] = field(default_factory=dict)
    """What its record says besides, at the end."""

    @property
    def asked(self) -> Any:
        """What a pipeline is called with for its prompt."""
        return [[0, self.prompt], *self.then] if self.then else self.prompt


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How all outputs of a list are made, known before a model is loaded."""

    given: Mapping[str, Any]
    """What the pipeline is called with; None = the model's default."""
    settings_for: SettingsFor
    model: Mapping[str, Any]
    """What every record says of the model (`lumos.cli.jobs.record.model_entries`)."""
    scale: Annotated[int, Range(1, 64)] = 1
    """Every pixel is written as so many by so many (nearest neighbour); a record says it where it is not 1."""

    def __post_init__(self) -> None:
        check_numbers(self)


@dataclass(frozen=True, kw_only=True)
class Made:
    """An output that is there."""

    output: Path
    """The file."""
    seed: int
    """What makes it again."""
    seconds: float = 0.0
    """How long it took, its share of the batch; 0 when it was there already."""
    together: int = 1
    """How many were made at once: its batch."""
    replaced: bool = False
    """Whether a file stood there that was damaged, or made otherwise."""


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A job, looked at before anything is made."""

    job: Job
    number: int
    """In the whole list, from 1."""
    settings: Settings
    wanted: Mapping[str, Any]
    """What its record must say; the seed may be open."""
    place: Path | None
    """The file that stands there, if one does."""
    seed: int | None
    """The seed of the finished output; None if it is to be made."""


@dataclass(frozen=True, kw_only=True)
class Generated:
    """What is known of an output that a model has made, and that has no place yet."""

    planned: Planned
    record: Mapping[str, Any]
    """What its record says, but for its file."""
    seconds: float
    """How long it took, its share of the batch."""
    together: int
    """How many were made at once: its batch."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What one worker makes of a list."""

    batches: list[list[Planned]]
    """Its share of the batches, finished outputs among them."""
    folder: OutputFolder
    recipe: Recipe
    num_listed: int
    """Jobs of the whole list."""

    @property
    def finished(self) -> list[Made]:
        """The outputs that are there and are the ones wanted."""
        planned = [one for batch in self.batches for one in batch]
        return [Made(output=one.place, seed=one.seed) for one in planned if one.place and one.seed is not None]

    @property
    def missing(self) -> list[Planned]:
        """The jobs that are to be done."""
        return [one for batch in self.batches for one in batch if one.seed is None]


def plan_jobs(
    jobs: Sequence[Job],
    folder: OutputFolder,
    recipe: Recipe,
    *,
    batch_size: int = 1,
    worker: Worker = ALONE,
    overwrite: bool = False,
) -> Plan:
    """What a worker has to make of a list, and what it finds finished; no model is loaded, no file is written.

    Args:
        jobs: the whole list, every name another one.
        folder: where the outputs go.
        recipe: how they are made.
        batch_size: outputs that go through the model together.
        worker: which of how many this process is.
        overwrite: whether an output that was made otherwise is replaced.

    Raises:
        ValueError: for a wrong setting, a picture that is none, a name or a text that cannot be written, an output that
            is there and is another one (with the remedy); of several jobs, the prompts at fault are named.
    """
    check_places(jobs, folder, inputs={})

    @cache  # many jobs share a picture
    def of_image(image: Path | None) -> tuple[Settings, dict[str, Any]]:
        entries = {} if image is None else picture_entries(image)
        return recipe.settings_for(recipe.given, image=image), entries

    def look_at(number: int, job: Job) -> Planned:
        with _naming(job.prompt, number, num_listed=len(jobs), given=recipe.given):
            settings, image = of_image(job.image)
            choose_seeds(1, seed=job.seed)
            _check_written(job.name, settings, scale=recipe.scale)
        texts = {"prompt": job.prompt, "then": job.then, "negative_prompt": job.negative_prompt}
        scale = {"scale": recipe.scale} if recipe.scale != 1 else {}
        wanted = {**texts, **image, "seed": job.seed, "settings": settings.to_dict(), **recipe.model, **scale}
        place, seed = folder.find(job.name), None
        try:
            seed = finished_seed(folder, job.name, wanted, overwrite=overwrite)
        except ValueError as error:
            taken.append(str(error))
        return Planned(job=job, number=number, settings=settings, wanted=wanted, place=place, seed=seed)

    taken: list[str] = []
    share = share_of(batches_of(list(enumerate(jobs, start=1)), batch_size), worker)
    batches = [[look_at(number, job) for number, job in batch] for batch in share]
    if taken:
        more = f"; and {len(taken) - _SHOWN_FAULTS} more outputs are there" if taken[_SHOWN_FAULTS:] else ""
        raise ValueError("; ".join(taken[:_SHOWN_FAULTS]) + more)
    return Plan(batches=batches, folder=folder, recipe=recipe, num_listed=len(jobs))


def run_jobs(
    plan: Plan,
    load: Callable[[], Pipeline],
    *,
    on_frame: Callable[..., None] | None = None,
    on_batch: Callable[[Sequence[Planned]], None] | None = None,
) -> Iterator[Made]:
    """Yields what is missing of a plan, each output once it is in its place, batch by batch.

    `load` is called if something is missing, `on_batch` before each batch, and `on_frame` by the pipeline meanwhile.

    Raises:
        ValueError: before anything is made, for a prompt or settings that the model does not take (of several jobs, the
            prompt is named), or a folder that takes no file.
    """
    if not plan.missing:
        return
    pipeline = load()
    check_prompts(plan, pipeline)
    code = code_version()
    with staging_folder(plan.folder.staging) as staging:
        for batch in plan.batches:
            if any(one.seed is None for one in batch):
                if on_batch is not None:
                    on_batch(batch)
                yield from _make(plan, pipeline, batch, code=code, staging=staging, on_frame=on_frame)


def check_prompts(plan: Plan, pipeline: LoadedModel) -> None:
    """Raises ValueError for a prompt or settings of a missing output that the model does not take."""
    for one in plan.missing:
        with _naming(one.job.prompt, one.number, num_listed=plan.num_listed, given=plan.recipe.given):
            pipeline.check(one.job.asked, one.settings)


def _make(
    plan: Plan,
    pipeline: Pipeline,
    batch: Sequence[Planned],
    *,
    code: str,
    staging: Path,
    on_frame: Callable[..., None] | None,
) -> Iterator[Made]:
    """Makes one batch, and yields what of it was missing."""

    def write(made: tuple[Generated, np.ndarray]) -> Made:
        one, pixels = made
        return placed(plan.folder, one, write_output(one.planned, pixels, staging), staging=staging)

    yield from all_placed(generated(batch, pipeline, plan.recipe, code=code, on_frame=on_frame), write)


def all_placed(batch: Iterable[T], place: Callable[[T], Made]) -> Iterator[Made]:
    """Yield the outputs of a batch, once all have been placed that can be; then raise the first fault."""
    written, fault = [], None
    for one in batch:
        try:
            written.append(place(one))
        except ValueError as error:  # a full disk: a smaller one may still find room
            fault = fault or error
    yield from written
    if fault is not None:
        raise fault


def generated(
    batch: Sequence[Planned],
    pipeline: Pipeline,
    recipe: Recipe,
    *,
    code: str,
    on_frame: Callable[..., None] | None = None,
) -> Iterator[tuple[Generated, UInt8[np.ndarray, "F Hpx Wpx 3"]]]:
    """Have a model make a whole batch, and yield what of it was missing, each with its pixels."""
    start = time.perf_counter()
    result = pipeline(
        [one.job.asked for one in batch],
        image=[one.job.image for one in batch],
        negative_prompt=[one.job.negative_prompt for one in batch],
        seed=[choose_seeds(1, seed=one.job.seed if one.seed is None else one.seed)[0] for one in batch],
        callback=on_frame,
        **recipe.given,
    )
    seconds = (time.perf_counter() - start) / len(batch)
    for one, frames, seed, calls in zip(batch, result.frames, result.seeds, result.model_calls, strict=True):
        if one.seed is not None:
            continue
        where = {"device": pipeline.device.type, "code": code}
        took = {"num_frames": len(frames), "model_calls": calls, "seconds": round(seconds, 3)}
        record = {**one.wanted, "seed": seed, **where, **took}
        pixels = enlarged(np.stack([np.asarray(frame) for frame in frames]), recipe.scale)
        yield Generated(planned=one, record=record, seconds=seconds, together=len(batch)), pixels


def _check_written(name: str, settings: Settings, *, scale: int) -> None:
    """Raises ValueError where what is made cannot be written under its name, or at its scale."""
    if format_of(name) in IMAGE_FORMATS and settings.num_output_frames > 1:
        raise ValueError(f"{name} is to hold {settings.num_output_frames} frames; use mp4, webm or gif, or one frame")
    check_scale(scale, width=settings.width, height=settings.height)


def write_output(one: Planned, pixels: UInt8[np.ndarray, "F Hpx Wpx 3"], staging: Path) -> Path:
    """The file that was written in a staging folder, in the format that the name of the output says."""
    made = staging / f"made{Path(one.job.name).suffix}"
    if format_of(one.job.name) in IMAGE_FORMATS:
        write_image(made, pixels[0])
    else:
        write_video(made, pixels, fps=one.settings.fps)
    return made


def placed(folder: OutputFolder, one: Generated, made: Path, *, staging: Path) -> Made:
    """The output, once `made`, its file in a staging folder, and its record are in place."""
    output = put_in_place(folder, one.planned, made, one.record, staging=staging)
    replaced = bool(one.planned.place)
    return Made(output=output, seed=one.record["seed"], seconds=one.seconds, together=one.together, replaced=replaced)


def put_in_place(folder: OutputFolder, one: Planned, made: Path, record: Mapping[str, Any], *, staging: Path) -> Path:
    """Where an output is, once `made`, a file in a staging folder, and its record are in place.

    The two are never taken for a pair they are not.
    """
    entries = {**record, "output": one.job.name, "output_hash": sha256_of(made), **one.job.notes}
    with placing(staging):
        name = one.job.name if one.place or folder.holds_only_outputs else free_name(folder, one.job.name, entries)
        write_record(made, {**entries, "output": name})
        if one.job.image is not None:
            keep_picture(one.job.image, one.wanted, beside=record_path(folder.recorded(name)), staging=staging)
        if (before := folder.find(name)) is not None:  # not even for a moment beside the record of another one
            before.unlink(missing_ok=True)
        with writing(folder.place(name)):
            move(record_path(made), record_path(folder.recorded(name)))
            return folder.put(name, made)


@contextmanager
def _naming(prompt: str, number: int, *, num_listed: int, given: Mapping[str, Any]) -> Iterator[None]:
    """Within it a fault of one job among several names its prompt; one of the settings of all does not."""
    try:
        yield
    except ValueError as error:
        of_all = isinstance(error, SettingError) and error.name in given
        if num_listed == 1 or of_all:
            raise
        raise ValueError(named(prompt, number, str(error), num_listed=num_listed)) from error
