"""Generate, save, read back, score: a whole evaluation of one model, resumable at every clip."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import numpy as np

from eval.shapes.outputs import find_output, save_output, score_folder
from eval.shapes.pictures.sheet import write_sheet
from eval.shapes.prompts import ALL_KINDS, KINDS, TASK_OF_KIND, Record, make_prompts, save_prompts
from eval.shapes.score import Report, Result, score, summarise
from lumos.cli.jobs.progress import Progress, batch_in_words
from lumos.cli.jobs.record import model_hash
from lumos.cli.jobs.runner import Job, Planned
from lumos.cli.models.door import find_model, refuse_how, refuse_settings, refuse_task
from lumos.cli.models.kind import Model, ModelKind
from lumos.media.files import replacing
from lumos.shapes import describe
from xllmx.disk.place import check_file, check_folder
from xllmx.disk.temporary import remove_stale
from xllmx.run.lock import lock_beside, locked
from xllmx.safe.json_text import read_object
from xllmx.settings.number_range import COUNT, SEED, Range, check_number, check_numbers

Generate = Callable[[Sequence[Record]], list[np.ndarray]]
"""Makes the clips of some records, each uint8 frames [F, H, W, 3]; an image has one frame."""


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """What an evaluation generates, and where to."""

    model: str
    """A name, hub id or folder, as for `lumos generate --model`."""
    out: Path
    kinds: tuple[str, ...] | None = None
    """None: all of `KINDS` that the model makes."""
    num: Annotated[int, Range(1, 10**6)] = 280
    """Prompts of each kind; of `plain`, at most as many as there are."""
    batch_size: Annotated[int, COUNT] = 32
    seed: Annotated[int, SEED] = 0
    """Draws the prompts; clip i of a kind is made with seed + i."""
    fast: bool = False
    """Whether the model's own settings of adaptive sampling are taken."""
    lora: Path | None = None
    """Folder of adapters that are merged in."""
    weights: str | None = None
    """int8 or fp8: blocks in 8 bits."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What else the pipeline is called with, e.g. num_inference_steps; the model's own defaults otherwise."""

    def __post_init__(self) -> None:
        for kind in self.kinds or ():
            if kind not in ALL_KINDS:
                raise ValueError(f"kinds has {kind!r}: choose from {', '.join(ALL_KINDS)}")
        check_numbers(self)


def require_numbers(settings: Mapping[str, Any]) -> None:
    """Raises `ValueError` for a number among the settings that no command can use."""
    hints = get_type_hints(RunConfig, include_extras=True)
    for name in ("num", "batch_size", "seed"):
        if name in settings:
            check_number(name, hints[name], settings[name])


def evaluate(records: Sequence[Record], generate: Generate, *, batch_size: int = 32) -> list[Result]:
    """The results of clips that are generated and read back in memory, e.g. within a training run."""
    results = []
    for batch in _batches(records, batch_size):
        clips = generate(batch)
        results += [score(record, describe(frames)) for record, frames in zip(batch, clips, strict=True)]
    return results


def run(config: RunConfig) -> dict[str, Report]:
    """Reports by kind; writes `out/KIND/{prompts.json,*.mp4|*.png,sheet.png,wrong.png}` and `out/report.json`.

    Raises `ValueError`, before the model is loaded, for kinds and settings that it does not have, a folder that cannot
    be written to, and another process that fills it.
    """
    how = {"keep_encoders": True, "lora": config.lora, "weights": config.weights}
    model = find_model(config.model, how=how)
    refuse_how(model, {"weights": config.weights})
    kinds = config.kinds or tuple(kind for kind in KINDS if TASK_OF_KIND[kind] in model.kind.tasks)
    for kind in kinds:
        refuse_task(model, TASK_OF_KIND[kind])
    for kind in kinds:  # the longest name of all that are written
        check_file(config.out / kind / f"{config.num:05d}.mp4")
    check_folder(config.out)
    settings = settings_of(config, model)
    model.settings_for(settings, image=None)  # refuses what is no setting
    with locked(lock_beside(config.out), what=f"--out {config.out} is filled", remedy="wait for it, or choose another"):
        made_by = {"model": config.model, "model_hash": model_hash(model.files), "num": config.num, "seed": config.seed}
        eight_bits = {"weights": config.weights} if config.weights else {}
        claim_folder(config.out, {**made_by, "settings": dict(settings), **eight_bits})
        generator = PipelineGenerator(model.load([]), seed=config.seed, settings=settings)
        return _reports(config, generator, kinds, model=model.kind)


def _reports(
    config: RunConfig, generator: "PipelineGenerator", kinds: Sequence[str], *, model: ModelKind
) -> dict[str, Report]:
    """The report of each kind, once its clips are made and scored."""
    reports = {}
    for kind in kinds:
        folder = config.out / kind
        records = make_prompts(kind, config.num, config.seed)
        save_prompts(records, folder / "prompts.json", width=generator.width, height=generator.height)
        with _progress(records, generator, folder, model) as begin:
            fill_folder(records, generator, folder, batch_size=config.batch_size, fps=generator.fps, on_batch=begin)
        results = score_folder(records, folder)
        reports[kind] = summarise(results)
        write_sheet(folder / "sheet.png", results, folder)
        write_sheet(folder / "wrong.png", [result for result in results if not result.verdict.correct], folder)
        write_json(config.out / "report.json", {name: report.to_dict() for name, report in reports.items()})
    return reports


