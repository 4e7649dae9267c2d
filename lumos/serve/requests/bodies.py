"""The body of a request, JSON or a form: read within bounds, its fields named and typed.

The fields are those of OpenAI, SGLang, FastVideo and vLLM-Omni that mean something here; what a model takes besides
(`preset`, `top_k`, ...) may stand beside them, or in `extra_body`, `extra_params` or `extra_json`.
"""

import math
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import parse_qsl

from fastapi import Request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from lumos.serve.faults import RequestError
from lumos.serve.limits import LONGEST_PROMPT
from lumos.serve.requests.turns import in_turn
from lumos.serve.requests.uploads import is_file
from xllmx.safe.json_text import parse_json, unwritable
from xllmx.settings.setting import shown, suggestion

_MOST_FIELDS, _MOST_FILES = 64, 4
_MOST_URLENCODED_BYTES = 2**22
"""Of a form without files, each of whose escaped bytes takes fifty while it is read."""
_MOST_VALUES = 100_000
"""Of JSON, in a field of a form too, counted before it is read: each may take thirty times its bytes."""
_LONGEST_NAME = 80
"""Characters of an unknown name of which it is asked what it may have meant."""
_REMEDY = "send fields as JSON or as a form"

_NOT_HERE: Mapping[str, str] = {
    **dict.fromkeys(
        ("output_path", "perf_dump_path", "lora_path"), "no client chooses a path of the server; leave it out"
    ),
    **dict.fromkeys(("lora", "lora_name"), "adapters are chosen where the server is started: export a merged model"),
    **dict.fromkeys(
        ("video_path", "video_url", "video_reference"), "a clip is made longer by POST /v1/videos/extensions"
    ),
    **dict.fromkeys(
        ("guidance_scale_2", "true_cfg_scale", "flow_shift", "boundary_ratio"),
        "these models have no such setting; guidance_scale, or preset of Lumina-Video, is what there is",
    ),
    **dict.fromkeys(
        ("enhance_prompt", "enable_teacache", "enable_upscaling", "enable_frame_interpolation", "x264_preset"),
        "there is no such thing here; fast=true samples faster",
    ),
}
"""Fields of other servers that ask for what is not done here -> what to do."""
_LET_BE = (
    "user", "quality", "style", "background", "moderation", "return_stage_metrics", "output_quality", "metadata",
    "output_compression",
)  # fmt: skip
"""Fields that change nothing here and hurt nobody."""
_EXTRA = ("extra_body", "extra_params", "extra_json")

Body = TypeVar("Body", bound=BaseModel)


