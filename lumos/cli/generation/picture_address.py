"""Pictures that are named by their address: fetched over https within bounds, looked at, and kept beside the outputs.

scheme      https alone, also where a redirect leads
size        32 MiB at most
time        45 s at most, 10 s without a byte
content     must decode as one of the kinds of pictures that files may be; nothing else of it is looked at

No name, password or token of this machine is sent.
"""

import argparse
import hashlib
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from urllib.parse import unquote, urlsplit

from lumos.cli.jobs.prompts import Prompt, name_of

MOST_BYTES = 32 * 2**20
"""Of a picture that is fetched."""

_SCHEMES = ("https",)
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_MOST_REDIRECTS = 5
_SUFFIXES = {"JPEG": ".jpg", "TIFF": ".tif"}
_DOWNLOAD_IT = "download it, and give the file"


def is_address(text: str) -> bool:
    """Return whether this is an address and no file."""
    return _ADDRESS.match(text) is not None


@contextmanager
def fetched(options: argparse.Namespace) -> Iterator[Path | None]:
    """A context in which every --image is a file: what has an address lies in the folder given, which goes at the end.

    Raises:
        ValueError: an address that is not https, that brings nothing in time or too much, or no picture.
    """
    images: Sequence[str] = options.image or []
    if not any(map(is_address, images)):
        yield None
        return
    for address in filter(is_address, images):
        _check_scheme(address, said_of=address)
    with tempfile.TemporaryDirectory(prefix="lumos-") as name:
        folder = Path(name)
        files = {address: _fetch(address, folder) for address in dict.fromkeys(images) if is_address(address)}
        options.image = [str(files.get(image, image)) for image in images]
        yield folder


def kept_beside(prompts: Sequence[Prompt], brought: Path, folder: Path) -> list[Prompt]:
    """Return the prompts, the pictures in `brought` copied to the folder of the outputs, where records find them.

    Raises:
        ValueError: it cannot be written to.
    """
    from lumos.media.files import replacing

    def place_of(image: Path) -> Path:
        place = folder / image.name
        if not place.is_file() or place.read_bytes() != image.read_bytes():
            with replacing(place) as temporary:
                shutil.copyfile(image, temporary)
        return place

    return [
        replace(one, image=place_of(one.image)) if one.image is not None and one.image.parent == brought else one
        for one in prompts
    ]


def _fetch(address: str, folder: Path) -> Path:
    """Return the file of a picture, named after its address and its content."""
    from lumos.hub.connection import AnswerError, httpx, tried
    from lumos.media.frames import MediaError
    from lumos.media.reading import read_image

    try:
        content = tried(partial(_content, address))
    except (AnswerError, httpx.HTTPError, httpx.InvalidURL) as error:
        raise ValueError(f"--image {address}: not fetched ({_said(error)}); {_DOWNLOAD_IT}") from error
    stem = name_of(Path(unquote(urlsplit(address).path)).stem)
    file = folder / f"{stem}-{hashlib.sha256(content).hexdigest()[:12]}"
    file.write_bytes(content)
    try:
        read_image(file)
    except MediaError as error:
        raise ValueError(f"--image {address}: what it brings is no picture ({error.detail or error.reason})") from error
    return file.rename(file.with_name(file.name + _suffix_of(file)))


def _content(address: str) -> bytes:
    from lumos import __version__
    from lumos.hub.connection import SILENCE_S, AnswerError, chunks, httpx

    sent = {"User-Agent": f"lumos/{__version__}", "Accept-Encoding": "identity"}
    url = httpx.URL(address)
    with httpx.Client(timeout=SILENCE_S, follow_redirects=False, headers=sent) as client:
        for _ in range(_MOST_REDIRECTS + 1):
            with client.stream("GET", url) as response:
                if (following := response.next_request) is not None:
                    url = following.url
                    _check_scheme(str(url), said_of=address)
                    continue
                if response.status_code != httpx.codes.OK:
                    raise AnswerError(f"the server answers {response.status_code}")
                body = bytearray()
                for chunk in chunks(response):
                    body += chunk
                    if len(body) > MOST_BYTES:
                        raise AnswerError(f"it is larger than {MOST_BYTES // 2**20} MiB")
                return bytes(body)
    raise AnswerError(f"it redirects more than {_MOST_REDIRECTS} times")


def _check_scheme(address: str, *, said_of: str) -> None:
    scheme = urlsplit(address).scheme.lower()
    if scheme not in _SCHEMES:
        leads = f"leads to {scheme}://" if address != said_of else f"is {scheme}://"
        raise ValueError(f"--image {said_of} {leads}, and only https:// is fetched; {_DOWNLOAD_IT}")


def _suffix_of(file: Path) -> str:
    from PIL import Image

    with Image.open(file) as image:
        kind = image.format or "png"
    return _SUFFIXES.get(kind, f".{kind.lower()}")


def _said(error: Exception) -> str:
    """Return what went wrong, in a line of at most 200 characters."""
    return (" ".join(str(error).split()) or type(error).__name__)[:200]