def settings_of(config: RunConfig, model: Model) -> dict[str, Any]:
    """What the pipeline is called with: the settings given, over the model's own of faster sampling, if asked for.

    Raises `ValueError` for settings of another model.
    """
    refuse_settings(model, config.settings)
    faster = model.kind.fast_settings(model.files.defaults) if config.fast else {}
    return {**faster, **config.settings}


def fill_folder(
    records: Sequence[Record],
    generate: Generate,
    folder: Path,
    *,
    batch_size: int = 32,
    fps: int | float = 6,
    on_batch: Callable[[Sequence[Record]], None] = lambda batch: None,
) -> None:
    """Makes and saves the clips that `folder` does not have yet; `on_batch` is called before each batch is made."""
    folder.mkdir(parents=True, exist_ok=True)
    remove_stale(folder)
    for batch in _batches(_missing(records, folder), batch_size):
        on_batch(batch)
        for record, frames in zip(batch, generate(batch), strict=True):
            save_output(folder, record, frames, fps=fps)


def _missing(records: Sequence[Record], folder: Path) -> list[Record]:
    return [record for record in records if find_output(folder, record) is None]


@contextmanager
def _progress(
    records: Sequence[Record], generator: "PipelineGenerator", folder: Path, model: ModelKind
) -> Iterator[Callable[[Sequence[Record]], None]]:
    """A context in which it is said how far the clips of a folder are, as `lumos generate` does; called for a batch."""
    planned = {record.id: generator.planned(record) for record in _missing(records, folder)}
    total = sum(map(model.num_units, planned.values()))
    with Progress(program="eval.shapes", total=total, unit=model.unit) as progress:
        watch = model.watch(progress.advance)
        watch.prepare(generator.pipeline)
        generator.callback = watch.callback

        def begin(batch: Sequence[Record]) -> None:
            words = batch_in_words([planned[record.id] for record in batch], list(planned.values()))
            progress.begin(f"{folder.name}, {words}")

        yield begin


class PipelineGenerator:
    """Clips of a pipeline: one frame for t2i, the picture's first frame given for i2v."""

    callback: Callable[..., None] | None = None
    """What the pipeline calls as it goes."""
    model_calls: Sequence[int] = ()
    """Passes of the network that each clip of the last call took."""

    def __init__(self, pipeline: Any, *, seed: int = 0, settings: Mapping[str, Any] | None = None) -> None:
        self.pipeline, self.seed, self.settings = pipeline, seed, dict(settings or {})
        video = pipeline.settings_for(self.settings)
        self.width, self.height, self.fps = video.width, video.height, video.fps

    def planned(self, record: Record) -> Planned:
        """The clip of a record as the arithmetic of its work takes it."""
        image = Path(f"{record.name}.png") if record.kind == "i2v" else None  # that there is one is all that counts
        settings = self.pipeline.settings_for(self.settings | ({} if record.moving else {"num_frames": 1}))
        job = Job(name=record.name, prompt=record.prompt.text, image=image)
        return Planned(job=job, number=record.id, settings=settings, wanted={}, place=None, seed=None)

    def __call__(self, records: Sequence[Record]) -> list[np.ndarray]:
        """Frames of each record, uint8 [F, H, W, 3]; a clip does not depend on the batch it is made in."""
        settings = dict(self.settings)
        kinds = {record.kind for record in records}
        if "t2i" in kinds:
            settings |= {"num_frames": 1}
        if "i2v" in kinds:
            pictures = [record.first_frame(width=self.width, height=self.height) for record in records]
            settings |= {"image": pictures, "width": self.width, "height": self.height}
        assert len(kinds) == 1, "images, videos and videos of a picture are generated apart"
        seeds = [self.seed + record.id for record in records]
        settings |= {"callback": self.callback} if self.callback is not None else {}
        output = self.pipeline([record.prompt.text for record in records], seed=seeds, **settings)
        self.model_calls = output.model_calls
        return [np.stack([np.asarray(frame) for frame in frames]) for frames in output.frames]


def write_json(path: Path, content: Any) -> None:
    """Writes json, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n")


def _batches(records: Sequence[Record], size: int) -> list[Sequence[Record]]:
    return [records[first : first + size] for first in range(0, len(records), size)]


def claim_folder(out: Path, makes: Mapping[str, Any]) -> None:
    """Writes what makes the clips of a folder; `ValueError` if clips made otherwise are there already."""
    path = out / "run.json"
    if path.is_file():
        before = read_object(path, finite=False, remedy=f"it says what {out} holds; choose another --out")
        differ = [
            f"{name} was {before.get(name)!r}, is {makes[name]!r}" for name in makes if before.get(name) != makes[name]
        ]
        if differ:
            raise ValueError(f"{out} holds clips of another run ({'; '.join(differ)}): choose another --out")
    write_json(path, dict(makes))
