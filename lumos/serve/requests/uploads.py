"""Pictures and clips that clients send: looked at within bounds before anything of them is kept.

A picture is decoded here, once, and kept as pixels; what else its file held is gone. Nothing is fetched from an address
that a client names: the file itself, or a data: address, is what is taken.
"""

import base64
import binascii
import io
import re
import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lumos.media.decoding.pictures import picture_pixels
from lumos.media.decoding.video import Video
from lumos.media.first_frames import FirstFrames
from lumos.media.media_error import MediaError
from lumos.media.reading import media_errors
from lumos.serve.faults import RequestError
from lumos.serve.limits import Limits

_MOST_PIXELS = 2**25
"""Of a picture: 33 million."""
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
"""As Pillow names them; it takes MPO for a JPEG."""
_DATA = re.compile(r"data:image/[a-z0-9.+-]{1,40};base64,", re.IGNORECASE)
_DECODING = threading.Semaphore(2)
"""Pictures that are decoded at once: each may take some hundred MB."""


def picture_of(value: Any, *, param: str) -> Image.Image | None:
    """Return the picture of a field: a file, a data: address, or an object with `image_url`; None where it is empty.

    Raises:
        RequestError: it is none of these, too large, or no picture.
    """
    if value is None or value == "":
        return None
    if isinstance(value, dict):
        return _of_object(value, param)
    if isinstance(value, str):
        return _decoded(_bytes_of_address(value, param), param)
    if not is_file(value):
        raise RequestError(400, f"{param} must be a file, or a data: address of a picture", param=param)
    return _decoded(value.file.read(), param)


def clip_of(path: Path, *, limits: Limits, param: str) -> FirstFrames:
    """Return what is to be known of a clip before it is gone on from: size, number and rate of its frames.

    Each frame is decoded once, and none is kept: its pixels here are black, and take no memory.

    Raises:
        RequestError: it is no clip that can be read, or longer or larger than the limits allow.
    """
    number, pixels, most_frames, is_large = 0, None, limits.most_frames, False
    try:
        with _DECODING, media_errors("the clip"), Video(path) as video:
            is_large = video.stream.width * video.stream.height > limits.most_pixels  # as the file says, or as it is
            for shown in () if is_large else video.from_start():
                number += 1
                is_large = shown.frame.width * shown.frame.height > limits.most_pixels
                if number > most_frames or is_large:
                    break
                if shown.damaged:
                    raise ValueError("a frame is damaged")
                pixels = video.pixels(shown.frame) if pixels is None else pixels
            rate = video.rate
    except MediaError as error:
        raise RequestError(400, f"{param} is no clip that can be read ({_told(error)})", param=param) from None
    if is_large:
        fault = f"{param} has frames of more than {limits.most_pixels} pixels, which is the most that this server makes"
        raise RequestError(413, fault, param=param)
    if number > most_frames:
        fault = f"{param} has more than {most_frames} frames, which is the most that this server makes"
        raise RequestError(413, fault, param=param)
    if pixels is None:
        raise RequestError(400, f"{param} has no frames", param=param)
    height, width = pixels.shape[:2]
    black = np.broadcast_to(np.zeros(3, np.uint8), (number, height, width, 3))
    return FirstFrames(name="the clip", is_clip=True, width=width, height=height, rate=rate, source=black)


def is_file(value: Any) -> bool:
    """Whether the value of a field is a file that was uploaded."""
    return isinstance(getattr(value, "filename", None), str) and hasattr(value, "file")


def save_upload(upload: Any, path: Path) -> None:
    """Write what was uploaded (`is_file`), which is bounded by the body of the request."""
    with path.open("wb") as file:
        shutil.copyfileobj(upload.file, file)


def _of_object(value: dict[str, Any], param: str) -> Image.Image | None:
    if value.get("file_id"):
        raise RequestError(400, f"{param}: this server keeps no files by id; send the picture itself", param=param)
    if set(value) - {"image_url", "file_id", "type"}:
        raise RequestError(400, f"{param} must be a file, or {{'image_url': 'data:image/png;base64,...'}}", param=param)
    address = value.get("image_url")
    if isinstance(address, dict):
        address = address.get("url")
    if address is not None and not isinstance(address, str):
        raise RequestError(400, f"{param}.image_url must be a text", param=param)
    return picture_of(address, param=param)


def _bytes_of_address(text: str, param: str) -> bytes:
    found = _DATA.match(text)
    if found is None:
        fault = f"{param}: nothing is fetched, and no path is read; send a file, or data:image/png;base64,..."
        raise RequestError(400, fault, param=param)
    try:
        return base64.b64decode(text[found.end() :], validate=True)
    except (binascii.Error, ValueError):
        raise RequestError(400, f"{param}: what follows base64, is not base64", param=param) from None


def _decoded(content: bytes, param: str) -> Image.Image:
    try:
        with _DECODING, media_errors("the picture"), Image.open(io.BytesIO(content), formats=_FORMATS) as image:
            if image.width * image.height > _MOST_PIXELS:
                size = f"{image.width}x{image.height}"
                raise RequestError(413, f"{param} has {size} pixels; at most {_MOST_PIXELS} are read", param=param)
            return Image.fromarray(picture_pixels(image))
    except MediaError as error:
        if isinstance(error.__cause__, RequestError):
            raise error.__cause__ from None
        if isinstance(error.__cause__, Image.DecompressionBombError):
            fault = f"{param} has many more pixels than {_MOST_PIXELS}, which is the most that are read"
            raise RequestError(413, fault, param=param) from None
        raise RequestError(400, f"{param} is no picture that can be read ({_told(error)})", param=param) from None


def _told(error: MediaError) -> str:
    """Return what is wrong with a file, without where it lies."""
    return re.sub(r"<_io\.BytesIO object at 0x[0-9a-f]+>", "it", error.detail or error.reason)
