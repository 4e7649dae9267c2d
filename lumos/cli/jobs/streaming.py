"""Jobs -> files that grow while they are made (`lumos generate --stream`), and are outputs like others once whole.

A clip is written, fragment by fragment, to a file in this process's own folder beside the outputs, which is told to
whoever wants to watch. When its last frame is there it gets its name and its record as `runner` gives them; when the
process ends before, it is gone. The pictures in it are those that `run_jobs` writes, in the same bytes.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from lumos.cli.jobs.outputs import format_of, staging_folder
from lumos.cli.jobs.pipeline import LoadedModel
from lumos.cli.jobs.record import code_version
from lumos.cli.jobs.runner import Made, Plan, Planned, check_prompts, put_in_place
from lumos.cli.jobs.scale import enlarged
from lumos.media.frame_stream import FrameStream
from lumos.media.inputs import choose_seeds
from lumos.media.writing import growing_video
from xllmx.settings.setting import SettingError

OnBegin = Callable[[Planned, Path, FrameStream], None]
"""Called with a job, the file that is going to grow, and its frames, before the first is made."""


@runtime_checkable
class StreamingPipeline(LoadedModel, Protocol):
    """All that this asks of a model."""

    def stream(
        self,
        prompt: Any,
        *,
        image: Path | None,
        negative_prompt: str | None,
        seed: int,
        callback: Callable[..., None] | None,
        **settings: Any,
    ) -> FrameStream:
        """The frames of one clip, those of a call with the same words."""
        ...


def check_streamable(plan: Plan) -> None:
    """Check that all missing outputs of a plan can be watched while they are made.

    Raises:
        SettingError: one is no mp4, or several are to be made at once.
    """
    for one in plan.missing:
        if format_of(one.job.name) != "mp4":
            fault = f"is for mp4 files, and {one.job.name} is none; leave it out, or ask for a video in an .mp4"
            raise SettingError("stream", fault)
    if any(len(batch) > 1 for batch in plan.batches):
        raise SettingError("stream", "makes one clip after another; leave --batch-size out")


def stream_jobs(
    plan: Plan,
    load: Callable[[], StreamingPipeline],
    *,
    on_begin: OnBegin,
    on_frame: Callable[..., None] | None = None,
    on_batch: Callable[[Sequence[Planned]], None] | None = None,
) -> Iterator[Made]:
    """Yields what is missing of a plan, each output once it is in its place; see `run_jobs`.

    `on_batch` is called before each clip is made, and `on_frame` is what the pipeline calls meanwhile.

    Raises:
        ValueError: as `run_jobs`.
    """
    if not plan.missing:
        return
    pipeline = load()
    check_prompts(plan, pipeline)
    code = code_version()
    with staging_folder(plan.folder.staging) as staging:
        for one in plan.missing:
            if on_batch is not None:
                on_batch([one])
            start = time.perf_counter()
            frames = pipeline.stream(
                one.job.asked,
                image=one.job.image,
                negative_prompt=one.job.negative_prompt,
                seed=choose_seeds(1, seed=one.job.seed)[0],
                callback=on_frame,
                **plan.recipe.given,
            )
            growing = staging / Path(one.job.name).name
            on_begin(one, growing, frames)
            num_frames = _write_growing(growing, frames, fps=one.settings.fps, scale=plan.recipe.scale)
            seconds = time.perf_counter() - start
            where = {"device": pipeline.device.type, "code": code}
            took = {"num_frames": num_frames, "model_calls": frames.model_calls, "seconds": round(seconds, 3)}
            record = {**one.wanted, "seed": frames.seed, **where, **took}
            output = put_in_place(plan.folder, one, growing, record, staging=staging)
            yield Made(output=output, seed=frames.seed, seconds=seconds, replaced=one.place is not None)


def _write_growing(path: Path, frames: FrameStream, *, fps: int, scale: int) -> int:
    """Write frames as they come; how many they were."""
    number = 0
    with growing_video(path, fps=fps) as add:
        for frame in frames:
            add(enlarged(np.asarray(frame)[None], scale)[0])
            number += 1
    return number