def _no_switch(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("it must be a number")
    return None if value == "" else value  # an empty field of a form is one that was not filled in


def _first(value: Any) -> Any:
    """Return the one seed of a list of one."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


Whole = Annotated[int | None, BeforeValidator(_no_switch)]
Number = Annotated[Annotated[float, Field(allow_inf_nan=False)] | None, BeforeValidator(_no_switch)]


class ClipBody(BaseModel):
    """What images and videos have in common."""

    model_config = ConfigDict(extra="allow")

    prompt: str = Field(min_length=1, max_length=LONGEST_PROMPT)
    model: str | None = None
    size: str | None = Field(default=None, max_length=30)
    width: Whole = Field(default=None, ge=1)
    height: Whole = Field(default=None, ge=1)
    seed: Annotated[Whole, BeforeValidator(_first)] = Field(default=None, ge=0, lt=2**63)
    negative_prompt: str | None = Field(default=None, max_length=LONGEST_PROMPT)
    num_inference_steps: Whole = Field(default=None, ge=1)
    guidance_scale: Number = None
    fast: bool | None = None
    n: Whole = Field(default=None, ge=1, le=10)


class VideoBody(ClipBody):
    """POST /v1/videos."""

    seconds: Number = Field(default=None, gt=0)
    fps: Whole = Field(default=None, ge=1)
    num_frames: Whole = Field(default=None, ge=1)
    num_outputs_per_prompt: Whole = Field(default=None, ge=1)
    input_reference: Any = None
    image_reference: Any = None
    then: Any = None
    reference_url: str | None = None


class ExtensionBody(ClipBody):
    """POST /v1/videos/extensions."""

    video: Any = None
    then: Any = None
    seconds: Number = Field(default=None, gt=0, le=10**6)
    num_frames: Whole = Field(default=None, ge=1)
    num_outputs_per_prompt: Whole = Field(default=None, ge=1)


class ImageBody(ClipBody):
    """POST /v1/images/generations."""

    response_format: Literal["b64_json", "url"] = "b64_json"
    output_format: Literal["png"] = "png"


class RemixBody(BaseModel):
    """POST /v1/videos/{id}/remix."""

    model_config = ConfigDict(extra="forbid")

    prompt: str = Field(min_length=1, max_length=LONGEST_PROMPT)


@asynccontextmanager
async def read_body(request: Request) -> AsyncIterator[dict[str, Any]]:
    """A context with the fields of a request: text of a form, values of JSON, and files, which go at its end.

    Raises:
        RequestError: it is neither, or not well-formed.
    """
    kind, charset = _kind_of(request.headers.get("content-type", ""))
    if charset not in ("", "utf-8", "utf8", "us-ascii"):
        raise RequestError(415, f"the body is in {charset[:60]!a}; send UTF-8")
    if kind == "application/json":
        yield await in_turn(_fields_of_json, await request.body())
        return
    if kind not in _FORMS:
        fault = f"the body is {kind[:60]!a}; send application/json or multipart/form-data"
        raise RequestError(415, fault)
    form = await _FORMS[kind](request)
    try:
        yield _with_extra(_fields(form))
    finally:
        await form.close()


def _kind_of(content_type: str) -> tuple[str, str]:
    """Return a type of content and its charset, "" where none is said."""
    kind, *parameters = (part.strip().lower() for part in content_type.split(";"))
    said = [
        one.partition("=")[2].strip().strip("\"'") for one in parameters if one.partition("=")[0].strip() == "charset"
    ]
    return kind, said[0] if said else ""


def typed(kind: type[Body], fields: Mapping[str, Any], *, others: tuple[str, ...] = ()) -> Body:
    """Return the fields as a body of a kind; those in `others` may stand beside its own (`model_extra`).

    Raises:
        RequestError: an unknown field, with the one that was probably meant; a value of the wrong kind.
    """
    known = [*kind.model_fields, *others]
    asked = {name: value for name, value in fields.items() if name not in _LET_BE or name in known}
    for name, value in asked.items():
        if name in known:
            continue
        if name in _NOT_HERE:
            if value not in (None, False, "", "false"):
                raise RequestError(400, f"{name} is not taken: {_NOT_HERE[name]}", param=name)
        else:
            fault = f"there is no field {shown(name)}; {suggestion(name[:_LONGEST_NAME], known)}"
            raise RequestError(400, fault, param=name[:60], code="unknown_parameter")
    taken = {name: asked[name] for name in asked if name in known and not _says_nothing(kind, name, asked[name])}
    for name, value in taken.items():
        if is_file(value) and (name in others or kind.model_fields[name].annotation is not Any):
            raise RequestError(400, f"{name} is a file; send it as a text", param=name)
    try:
        return kind.model_validate(taken)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        name = str(first["loc"][0]) if first["loc"] else ""
        given = "" if first["type"] == "missing" else f" (it is {shown(asked.get(name))})"
        message = str(first["msg"]).removeprefix("Value error, ")
        raise RequestError(400, f"{name}: {message}{given}", param=name) from None


def _says_nothing(kind: type[BaseModel], name: str, value: Any) -> bool:
    """Whether a field is null that may be left out."""
    return value is None and not (name in kind.model_fields and kind.model_fields[name].is_required())


def plain(value: Any) -> Any:
    """Return the value that a text of a form stands for, where it reads as one: 0.5 of "0.5"; else itself.

    Raises:
        RequestError: it would be more values than are read.
    """
    if not isinstance(value, str):
        return value
    _check_number_of_values(value.encode(), "a field of the form")
    try:
        return parse_json(value, "it")
    except ValueError:
        return value


class _StrictParser(MultiPartParser):
    """Starlette's parser, but it refuses what that one takes: a form without its end, and a text that is no UTF-8."""

    is_whole = False
    """Whether the end was reached."""

    def on_end(self) -> None:
        self.is_whole = True

    def on_part_end(self) -> None:
        if self._current_part.file is None:
            _utf8(self._current_part.data, self._current_part.field_name)
        super().on_part_end()


async def _multipart(request: Request) -> FormData:
    """Return a form; a text may be as long as the whole body, which is counted at the door: a data: picture is one."""
    limits: dict[str, Any] = {"max_fields": _MOST_FIELDS, "max_files": _MOST_FILES}
    try:
        reading = _StrictParser(request.headers, request.stream(), **limits, max_part_size=sys.maxsize)
        form = await reading.parse()
    except MultiPartException as error:
        raise RequestError(400, f"the form cannot be read: {error.message}") from None
    if not reading.is_whole:
        await form.close()
        raise RequestError(400, "the form is cut off: its last boundary is missing; send it again")
    return form


async def _urlencoded(request: Request) -> FormData:
    """Return a form without files; its text is UTF-8, escaped or as it is (`curl -d "prompt=..."`)."""
    body = await request.body()
    if len(body) > _MOST_URLENCODED_BYTES:
        fault = f"the form is larger than {_MOST_URLENCODED_BYTES} bytes; send it as multipart/form-data or as JSON"
        raise RequestError(413, fault, code="request_too_large")
    _utf8(body, "form")
    try:
        return FormData(
            [*parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS)]
        )
    except UnicodeDecodeError as error:
        raise RequestError(400, f"the form is not UTF-8 text ({error.reason})") from None
    except ValueError:
        raise RequestError(400, f"the form has more than {_MOST_FIELDS} fields") from None


