"""Files from a hub repository: resumed where they were cut, checked, and under their final name only when whole.

A file grows as `<name>.<first digits of its hash>.part` beside its final name. A run that is cut, killed or out of disk
leaves that part, and the next run asks the server for the rest of it only (HTTP Range). Then size and hash (SHA-256 of
large files, git's SHA-1 of small ones) are compared with the hub's, and the file is renamed.
"""

import errno
import hashlib
import json
import os
import re
import shutil
import struct
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from huggingface_hub import HfApi, constants, get_hf_file_metadata, get_session, hf_hub_url
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import build_hf_headers, hf_raise_for_status, tqdm

try:  # the hub's client library: httpx2 from huggingface_hub 2 on
    import httpx2 as httpx
except ImportError:
    import httpx  # type: ignore[no-redef]

_SPARE_BYTES = 64 * 2**20
"""Left free on the disk after a download, so that filling it to the last byte never starts."""

_ATTEMPTS = 4
"""Tries in a row that bring no byte before a download gives up."""

_TIMEOUT_S = 30.0
"""Silence after which a connection counts as broken."""


class TransferError(OSError):
    """A download that did not succeed; the message says why and what to do. What had arrived is kept."""


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """One commit of a hub repository: where its files are asked for."""

    repo: str
    commit: str
    endpoint: str
    files: tuple[str, ...]
    """Every path in the repository."""


@dataclass(frozen=True, kw_only=True)
class _Remote:
    """What the hub says about one file."""

    url: str
    size: int | None
    etag: str


def open_snapshot(repo: str, *, revision: str = "main", endpoint: str | None = None) -> Snapshot:
    """The commit `revision` points to, with its list of files. Raises TransferError: no network, no such repository."""
    endpoint = (endpoint or os.environ.get("HF_ENDPOINT") or constants.ENDPOINT).rstrip("/")
    with _explained(repo, endpoint):
        info = HfApi(endpoint=endpoint).model_info(repo, revision=revision)
    files = tuple(sorted(sibling.rfilename for sibling in info.siblings or ()))
    return Snapshot(repo=repo, commit=info.sha or revision, endpoint=endpoint, files=files)


def fetch(snapshot: Snapshot, files: Mapping[str, Path]) -> None:
    """Bring each path of the repository to its place on disk, in the order given; a whole file there is kept.

    Raises TransferError; what has arrived by then stays, and a second call continues from it.
    """
    remotes = {path: _ask(snapshot, path) for path in files}
    wanted = {
        path: place for path, place in files.items() if not (place.is_file() and _fault(place, remotes[path]) is None)
    }
    _check_space({place: remotes[path].size or 0 for path, place in wanted.items()})
    for path, place in wanted.items():
        with _explained(snapshot.repo, snapshot.endpoint, path):
            _fetch_one(remotes[path], place)


