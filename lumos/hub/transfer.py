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
from collections.abc import Iterator, Mapping, Sequence
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

from lumos.hub.models import refuse_pointer

try:  # the hub's client library: httpx2 from huggingface_hub 2 on
    import httpx2 as httpx
except ImportError:
    import httpx  # type: ignore[no-redef]

_SPARE_BYTES = 64 * 2**20
"""Left free on the disk after a download, so that filling it to the last byte never starts."""

_ATTEMPTS = 4
"""Tries in a row that bring no byte before a download gives up."""

_LOG_IN = "run `hf auth login`, then the same command again"

_TIMEOUT_S = 30.0
"""Silence after which a connection counts as broken."""


class TransferError(OSError):
    """A download that did not succeed; the message says why and what to do. What had arrived is kept."""


class LicenceError(TransferError):
    """A repository is not open to this user yet; the message says where its licence is accepted."""


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """One commit of a hub repository: where its files are asked for."""

    repo: str
    commit: str
    endpoint: str
    files: tuple[str, ...]
    """Every path in the repository."""


@dataclass(frozen=True, kw_only=True)
class RemoteFile:
    """One file of a snapshot, as the hub describes it, and where it goes."""

    snapshot: Snapshot
    path: str
    """In the repository."""
    place: Path
    """On this machine."""
    url: str
    size: int | None
    """Bytes of the whole file, where the hub says them."""
    etag: str
    """Its hash: SHA-256 of large files, git's SHA-1 of small ones."""

    @property
    def num_bytes_left(self) -> int:
        """Bytes still to come, those of its part left out."""
        part = _part_of(self)
        return max(0, (self.size or 0) - (part.stat().st_size if part.is_file() else 0))


def open_snapshot(repo: str, *, revision: str = "main", endpoint: str | None = None) -> Snapshot:
    """The commit `revision` points to, with its list of files. Raises TransferError: no network, no such repository."""
    endpoint = (endpoint or os.environ.get("HF_ENDPOINT") or constants.ENDPOINT).rstrip("/")
    with _explained(repo, endpoint):
        info = HfApi(endpoint=endpoint).model_info(repo, revision=revision)
    files = tuple(sorted(sibling.rfilename for sibling in info.siblings or ()))
    return Snapshot(repo=repo, commit=info.sha or revision, endpoint=endpoint, files=files)


def missing_files(snapshot: Snapshot, files: Mapping[str, Path]) -> list[RemoteFile]:
    """Those of `files` (path in the repository -> place on disk) that are not whole in their place, in order.

    Raises TransferError: no network, a licence that is not accepted, a path that is not there.
    """
    remotes = [_ask(snapshot, path, place) for path, place in files.items()]
    return [remote for remote in remotes if not (remote.place.is_file() and _fault(remote.place, remote) is None)]


def check_space(files: Sequence[RemoteFile]) -> None:
    """Raises TransferError before the first byte when the files, less the parts already here, do not fit."""
    if not files:
        return
    folder = _existing_parent(files[0].place)
    need, free = sum(file.num_bytes_left for file in files) + _SPARE_BYTES, shutil.disk_usage(folder).free
    if need > free:
        raise TransferError(
            f"the download needs {need / 2**30:.1f} GiB and {folder} has {free / 2**30:.1f} GiB free; make room"
        )


def fetch(file: RemoteFile) -> None:
    """Brings a file to its place, whole and checked.

    Raises TransferError; what has arrived by then stays, and a second call continues from it.
    """
    with _explained(file.snapshot.repo, file.snapshot.endpoint, file.path):
        _fetch_one(file)


def read_small(snapshot: Snapshot, path: str) -> bytes:
    """The content of a small file of the repository, such as a config; nothing is written. Raises TransferError."""
    with _explained(snapshot.repo, snapshot.endpoint, path):
        response = get_session().get(_url(snapshot, path), headers=build_hf_headers(), follow_redirects=True)
        hf_raise_for_status(response)
        return response.content


def check_safetensors(path: Path) -> None:
    """Raises ValueError unless the header of a safetensors file accounts for every byte of it."""
    refuse_pointer(path)
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


def _url(snapshot: Snapshot, path: str) -> str:
    return hf_hub_url(snapshot.repo, path, revision=snapshot.commit, endpoint=snapshot.endpoint)


def _ask(snapshot: Snapshot, path: str, place: Path) -> RemoteFile:
    url = _url(snapshot, path)
    with _explained(snapshot.repo, snapshot.endpoint, path):
        metadata = get_hf_file_metadata(url, endpoint=snapshot.endpoint)
    return RemoteFile(snapshot=snapshot, path=path, place=place, url=url, size=metadata.size, etag=metadata.etag or "")


def _part_of(remote: RemoteFile) -> Path:
    """Where the file grows: the beginning of its hash tells its part from that of another version."""
    digits = re.sub(r"[^0-9a-zA-Z]", "", remote.etag)[:12] or "new"
    return remote.place.with_name(f"{remote.place.name}.{digits}.part")


def _fetch_one(remote: RemoteFile) -> None:
    """Leaves the whole, checked file in its place, through its part."""
    place, part = remote.place, _part_of(remote)
    place.parent.mkdir(parents=True, exist_ok=True)
    for stale in set(place.parent.glob(f"{place.name}.*.part")) - {part}:
        stale.unlink()
    _receive(remote, part)
    fault = _fault(part, remote)  # of the file as it lies on the disk, not of what went through memory
    if fault is not None:
        part.unlink()
        raise TransferError(f"{place.name} arrived damaged ({fault}) and was thrown away; run the same command again")
    part.replace(place)


def _receive(remote: RemoteFile, part: Path) -> None:
    """Appends to `part` what is missing of the file; takes a connection that broke up again while bytes still come."""
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


def _append(remote: RemoteFile, part: Path) -> None:
    """One request for the bytes behind those of `part`; every byte that arrives is written, whatever comes after."""
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


def _fault(path: Path, remote: RemoteFile) -> str | None:
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
        raise LicenceError(f"{repo} asks for its licence first: accept it at {page}, {_LOG_IN}") from error
    except RevisionNotFoundError as error:
        raise TransferError(f"{repo} has no such revision; see {page}, or leave --revision out") from error
    except RepositoryNotFoundError as error:
        message = f"{endpoint} has no repository {repo}, or shows it only after `hf auth login`; check the name"
        raise TransferError(message) from error
    except EntryNotFoundError as error:
        raise TransferError(f"{what} is not on {endpoint} (404); check the name at {page}") from error
    except HfHubHTTPError as error:
        if error.response.status_code in (401, 403):
            message = f"{what} is not open to you ({error.response.status_code}): accept the licence at {page}"
            raise LicenceError(f"{message}, {_LOG_IN}") from error
        status = error.response.status_code
        raise TransferError(
            f"the hub answered {status} for {what}; try again later, what has arrived is kept"
        ) from error
    except (httpx.HTTPError, OfflineModeIsEnabled) as error:
        message = f"the transfer of {what} broke off ({error or type(error).__name__}); check the network to {endpoint}"
        raise TransferError(f"{message} and run the same command again: it resumes") from error
    except TransferError:
        raise
    except OSError as error:
        raise TransferError(_disk(error, what)) from error


def _disk(error: OSError, what: str) -> str:
    if error.errno == errno.ENOSPC:
        return f"the disk is full while downloading {what}; make room and run the same command again: it resumes"
    return f"{what} could not be stored ({error}); mend that and run the same command again: it resumes"
