"""What a client asks for -> a `JobRequest` that the model takes and the limits allow, or what is wrong with it."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from PIL import Image

from lumos.conventions.script import Script
from lumos.media.first_frames import FirstFrames
from lumos.media.inputs import choose_seeds
from lumos.serve.faults import RequestError
from lumos.serve.generation.models import ServedModel, find_model
from lumos.serve.limits import LONGEST_CHANGES, LONGEST_MESSAGE, LONGEST_PROMPT, Limits
from lumos.serve.requests.bodies import ClipBody, ExtensionBody, ImageBody, VideoBody, plain, typed
from lumos.serve.requests.uploads import picture_of
from lumos.serve.storage.jobs import JobRequest
from xllmx.safe.json_text import unwritable
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
        _require_one(body)
        model = find_model(self._models, body.model)
        picture = _picture(body)
        if picture is not None:
            model.require("i2v", "a first frame", param="input_reference")
        given = self._given(body, model)
        if body.seconds is not None and "num_frames" not in given:
            given["duration"] = _whole(body.seconds)
        return self._request(body, model, given, first=picture), picture

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
        given = self._given(body, model)
        for name in ("num_frames", "duration"):
            if given.pop(name, 1) != 1:
                raise RequestError(400, f"an image has one frame; leave {name} out", param=name)
        given["num_frames"] = 1
        first = self._request(body, model, given)
        seeds = choose_seeds(body.n or 1, seed=first.seed)
        return [JobRequest(**{**vars(first), "seed": seed}) for seed in seeds], body.response_format

    def extension(self, fields: Mapping[str, Any], source: JobRequest | None, *, clip: FirstFrames) -> JobRequest:
        """Return what POST /v1/videos/extensions asks for.

        Args:
            fields: of the body.
            source: how the clip was made, if it was made here.
            clip: what is to be known of it; what is made has its size, and its frame rate unless one is given.

        Raises:
            RequestError: it cannot be made.
        """
        body = typed(ExtensionBody, fields, others=self._others)
        _require_one(body)
        model = find_model(self._models, body.model or (source.model if source else None))
        model.require("i2v", "a clip to go on with", param="video")
        before = source.given if source is not None and source.model == model.name else {}
        rate = {} if clip.rate is None else {"fps": max(1, round(clip.rate))}
        asked = self._given(body, model)
        _require_same_size(asked, clip, is_size=body.size is not None)
        given = {**before, **rate, **asked}
        for name in ("num_frames", "duration", "seconds", "target_size"):
            given.pop(name, None)
        with _as_fault():
            usual = model.pipeline.settings_for(given)
        num_new = body.num_frames or max(1, round((body.seconds or model.num_seconds(usual)) * usual.fps))
        given |= {"width": clip.width, "height": clip.height, "num_frames": clip.num_frames + num_new}
        return self._request(body, model, given, first=clip)

    def remix(self, source: JobRequest, prompt: str, *, source_id: str) -> JobRequest:
        """Return the request of a video with another prompt for all of it, of the same seed and settings.

        Raises:
            RequestError: its model is not served any more, or does not take the prompt.
        """
        model = find_model(self._models, source.model)
        with _as_fault():
            model.pipeline.check(prompt, model.pipeline.settings_for(source.given))
        own = {"prompt": prompt, "then": None, "remixed_from": source_id, "sent": None}
        return JobRequest(**{**vars(source), **own})

    def _given(self, body: ClipBody, model: ServedModel) -> dict[str, Any]:
        """Return what the pipeline is to be called with."""
        own = {name: getattr(body, name, None) for name in _CLIP_FIELDS}
        own |= {name: plain(value) for name, value in (body.model_extra or {}).items()}
        given = {name: value for name, value in own.items() if value is not None}
        for name, value in given.items():
            if name not in model.setting_names:
                raise RequestError(400, f"{name} is no setting of {model.name}, which is {model.title}", param=name)
            if isinstance(value, str) and len(value) > LONGEST_PROMPT:
                raise RequestError(400, f"{name} has more than {LONGEST_PROMPT} characters", param=name)
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
        first: Image.Image | FirstFrames | None = None,
    ) -> JobRequest:
        """Return the request, once model and limits have taken its settings; `first` is what the clip begins with."""
        num_before = first.num_frames if isinstance(first, FirstFrames) else 0
        then = _changes(body, model)
        with _as_fault(size_given=body.size is not None):
            settings = model.pipeline.settings_for(given, image=first)
            if settings.num_output_frames > 1:
                model.require("t2v", "a request for a video", param="model")
            said_by = "target_size" if given.get("target_size") is not None else "size"
            self._limits.check_clip(settings, num_steps=model.num_steps(settings), said_by=said_by)
            model.pipeline.check([(0, body.prompt), *map(tuple, then)] if then else body.prompt, settings)
            if body.negative_prompt:
                model.pipeline.check(body.negative_prompt, settings)
        num_frames = settings.num_output_frames
        return JobRequest(
            model=model.name,
            prompt=body.prompt,
            negative_prompt=body.negative_prompt or None,
            seed=choose_seeds(1, seed=body.seed)[0],
            given=given,
            width=settings.width,
            height=settings.height,
            num_frames=num_frames,
            fps=settings.fps,
            num_seconds=num_frames / settings.fps if num_before else model.num_seconds(settings),
            num_before=num_before,
            then=then,
            has_picture=isinstance(first, Image.Image),
        )


def _require_one(body: VideoBody | ExtensionBody) -> None:
    """Check that no more than one video is asked for."""
    for name in ("n", "num_outputs_per_prompt"):
        if (number := getattr(body, name)) not in (None, 1):
            fault = f"{name} is {number}; it must be 1, since a job is one video: send the request {number} times"
            raise RequestError(400, f"{fault}, each with another seed", param=name)


def _require_same_size(asked: Mapping[str, Any], clip: FirstFrames, *, is_size: bool) -> None:
    """Check that an extension is asked for in the size of its clip, and its length as what is added."""
    for name, own in (("width", clip.width), ("height", clip.height)):
        if asked.get(name, own) != own:
            fault = f"{name} is {asked[name]}; an extension has the size of its clip, {clip.width}x{clip.height}"
            raise RequestError(400, f"{fault}: leave it out", param="size" if is_size else name)
    if "target_size" in asked:
        raise RequestError(400, "target_size: an extension has the size of its clip; leave it out", param="target_size")
    if "duration" in asked:
        raise RequestError(400, "duration: say as seconds what is to be added to the clip", param="duration")


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


def _changes(body: ClipBody, model: ServedModel) -> list[list[Any]] | None:
    """Return what the prompt changes to, [frame, text] each; None where it does not."""
    changes = plain(getattr(body, "then", None))
    if changes is None or (isinstance(changes, str | list) and not changes):
        return None
    if not model.changes_prompts:
        fault = f"{model.name} is {model.title}, whose prompt is one for the whole clip; leave then out"
        raise RequestError(400, fault, param="then")
    pairs = changes if isinstance(changes, list) else [changes]
    for pair in pairs:
        if not (isinstance(pair, list) and len(pair) == 2 and isinstance(pair[1], str)):
            fault = f'then is {shown(changes)}; give a list of [frame, text], as [[8, "it moves up"]]'
            raise RequestError(400, fault, param="then")
        if type(pair[0]) is not int:
            fault = f"then: the prompt changes at {shown(pair[0])}; give the number of a frame, of at least 1"
            raise RequestError(400, fault, param="then")
        if len(pair[1]) > LONGEST_PROMPT or unwritable(pair[1]) is not None:
            fault = f"then: a text has more than {LONGEST_PROMPT} characters, or some that are none"
            raise RequestError(400, fault, param="then")
    if sum(len(pair[1]) for pair in pairs) > LONGEST_CHANGES:
        raise RequestError(400, f"then: its texts have more than {LONGEST_CHANGES} characters together", param="then")
    with _as_fault():
        Script(text=body.prompt, changes=tuple((frame, text) for frame, text in pairs))
    return pairs


def _whole(seconds: float) -> int | float:
    return int(seconds) if seconds == int(seconds) else seconds


@contextmanager
def _as_fault(*, size_given: bool = False) -> Iterator[None]:
    """Within it what a model says against settings is a fault of the request, under the name of its field."""
    try:
        yield
    except SettingError as error:
        name, fault = "seconds" if error.name == "duration" else error.name, error.fault[:LONGEST_MESSAGE]
        if size_given and name in ("width", "height"):
            raise RequestError(400, f"size: {error.name} {fault}", param="size") from None
        raise RequestError(400, f"{name} {fault}", param=name) from None
    except ValueError as error:
        fault = " ".join(str(error).split())[:LONGEST_MESSAGE]
        param = "then" if "prompt changes" in fault else "prompt" if "prompt" in fault else None
        raise RequestError(400, fault, param=param) from None
