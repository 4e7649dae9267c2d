"""Files from a hub repository: resumed where they were cut, checked, and under their final name only when whole.

A file grows as `<name>.<first digits of its hash>.part` beside its final name. A run that is cut, killed or out of disk
leaves that part, and the next run asks the server for the rest of it only (HTTP Range). Then size and hash (SHA-256 of
large files, git's SHA-1 of small ones) are compared with the hub's, and the file is renamed.
"""

import errno
import hashlib
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote

from huggingface_hub import constants, hf_hub_url
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import tqdm

from lumos.hub import connection
from lumos.hub.connection import ATTEMPTS, LEAST_BYTES, AnswerError, httpx
from lumos.hub.hashes import keep_hash
from xllmx.safe.inside import inside
from xllmx.safe.json_text import parse_json

_SPARE_BYTES = 64 * 2**20
"""Left free on the disk after a download, so that filling it to the last byte never starts."""

_MOST_LISTING_BYTES = 64 * 2**20
_MOST_FILES = 2_000
"""Of one part; a released model has a dozen."""

_SIZE = re.compile(r"[0-9]{1,15}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_COMMIT = re.compile(r"[0-9a-f]{40,64}")
_LOG_IN = "run `hf auth login`, then the same command again"


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
    size: int
    """Bytes of the whole file, as the hub announces them; not one more is stored."""
    etag: str
    """Its hash: SHA-256 of large files, git's SHA-1 of small ones."""

    @property
    def num_bytes_left(self) -> int:
        """Bytes still to come, those of its part left out."""
        part = _part_of(self)
        return max(0, self.size - (part.stat().st_size if part.is_file() else 0))


def open_snapshot(repo: str, *, revision: str = "main", endpoint: str | None = None) -> Snapshot:
    """The commit `revision` points to, with its list of files. Raises TransferError: no network, no such repository."""
    endpoint = _checked(endpoint or os.environ.get("HF_ENDPOINT") or constants.ENDPOINT)
    place = f"{endpoint}/api/models/{repo}/revision/{quote(revision, safe='')}"
    with _explained(repo, endpoint):
        listing = connection.read(place, most_bytes=_MOST_LISTING_BYTES)
    commit, files = _read_listing(listing, f"the listing of {repo} on {endpoint}")
    return Snapshot(repo=repo, commit=commit or revision, endpoint=endpoint, files=files)


def compare_files(
    snapshot: Snapshot, files: Mapping[str, Path]
) -> tuple[tuple[RemoteFile, ...], tuple[RemoteFile, ...]]:
    """Those of `files` (path in the repository -> place on disk) that are not whole in their place; those that are.

    Raises TransferError: no network, a licence that is not accepted, a path that is not there.
    """
    if len(files) > _MOST_FILES:
        raise TransferError(f"{snapshot.repo} lists {len(files)} files of one model; at most {_MOST_FILES} are taken")
    remotes = [_ask(snapshot, path, place) for path, place in files.items()]
    whole = [remote.place.is_file() and _fault(remote.place, remote) is None for remote in remotes]
    missing = tuple(remote for remote, here in zip(remotes, whole, strict=True) if not here)
    return missing, tuple(remote for remote, here in zip(remotes, whole, strict=True) if here)


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
        keep(file)


def keep(file: RemoteFile) -> None:
    """Write the hash of a file that is whole in its place into the list of its folder (`lumos.hub.hashes`)."""
    keep_hash(file.place, sha256=file.etag if _SHA256.fullmatch(file.etag) else None)


def read_small(snapshot: Snapshot, path: str) -> bytes:
    """The content of a small file of the repository, such as a config; nothing is written. Raises TransferError."""
    with _explained(snapshot.repo, snapshot.endpoint, path):
        return connection.read(_url(snapshot, path))


def _checked(endpoint: str) -> str:
    """Return the address of a hub without a slash at its end; TransferError: it is none."""
    try:
        url = httpx.URL(endpoint.strip())
        whole = url.scheme in ("http", "https") and bool(url.host) and (url.port or 1) <= 65535
    except (httpx.InvalidURL, ValueError):
        whole = False
    if not whole:
        raise TransferError(f"{endpoint[:200]!r} is no address of a hub; set HF_ENDPOINT as in https://huggingface.co")
    return endpoint.strip().rstrip("/")


def _read_listing(content: bytes, where: str) -> tuple[str | None, tuple[str, ...]]:
    """Return the commit, where it is said, and the names of all files, in order; TransferError: it is no listing."""
    remedy = "check the name of the hub (HF_ENDPOINT)"
    try:
        listing = parse_json(content, where, remedy=remedy)
        commit, entries = listing.get("sha"), listing.get("siblings") or []
        if not (commit is None or _COMMIT.fullmatch(commit)):
            raise ValueError(f"{where} names the commit {commit[:60]!a}, which is none; {remedy}")
        names = [entry["rfilename"] for entry in entries]
        return commit, tuple(sorted(inside(Path(), name, said_by=where, remedy=remedy).as_posix() for name in names))
    except (AttributeError, TypeError, KeyError) as error:
        raise TransferError(
            f"{where} is none: its sha or its siblings are not as a hub writes them; {remedy}"
        ) from error
    except ValueError as error:
        raise TransferError(str(error)) from error


def _url(snapshot: Snapshot, path: str) -> str:
    return hf_hub_url(snapshot.repo, path, revision=snapshot.commit, endpoint=snapshot.endpoint)


def _ask(snapshot: Snapshot, path: str, place: Path) -> RemoteFile:
    url = _url(snapshot, path)
    with _explained(snapshot.repo, snapshot.endpoint, path):
        headers = connection.head(url)
    hash_said = headers.get("x-linked-etag") or headers.get("etag") or ""
    size = headers.get("x-linked-size") or ("" if "location" in headers else headers.get("content-length", ""))
    if not _SIZE.fullmatch(size):
        said = f"says {size[:40]!a} bytes" if size else "does not say how many bytes"
        raise TransferError(f"{snapshot.endpoint} {said} {snapshot.repo}/{path} has; it is not taken, try another hub")
    etag = hash_said.removeprefix("W/").strip('"')[:200]
    return RemoteFile(snapshot=snapshot, path=path, place=place, url=url, size=int(size), etag=etag)


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
    if part.is_file() and part.stat().st_size > remote.size:
        part.unlink()
    part.touch()
    fruitless, most = 0, part.stat().st_size
    while part.stat().st_size < remote.size:
        try:
            _append(remote, part)
            return
        except httpx.TransportError:
            have = part.stat().st_size  # of a server that knows no ranges it is less than before
            fruitless = fruitless + 1 if have - most < LEAST_BYTES else 0
            most = max(most, have)
            if fruitless == ATTEMPTS:
                raise
            time.sleep(1 + fruitless)


def _append(remote: RemoteFile, part: Path) -> None:
    """One request for the bytes behind those of `part`; what arrives is written, but nothing beyond the size.

    Raises:
        TransferError: there is more than was announced; nothing of the file is kept.
    """
    have = part.stat().st_size
    headers = {"Range": f"bytes={have}-"} if have else {}
    with connection.answer("GET", remote.url, headers=headers) as response:
        resumed = bool(have) and response.status_code == HTTPStatus.PARTIAL_CONTENT
        left = remote.size - have * resumed
        with (
            part.open("ab" if resumed else "wb") as file,
            tqdm(desc=part.name, total=remote.size, initial=have * resumed, unit="B", unit_scale=True) as bar,
        ):
            for chunk in connection.chunks(response):
                if len(chunk) > left:
                    part.unlink()
                    raise TransferError(_too_long(remote))
                file.write(chunk)
                bar.update(len(chunk))
                left -= len(chunk)


def _too_long(remote: RemoteFile) -> str:
    said = f"{remote.snapshot.endpoint} announced {remote.size} bytes of {remote.snapshot.repo}/{remote.path}"
    return f"{said} and sends more; nothing of it is kept, take it from another hub"


def _fault(path: Path, remote: RemoteFile) -> str | None:
    """What is wrong with a file of the hub's size and hash, or None when it is whole."""
    size = path.stat().st_size
    if size != remote.size:
        return f"{size} bytes where the hub has {remote.size}"
    if _SHA256.fullmatch(remote.etag):
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
        message = f"the transfer of {what} broke off ({_reason(error)}); check the network to {endpoint}"
        raise TransferError(f"{message} and run the same command again: it resumes") from error
    except TransferError:
        raise
    except OSError as error:
        raise TransferError(_fault_here(error, what, endpoint)) from error


def _reason(error: Exception) -> str:
    lines = str(error).split()
    return " ".join(lines)[:200] or type(error).__name__


def _fault_here(error: OSError, what: str, endpoint: str) -> str:
    if isinstance(error, AnswerError):
        return f"{what} cannot be taken from {endpoint}: {error}; try another hub"
    if error.errno == errno.ENOSPC:
        return f"the disk is full while downloading {what}; make room and run the same command again: it resumes"
    return f"{what} could not be stored ({error}); mend that and run the same command again: it resumes"