_FORMS: Mapping[str, Callable[[Request], Awaitable[FormData]]] = {
    "multipart/form-data": _multipart,
    "application/x-www-form-urlencoded": _urlencoded,
}


def _fields(form: FormData) -> dict[str, Any]:
    """Return the fields of a form by name; `video[id]`, as OpenAI's client writes an object, is one.

    One that was not filled in, an empty text or no file chosen, is left out.
    """
    fields: dict[str, Any] = {}
    for name, value in form.multi_items():
        if value == "" or (isinstance(value, UploadFile) and not value.filename and not value.size):
            continue
        outer, bracket, inner = name.partition("[")
        if bracket and inner.rstrip("]"):
            held = fields.setdefault(outer, {})
            if not isinstance(held, dict):
                raise RequestError(400, f"the field {shown(outer)} is given twice", param=outer[:60])
            if inner.rstrip("]") in held:
                raise RequestError(400, f"the field {shown(name)} is given twice", param=outer[:60])
            held[inner.rstrip("]")] = value
            continue
        if outer in fields:
            raise RequestError(400, f"the field {shown(outer)} is given twice", param=outer[:60])
        fields[outer] = value
    _check_texts(fields)
    return fields


def _fields_of_json(body: bytes) -> dict[str, Any]:
    return _with_extra(_object(body, "the body"))


def _object(text: bytes | str, where: str) -> dict[str, Any]:
    sent = text.encode() if isinstance(text, str) else text
    _check_number_of_values(sent, where)
    try:
        content = parse_json(text, where, remedy=_REMEDY)
    except ValueError as error:
        raise RequestError(400, str(error)) from None
    if not isinstance(content, dict):
        raise RequestError(400, f"{where} is JSON, but no object; {_REMEDY}")
    _check_texts(content)
    return content


def _check_number_of_values(sent: bytes, where: str) -> None:
    if sum(sent.count(mark) for mark in (b",", b"[", b"{")) > _MOST_VALUES:
        fault = f"{where} has more than {_MOST_VALUES} commas and brackets; leave out what is not asked for"
        raise RequestError(413, fault, code="request_too_large")


def _with_extra(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields with those that `extra_body` and its like hold; what stands outside them wins."""
    held: dict[str, Any] = {}
    for name in _EXTRA:
        extra = fields.pop(name, None)
        if isinstance(extra, str) and extra.strip():
            extra = _object(extra, name)
        if extra is not None and not isinstance(extra, dict) and extra != "":
            raise RequestError(400, f"{name} is {shown(extra)}; it must be an object of further fields", param=name)
        held |= extra or {}
    _check_texts(held)
    return {**held, **fields}


def _check_texts(fields: Mapping[str, Any]) -> None:
    for name, value in fields.items():
        if isinstance(value, str) and (fault := unwritable(value)) is not None:
            raise RequestError(400, f"{shown(name)}: {fault}", param=name[:60])
        if isinstance(value, float) and not math.isfinite(value):
            raise RequestError(400, f"{shown(name)} is no finite number", param=name[:60])


def _utf8(data: bytes | bytearray, name: str) -> None:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        fault = f"the field {shown(name)} is not UTF-8 text ({error.reason} at byte {error.start})"
        raise RequestError(400, fault, param=name[:60]) from None
