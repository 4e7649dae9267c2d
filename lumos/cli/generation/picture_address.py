"""Pictures that are named by their address: fetched over https within bounds, and looked at before they are files.

scheme      https alone, also where a redirect leads
place       anywhere; but no server leads into the network of this machine: what it redirects to is public, or itself
size        32 MiB at most
time        45 s at most, 10 s without a byte
content     must decode as one of the kinds of pictures that files may be; nothing else of it is looked at

No name, password or token of this machine is sent. The copy that is kept is that of the record, as of any picture
(`lumos.cli.jobs.pictures`).
"""

import argparse
import ipaddress
import re
import socket
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

MOST_BYTES = 32 * 2**20
"""Of a picture that is fetched."""

_SCHEMES = ("https",)
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_MOST_REDIRECTS = 5
_SUFFIXES = {"JPEG": ".jpg", "MPO": ".jpg", "TIFF": ".tif"}
"""Pillow's name of a kind -> what its files are called, where that is not the name; MPO is a JPEG of a telephone."""
_DOWNLOAD_IT = "download it, and give the file"


def is_address(text: str) -> bool:
    """Return whether this is an address and no file."""
    return _ADDRESS.match(text) is not None


@contextmanager
def fetched(options: argparse.Namespace) -> Iterator[None]:
    """A context in which every --image is a file: what has an address lies in a folder that goes at the end.

    Raises:
        ValueError: an address that is not https, that brings nothing in time or too much, or no picture.
    """
    images: Sequence[str] = options.image or []
    if not any(map(is_address, images)):
        yield
        return
    for address in filter(is_address, images):
        _check_scheme(address, said_of=address)
    with tempfile.TemporaryDirectory(prefix="lumos-") as name:
        folder = Path(name)
        addresses = [image for image in dict.fromkeys(images) if is_address(image)]
        files = {address: _fetch(address, folder / str(number)) for number, address in enumerate(addresses)}
        options.image = [str(files.get(image, image)) for image in images]
        yield


def _fetch(address: str, file: Path) -> Path:
    """Return `file`, of this address's content and with the suffix of its kind."""
    from lumos.hub.connection import AnswerError, httpx, tried
    from lumos.media.media_error import MediaError
    from lumos.media.reading import read_image

    try:
        file.write_bytes(tried(partial(_content, address)))
    except (AnswerError, httpx.HTTPError, httpx.InvalidURL) as error:
        raise ValueError(f"--image {address}: not fetched ({_said(error)}); {_DOWNLOAD_IT}") from error
    try:
        read_image(file)
    except MediaError as error:
        raise ValueError(f"--image {address}: what it brings is no picture ({error.detail or error.reason})") from error
    return file.rename(file.with_suffix(_suffix_of(file)))


def _content(address: str) -> bytes:
    from lumos import __version__
    from lumos.hub.connection import SILENCE_S, AnswerError, body_of, httpx

    sent = {"User-Agent": f"lumos/{__version__}", "Accept-Encoding": "identity"}
    url = httpx.URL(address)
    with httpx.Client(timeout=SILENCE_S, follow_redirects=False, headers=sent) as client:
        for _ in range(_MOST_REDIRECTS + 1):
            with client.stream("GET", url) as response:
                if (following := response.next_request) is not None:
                    _check_scheme(str(following.url), said_of=address)
                    if following.url.host != url.host:
                        _check_public(following.url.host)
                    url = following.url
                    continue
                if response.status_code != httpx.codes.OK:
                    raise AnswerError(f"the server answers {response.status_code}")
                fault = f"it is larger than {MOST_BYTES // 2**20} MiB"
                return body_of(response, most_bytes=MOST_BYTES, fault=fault)
    raise AnswerError(f"it redirects more than {_MOST_REDIRECTS} times")


def _check_scheme(address: str, *, said_of: str) -> None:
    scheme = address.partition("://")[0].lower()
    if scheme not in _SCHEMES:
        leads = f"leads to {scheme}://" if address != said_of else f"is {scheme}://"
        raise ValueError(f"--image {said_of} {leads}, and only https:// is fetched; {_DOWNLOAD_IT}")


def _check_public(host: str) -> None:
    """Raise AnswerError where a host that a redirect names lies in a private network, or is this machine."""
    from lumos.hub.connection import AnswerError

    try:
        found = {str(place[0]) for *_, place in socket.getaddrinfo(host, None)}
    except (OSError, UnicodeError):  # the request will say so, or a proxy knows the name
        return
    for address in map(ipaddress.ip_address, found):
        mapped = getattr(address, "ipv4_mapped", None)  # an address of IPv4 in the form of IPv6
        if not (mapped or address).is_global:
            raise AnswerError(f"it redirects to {host[:100]!a}, which is {address}, within a private network")


def _suffix_of(file: Path) -> str:
    from PIL import Image

    with Image.open(file) as image:
        kind = image.format or "png"
    return _SUFFIXES.get(kind, f".{kind.lower()}")


def _said(error: Exception) -> str:
    """Return what went wrong, in a line of at most 200 characters."""
    return (" ".join(str(error).split()) or type(error).__name__)[:200]