def check_safetensors(path: Path) -> None:
    """Check that the header of a safetensors file accounts for every byte of it; ValueError otherwise."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else size
        header = file.read(length) if length <= size else b""
    try:
        tensors = json.loads(header)
        end = max((entry["data_offsets"][1] for name, entry in tensors.items() if name != "__metadata__"), default=0)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(
            f"{path} is no safetensors file (its header cannot be read); download or copy it again"
        ) from error
    if 8 + length + end != size:
        raise ValueError(f"{path} has {size} bytes where its header says {8 + length + end}; download or copy it again")


def _ask(snapshot: Snapshot, path: str) -> _Remote:
    url = hf_hub_url(snapshot.repo, path, revision=snapshot.commit, endpoint=snapshot.endpoint)
    with _explained(snapshot.repo, snapshot.endpoint, path):
        metadata = get_hf_file_metadata(url, endpoint=snapshot.endpoint)
    return _Remote(url=url, size=metadata.size, etag=metadata.etag or "")


def _fetch_one(remote: _Remote, place: Path) -> None:
    """Receive a file through its part, check it, and put it at `place`."""
    place.parent.mkdir(parents=True, exist_ok=True)
    part = place.with_name(f"{place.name}.{re.sub(r'[^0-9a-zA-Z]', '', remote.etag)[:12] or 'new'}.part")
    for stale in set(place.parent.glob(f"{place.name}.*.part")) - {part}:
        stale.unlink()
    _receive(remote, part)
    fault = _fault(part, remote)  # of the file as it lies on the disk, not of what went through memory
    if fault is not None:
        part.unlink()
        raise TransferError(f"{place.name} arrived damaged ({fault}) and was thrown away; run the same command again")
    part.replace(place)


def _receive(remote: _Remote, part: Path) -> None:
    """Append to `part` what is missing of the file; a connection that broke is tried again while bytes still come."""
    if part.is_file() and (remote.size is None or part.stat().st_size > remote.size):
        part.unlink()
    part.touch()
    fruitless = 0
    while remote.size is None or part.stat().st_size < remote.size:
        have = part.stat().st_size
        try:
            _append(remote, part)
            return
        except httpx.TransportError:
            fruitless = fruitless + 1 if part.stat().st_size == have else 0
            if fruitless == _ATTEMPTS:
                raise
            time.sleep(1 + fruitless)


def _append(remote: _Remote, part: Path) -> None:
    """Ask once for the bytes after those of `part`, and write every byte that arrives, even of a broken connection."""
    have = part.stat().st_size
    # uncompressed, so that offsets count the bytes of the file
    headers = {**build_hf_headers(), "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    session = get_session()
    with session.stream("GET", remote.url, headers=headers, follow_redirects=True, timeout=_TIMEOUT_S) as response:
        hf_raise_for_status(response)
        resumed = response.status_code == HTTPStatus.PARTIAL_CONTENT
        with (
            part.open("ab" if resumed else "wb") as file,
            tqdm(desc=part.name, total=remote.size, initial=have * resumed, unit="B", unit_scale=True) as bar,
        ):
            for chunk in response.iter_bytes():
                file.write(chunk)
                bar.update(len(chunk))


def _fault(path: Path, remote: _Remote) -> str | None:
    """What is wrong with a file of the hub's size and hash, or None when it is whole."""
    size = path.stat().st_size
    if remote.size is not None and size != remote.size:
        return f"{size} bytes where the hub has {remote.size}"
    if re.fullmatch(r"[0-9a-f]{64}", remote.etag):
        if _digest(path, hashlib.sha256()) != remote.etag:
            return "its SHA-256 is not the hub's"
    elif re.fullmatch(r"[0-9a-f]{40}", remote.etag):
        blob = hashlib.sha1(f"blob {size}\0".encode(), usedforsecurity=False)
        if _digest(path, blob) != remote.etag:
            return "its git hash is not the hub's"
    return None


def _digest(path: Path, state: "hashlib._Hash") -> str:
    with path.open("rb") as file:
        while chunk := file.read(2**22):
            state.update(chunk)
    return state.hexdigest()


def _check_space(sizes: Mapping[Path, int]) -> None:
    """Check that the files, less the parts already here, fit on the disk; TransferError before the first byte."""
    if not sizes:
        return
    have = sum(part.stat().st_size for place in sizes for part in place.parent.glob(f"{place.name}.*.part"))
    folder = _existing_parent(next(iter(sizes)))
    need, free = sum(sizes.values()) - have + _SPARE_BYTES, shutil.disk_usage(folder).free
    if need > free:
        raise TransferError(
            f"the download needs {need / 2**30:.1f} GiB and {folder} has {free / 2**30:.1f} GiB free; make room"
        )


def _existing_parent(path: Path) -> Path:
    return next(parent for parent in path.absolute().parents if parent.is_dir())


@contextmanager
def _explained(repo: str, endpoint: str, path: str = "") -> Iterator[None]:
    """A context in which any error of the transfer becomes one TransferError that says what to do."""
    what = f"{repo}/{path}" if path else repo
    page = f"{endpoint}/{repo}"
    try:
        yield
    except GatedRepoError as error:
        raise TransferError(f"{repo} asks for its licence first: accept it at {page}, then `hf auth login`") from error
    except RevisionNotFoundError as error:
        raise TransferError(f"{repo} has no such revision; see {page}, or leave --revision out") from error
    except RepositoryNotFoundError as error:
        message = f"{endpoint} has no repository {repo}, or shows it only after `hf auth login`; check the name"
        raise TransferError(message) from error
    except EntryNotFoundError as error:
        raise TransferError(f"{what} is not on {endpoint} (404); check the name at {page}") from error
    except HfHubHTTPError as error:
        raise TransferError(_refused(error, what, page)) from error
    except (httpx.HTTPError, OfflineModeIsEnabled) as error:
        message = f"the transfer of {what} broke off ({error or type(error).__name__}); check the network to {endpoint}"
        raise TransferError(f"{message} and run the same command again: it resumes") from error
    except TransferError:
        raise
    except OSError as error:
        raise TransferError(_disk(error, what)) from error


def _refused(error: HfHubHTTPError, what: str, page: str) -> str:
    status = error.response.status_code
    if status in (401, 403):
        return f"{what} is not open to you ({status}): accept the licence at {page}, then `hf auth login`"
    return f"the hub answered {status} for {what}; try again later, what has arrived is kept"


def _disk(error: OSError, what: str) -> str:
    if error.errno == errno.ENOSPC:
        return f"the disk is full while downloading {what}; make room and run the same command again: it resumes"
    return f"{what} could not be stored ({error}); mend that and run the same command again: it resumes"
