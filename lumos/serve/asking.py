"""What a client asks for -> a `JobRequest` that the model takes and the limits allow, or what is wrong with it."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from PIL import Image

from lumos.media.inputs import choose_seeds
from lumos.serve.bodies import ClipBody, ExtensionBody, ImageBody, VideoBody, plain, typed
from lumos.serve.faults import RequestError
from lumos.serve.jobs import JobRequest
from lumos.serve.limits import Limits
from lumos.serve.models import ServedModel, find_model
from lumos.serve.uploads import picture_of
from xllmx.settings.setting import SettingError, shown

_CLIP_FIELDS = ("width", "height", "fps", "num_frames", "num_inference_steps", "guidance_scale")
"""Fields that are settings of a pipeline, under the same name."""
_SIZE = re.compile(r"([0-9]{1,9})x([0-9]{1,9})", re.IGNORECASE | re.ASCII)
_PICTURES = ("input_reference", "image_reference", "reference_url")


class Asker:
    """Reads requests for the models of one server."""

    def __init__(self, models: Mapping[str, ServedModel], limits: Limits) -> None:
        """Take the models and the bounds."""
        self._models, self._limits = models, limits
        names = {name for model in models.values() for name in model.setting_names}
        self._others = tuple(sorted(names))

    def video(self, fields: Mapping[str, Any]) -> tuple[JobRequest, Image.Image | None]:
        """Return what POST /v1/videos asks for, and its first frame if there is one.

        Raises:
            RequestError: it cannot be made.
        """
        body = typed(VideoBody, fields, others=self._others)
        for name in ("n", "num_outputs_per_prompt"):
            if getattr(body, name) not in (None, 1):
                raise RequestError(400, f"{name} must be 1: a job makes one video; send the request again", param=name)
        model = find_model(self._models, body.model)
        picture = _picture(body)
        if picture is not None:
            model.require("i2v", "a first frame", param="input_reference")
        given = self._given(body, model)
        if body.seconds is not None and "num_frames" not in given:
            given["duration"] = _whole(body.seconds)
        return self._request(body, model, given, picture=picture), picture

    def image(self, fields: Mapping[str, Any]) -> tuple[list[JobRequest], str]:
        """Return what POST /v1/images/generations asks for, a request an image, and the form of the answer.

        Raises:
            RequestError: it cannot be made.
        """
        body = typed(ImageBody, fields, others=self._others)
        model = find_model(self._models, body.model)
        model.require("t2i", "a request for an image", param="model")
        if body.size == "auto":
            body.size = None
        given = {**self._given(body, model), "num_frames": 1}
        first = self._request(body, model, given)
        seeds = choose_seeds(body.n or 1, seed=first.seed)
        return [JobRequest(**{**vars(first), "seed": seed}) for seed in seeds], body.response_format

    def extension(
        self, fields: Mapping[str, Any], source: JobRequest | None, *, clip: tuple[int, int, int, Image.Image]
    ) -> JobRequest:
        """Return what POST /v1/videos/extensions asks for.

        Args:
            fields: of the body.
            source: how the clip was made, if it was made here.
            clip: its number of frames, width, height, and its last frame, with which the new ones begin.

        Raises:
            RequestError: it cannot be made.
        """
        body = typed(ExtensionBody, fields, others=self._others)
        model = find_model(self._models, body.model or (source.model if source else None))
        model.require("i2v", "a clip to go on with", param="video")
        num_before, width, height, last = clip
        before = source.given if source is not None and source.model == model.name else {}
        given = {**before, **self._given(body, model)}
        for name in ("num_frames", "duration"):
            given.pop(name, None)
        if body.num_frames is not None:
            given["num_frames"] = body.num_frames + 1
        elif body.seconds is not None:
            given["duration"] = _whole(body.seconds)
        given |= {"width": width, "height": height}
        return self._request(body, model, given, picture=last, num_before=num_before)

    def remix(self, source: JobRequest, prompt: str, *, source_id: str) -> JobRequest:
        """Return the request of a video with another prompt, of the same seed and settings.

        Raises:
            RequestError: its model is not served any more, or does not take the prompt.
        """
        model = find_model(self._models, source.model)
        with _as_fault():
            model.pipeline.check(prompt, model.pipeline.settings_for(source.given))
        return JobRequest(**{**vars(source), "prompt": prompt, "remixed_from": source_id})

    def _given(self, body: ClipBody, model: ServedModel) -> dict[str, Any]:
        """Return what the pipeline is to be called with."""
        own = {name: getattr(body, name, None) for name in _CLIP_FIELDS}
        own |= {name: plain(value) for name, value in (body.model_extra or {}).items()}
        given = {name: value for name, value in own.items() if value is not None}
        for name in given:
            if name not in model.setting_names:
                raise RequestError(400, f"{name} is no setting of {model.name}, which is {model.title}", param=name)
        if isinstance(preset := given.get("preset"), str) and preset not in model.presets:
            known = ", ".join(model.presets)
            raise RequestError(400, f"preset is {shown(preset)}; known are {known}, or its keys", param="preset")
        if body.size is not None:
            if "width" in given or "height" in given:
                raise RequestError(400, "size says width and height; leave these out", param="size")
            if (found := _SIZE.fullmatch(body.size)) is None:
                fault = f"size is {shown(body.size)}; write width x height in pixels, as in 448x256"
                raise RequestError(400, fault, param="size")
            given["width"], given["height"] = int(found[1]), int(found[2])
        if not body.fast:
            return given
        if model.fast is None:
            raise RequestError(400, f"{model.name} has no faster settings; leave fast out", param="fast")
        return {**model.fast, **given}

    def _request(
        self,
        body: ClipBody,
        model: ServedModel,
        given: dict[str, Any],
        *,
        picture: Image.Image | None = None,
        num_before: int = 0,
    ) -> JobRequest:
        """Return the request, once model and limits have taken its settings."""
        with _as_fault(size_given=body.size is not None):
            settings = model.pipeline.settings_for(given, image=picture)
            if settings.num_output_frames > 1:
                model.require("t2v", "a request for a video", param="model")
            self._limits.check_clip(settings, num_steps=model.num_steps(settings), num_before=num_before)
            model.pipeline.check(body.prompt, settings)
            if body.negative_prompt:
                model.pipeline.check(body.negative_prompt, settings)
        num_new = settings.num_output_frames - (1 if num_before else 0)
        return JobRequest(
            model=model.name,
            prompt=body.prompt,
            negative_prompt=body.negative_prompt or None,
            seed=choose_seeds(1, seed=body.seed)[0],
            given=given,
            width=settings.width,
            height=settings.height,
            num_frames=num_before + num_new,
            fps=settings.fps,
            num_seconds=(num_before + num_new) / settings.fps if num_before else model.num_seconds(settings),
            num_before=num_before,
            has_picture=picture is not None,
        )


def _picture(body: VideoBody) -> Image.Image | None:
    given = [name for name in _PICTURES if getattr(body, name) not in (None, "")]
    if len(given) > 1:
        raise RequestError(400, f"{given[0]} and {given[1]} say the same; give one", param=given[1])
    if not given:
        return None
    value = getattr(body, given[0])
    if isinstance(value, str) and value.lstrip().startswith("{"):  # an object in a field of a form
        value = plain(value)
    return picture_of(value, param=given[0])


def _whole(seconds: float) -> int | float:
    return int(seconds) if seconds == int(seconds) else seconds


@contextmanager
def _as_fault(*, size_given: bool = False) -> Iterator[None]:
    """Within it what a model says against settings is a fault of the request, under the name of its field."""
    try:
        yield
    except SettingError as error:
        name = "seconds" if error.name == "duration" else error.name
        if size_given and name in ("width", "height"):
            raise RequestError(400, f"size: {error.name} {error.fault}", param="size") from None
        raise RequestError(400, f"{name} {error.fault}", param=name) from None
    except ValueError as error:
        fault = " ".join(str(error).split())
        raise RequestError(400, fault, param="prompt" if "prompt" in fault else None) from None
