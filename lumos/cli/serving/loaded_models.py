"""A model that was found -> one that a server works with: loaded, tried, and what differs between the two said."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from lumos.cli.jobs.runner import Job, Planned
from lumos.cli.models.kind import Model
from lumos.hub.models import LUMINA_VIDEO
from lumos.lumina_video.preset import PRESETS
from lumos.serve.models import ClipSettings, ServedModel, StreamingPipeline

_TRIED = "a red circle"
_FRAMES_OF_A_VIDEO = 5


def loaded(name: str, model: Model) -> ServedModel:
    """Return a model as clients know it by a name, its pipeline loaded.

    Raises:
        ValueError: it cannot be loaded.
    """
    pipeline, kind = model.load([]), model.kind
    served = cast(StreamingPipeline, pipeline)
    served.check(_TRIED, served.settings_for({}))

    def num_units(settings: ClipSettings, picture: Path | None) -> int:
        job = Job(name="served.mp4", prompt=_TRIED, image=picture)
        planned = Planned(job=job, number=1, settings=cast(Any, settings), wanted={}, place=None, seed=None)
        return kind.num_units(planned)

    def watch(advance: Callable[[int], None]) -> Callable[..., object] | None:
        own = kind.watch(advance)
        own.prepare(pipeline)
        return own.callback

    is_flow = kind.name == LUMINA_VIDEO
    return ServedModel(
        name=name,
        title=kind.title,
        pipeline=served,
        setting_names=kind.setting_names(),
        fast=_fast_settings(model),
        presets=tuple(PRESETS) if is_flow else (),
        tasks=kind.tasks if is_flow else _tasks(served, kind.tasks),
        num_units=num_units,
        num_steps=lambda settings: _num_steps(settings, is_flow=is_flow),
        num_seconds=lambda settings: _num_seconds(settings, is_flow=is_flow),
        watch=watch,
    )


def _fast_settings(model: Model) -> Mapping[str, Any] | None:
    try:
        return model.kind.fast_settings(model.files.defaults)
    except ValueError:  # a model that was trained at one scale has none
        return None


def _tasks(pipeline: StreamingPipeline, tasks: tuple[str, ...]) -> tuple[str, ...]:
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
