"""Where the official prompt files and the released rewritten prompts come from: each found by its checksum.

A file is taken from a folder (of any layout: a checkout, site-packages, a download), from an installed `vbench`
package, or from the network. What is taken is what the checksum says, whatever it is called and wherever it lies.
"""

import hashlib
import importlib.util
import tarfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

GITHUB_FILES = "https://raw.githubusercontent.com"
GITHUB_ARCHIVES = "https://codeload.github.com"
_TIMEOUT_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Source:
    """One public file, pinned by its content."""

    name: str
    """What it is called at its publisher's, or here where that does not matter."""
    sha256: str
    size: int
    """Bytes."""
    repository: str
    """`owner/name` on GitHub."""
    revision: str
    """A commit; HEAD for a file that is pinned by its checksum alone."""
    path: str | None = None
    """Inside the repository; None: wherever its archive holds a file of this checksum."""


REWRITTEN_IN = "alibaba-damo-academy/Lumos"
"""The repository whose archive holds the rewritten prompts (Apache-2.0)."""


def find(source: Source, places: Sequence[Path]) -> bytes | None:
    """The content of the pinned file, from the first of these files and folders that holds it, or None."""
    for path in _files(places):
        if path.stat().st_size == source.size:
            content = path.read_bytes()
            if is_pinned(content, source):
                return content
    return None


def other_versions(source: Source, places: Sequence[Path]) -> list[Path]:
    """Files that are called like the pinned one and are not it."""
    name = Path(source.path or source.name).name
    return [path for path in _files(places) if path.name.endswith(name) and not is_pinned(path.read_bytes(), source)]


def is_pinned(content: bytes, source: Source) -> bool:
    """Whether this is the pinned file, byte for byte."""
    return hashlib.sha256(content).hexdigest() == source.sha256


def installed_vbench() -> list[Path]:
    """The folders of an installed `vbench` package and of what comes with it; none of it is imported."""
    specs = [importlib.util.find_spec(name) for name in ("vbench", "vbench2_beta_i2v")]
    return [Path(folder) for spec in specs if spec for folder in spec.submodule_search_locations or ()]


def download(sources: Sequence[Source]) -> dict[Source, bytes]:
    """The contents of pinned files, from the network; ValueError that says why one could not be had."""
    found = {source: _download_file(source) for source in sources if source.path is not None}
    archives = {(source.repository, source.revision) for source in sources if source.path is None}
    for repository, revision in sorted(archives):
        inside = [s for s in sources if s.path is None and (s.repository, s.revision) == (repository, revision)]
        found |= _download_from_archive(f"{GITHUB_ARCHIVES}/{repository}/tar.gz/{revision}", inside)
    return found


def _download_file(source: Source) -> bytes:
    url = f"{GITHUB_FILES}/{source.repository}/{source.revision}/{source.path}"
    try:
        with _open(url) as response:
            content = response.read(source.size + 1)
    except OSError as error:
        raise _unreachable(url, error) from error
    if not is_pinned(content, source):
        raise ValueError(f"{url} is not the file it should be (SHA-256 {source.sha256}); {_BY_HAND}")
    return content


def _download_from_archive(url: str, sources: Sequence[Source]) -> dict[Source, bytes]:
    """The files of these checksums, read as the archive streams by; nothing else of it is kept."""
    found: dict[Source, bytes] = {}
    try:
        with _open(url) as response, tarfile.open(fileobj=response, mode="r|gz") as archive:
            for member in archive:
                wanted = [source for source in sources if member.isfile() and member.size == source.size]
                file = archive.extractfile(member) if wanted else None
                content = file.read() if file else b""
                found |= {source: content for source in wanted if is_pinned(content, source)}
                if len(found) == len(sources):
                    return found
    except (OSError, tarfile.TarError) as error:
        raise _unreachable(url, error) from error
    missing = [f"{source.name} (SHA-256 {source.sha256})" for source in sources if source not in found]
    raise ValueError(f"{url} does not hold {', '.join(missing)}; {_BY_HAND}")


_BY_HAND = "bring the files another way, and give their folder with --from; or --short for short prompts"


def _open(url: str) -> IO[bytes]:
    response: IO[bytes] = urllib.request.urlopen(url, timeout=_TIMEOUT_S)  # an https address of the table above
    return response


def _unreachable(url: str, error: Exception) -> ValueError:
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    return ValueError(f"cannot download {url}: {reason}; {_BY_HAND}")


def _files(places: Sequence[Path]) -> Iterator[Path]:
    """Yields the files that are meant: the given ones, and all text-like ones in the given folders."""
    for place in places:
        if place.is_dir():
            yield from sorted(path for path in place.rglob("*.json*") if path.is_file())
        elif place.is_file():
            yield place
        else:
            raise ValueError(f"{place} is neither a file nor a folder; give what holds the prompt files")
