"""One worker's part of a plan: the batches that are its own and not there yet, made, recorded, put in place."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from tqdm import tqdm

from eval.driver.folders import check_case, move, staging_folder
from eval.driver.plan import Plan
from eval.driver.samples import Sample, Worker, batches_of, share_of
from lumos.cli.outputs import Job, Made, make_outputs
from lumos.cli.record import read_record, record_path, write_record
from lumos.lumos1.pipeline import LumosPipeline
from lumos.lumos1.sequence import num_frames_of

_LATENT_FRAMES = 2
"""The shortest video there is."""


@dataclass(frozen=True, kw_only=True)
class Done:
    """What a worker did."""

    made: int
    """Samples made now."""
    before: int
    """Samples of its share that were there before."""
    damaged: int
    """Samples that were there, not as they had been written, and were made again."""
    unfinished: int
    """Samples of all workers that are not in place yet."""


def check_folder(plan: Plan, out: Path) -> None:
    """Raises ValueError if the output folder cannot take the samples, or holds what the scorer would trip over."""
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out} is a file; choose a folder with --out")
    if strangers := plan.work.folder.strangers():
        names = ", ".join(map(repr, strangers[:10])) + (f" and {len(strangers) - 10} more" if strangers[10:] else "")
        raise ValueError(
            f"{out} holds what the scorer would take for samples: {names}; move it, or choose another --out"
        )
    there = next(folder for folder in plan.records.parents if folder.exists())
    check_case(plan.work.samples, there)


def run(
    plan: Plan, load: Callable[[], LumosPipeline], worker: Worker, *, batch_size: int, overwrite: bool = False
) -> Done:
    """What this worker did of a plan; the model is loaded only if something is to be made."""
    share = share_of(batches_of(plan.work.samples, batch_size), worker)
    missing = [s for batch in share for s in batch if not plan.is_finished(s, overwrite=overwrite)]
    damaged = [] if overwrite else [sample for sample in missing if plan.work.folder.find(sample) is not None]
    before = sum(map(len, share)) - len(missing)
    with staging_folder(plan.records) as staging:
        _write_run(plan, staging)
        if missing:
            pipeline = load()
            bar = tqdm(total=before + len(missing), initial=before, disable=worker.local_rank > 0, unit="sample")
            with bar:
                bar.set_description(f"worker {worker.index + 1}/{worker.count}")
                for sample, made in _make(plan, pipeline, share, missing=missing, staging=staging):
                    _put(plan, sample, made, staging)
                    bar.update()
        unfinished = plan.work.folder.settle(plan.work.samples, staging)
    return Done(made=len(missing), before=before, damaged=len(damaged), unfinished=unfinished)


def _make(
    plan: Plan, pipeline: LumosPipeline, share: Sequence[list[Sample]], *, missing: Sequence[Sample], staging: Path
) -> Iterator[tuple[Sample, Made]]:
    """Yields the missing samples, each as soon as its file lies in `staging`.

    A batch of which something is missing is made whole, so that a sample never depends on when a run was stopped.
    """
    _check_video(pipeline, plan)
    wanted = {sample.name for sample in missing}
    batches = [batch for batch in share if any(sample.name in wanted for sample in batch)]
    samples = [sample for batch in batches for sample in batch]
    jobs = [
        Job(
            prompt=sample.text,
            output=staging / f"{number:06d}{Path(sample.name).suffix}",
            image=sample.image,
            seed=plan.seed_of(sample),
        )
        for number, sample in enumerate(samples)
    ]
    making = make_outputs(pipeline, jobs, plan.work.settings, batch_size=len(batches[0]))
    for sample, made in zip(samples, making, strict=True):
        if sample.name in wanted:
            yield sample, made
        else:
            made.output.unlink()
            record_path(made.output).unlink()


def _put(plan: Plan, sample: Sample, made: Made, staging: Path) -> None:
    """The record first, with the file's hash, and then the file: a file without its record is never seen."""
    record = read_record(made.output)
    assert record is not None, "make_outputs writes a record beside every output"
    named = {"output": sample.name, "official_prompt": sample.prompt, "index": sample.index}
    write_record(made.output, {**record, **named})
    move(record_path(made.output), record_path(plan.records / sample.name))
    plan.work.folder.put(sample, made.output, staging)


def _check_video(pipeline: LumosPipeline, plan: Plan) -> None:
    """Raises ValueError if a video is asked for and the model's visual tokenizer has none, before time is spent."""
    if plan.settings.num_latent_frames < _LATENT_FRAMES:
        return
    codes = torch.zeros((1, _LATENT_FRAMES, *plan.settings.grid), dtype=torch.long)
    wanted = num_frames_of(_LATENT_FRAMES)
    try:
        found = f"{pipeline.visual.decode(codes).shape[2]} frames"
    except (RuntimeError, IndexError) as error:
        found = f"an error ({str(error).strip().splitlines()[-1]})"
    if found != f"{wanted} frames":
        name = pipeline.files.visual_tokenizer if pipeline.files else "of this model"
        rule = f"of {_LATENT_FRAMES} latent frames it makes {found}, not {wanted} frames"
        raise ValueError(f"the visual tokenizer {name} cannot do video: {rule}; choose a --model that can")


def _write_run(plan: Plan, staging: Path) -> None:
    """Says in `run.json` what the folder is a run of; every worker would write the same."""
    place = plan.records / "run.json"
    text = json.dumps(plan.describe(), indent=2, ensure_ascii=False) + "\n"
    if not place.is_file() or place.read_text(encoding="utf-8") != text:
        (staging / place.name).write_text(text, encoding="utf-8")
        move(staging / place.name, place)
