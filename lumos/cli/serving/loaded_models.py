"""A model that was found -> one that a server works with: loaded, tried, and what differs between the two said."""

from collections.abc import Mapping
from functools import partial
from typing import Any, cast

from lumos.cli.models.kind import Model
from lumos.conventions.job import Job
from lumos.hub.models import LUMINA_VIDEO
from lumos.lumina_video.generation import clip_job as lumina_video
from lumos.lumina_video.preset import PRESETS
from lumos.lumos1.generation import many as lumos1
from lumos.media.inputs import pin
from lumos.serve.generation.engine import Work
from lumos.serve.generation.models import ServedModel, ServedPipeline

_TRIED = "a red circle"
_FRAMES_OF_A_VIDEO = 5


def loaded(name: str, model: Model) -> ServedModel:
    """Return a model as clients know it by a name, its pipeline loaded.

    Raises:
        ValueError: it cannot be loaded.
    """
    pipeline, kind = model.load([]), model.kind
    served = cast(ServedPipeline, pipeline)
    served.check(_TRIED, served.settings_for({}))
    is_flow = kind.name == LUMINA_VIDEO
    return ServedModel(
        name=name,
        title=kind.title,
        pipeline=served,
        setting_names=kind.setting_names(),
        fast=_fast_settings(model),
        presets=tuple(PRESETS) if is_flow else (),
        tasks=kind.tasks if is_flow else _tasks(served, kind.tasks),
        changes_prompts=kind.changes_prompts,
        num_steps=lambda settings: _num_steps(settings, is_flow=is_flow),
        num_seconds=lambda settings: _num_seconds(settings, is_flow=is_flow),
        begin=partial(_begin, pipeline, is_flow=is_flow),
    )


def _begin(pipeline: Any, work: Work, *, is_flow: bool) -> Job:
    """Return the clip of a job on its way; what it does not have is not said, since not every model takes it."""
    pin(pipeline.device)
    own = {"negative_prompt": work.negative_prompt, "image": work.picture, "given": work.before}
    words: dict[str, Any] = {name: value for name, value in own.items() if value is not None}
    prompt: Any = [(0, work.prompt), *map(tuple, work.then)] if work.then else work.prompt
    begun = lumina_video.clip_job if is_flow else lumos1.clip_job
    return begun(pipeline, prompt, seed=work.seed, **words, **work.given)


def _fast_settings(model: Model) -> Mapping[str, Any] | None:
    try:
        return model.kind.fast_settings(model.files.defaults)
    except ValueError:  # a model that was trained at one scale has none
        return None


def _tasks(pipeline: ServedPipeline, tasks: tuple[str, ...]) -> tuple[str, ...]:
    """Return what a model of Lumos-1 makes: one whose visual tokenizer knows no video makes images alone."""
    try:
        pipeline.check(_TRIED, pipeline.settings_for({"num_frames": _FRAMES_OF_A_VIDEO}))
    except ValueError:
        return ("t2i",)
    return tasks


def _num_seconds(settings: Any, *, is_flow: bool) -> float:
    return float(settings.num_output_frames / settings.fps if is_flow else settings.duration)


def _num_steps(settings: Any, *, is_flow: bool) -> int:
    return int(settings.preset.num_steps if is_flow else settings.sampler.num_steps)
