"""What stands beside every output: a json from which the same output can be made again.

clip.mp4
clip.mp4.json    prompt, seed, every setting, model and its weights' hash, code version, hash of clip.mp4
"""

import hashlib
import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from lumos import __version__
from lumos.hub.bundled import checkout
from lumos.hub.models import read_json
from lumos.media.files import replacing
from xllmx.store.address import location_of

IDENTITY = (
    "prompt", "then", "negative_prompt", "image_hash", "seed", "settings", "model_hash", "dtype", "weights", "tiled",
    "scale",
)  # fmt: skip
"""The entries of a record that decide what is made; the others tell how it was."""

_WHOLE_BYTES = 64 * 2**20
_NUM_SAMPLES = 64
_SAMPLE_BYTES = 2**16


def record_path(output: Path) -> Path:
    """Where the record of an output lies: `<output>.json`."""
    return output.with_name(f"{output.name}.json")


def read_record(output: Path) -> dict[str, Any] | None:
    """The record beside an output, or None where there is none; ValueError if it is unreadable."""
    path = record_path(output)
    return read_json(path) if path.is_file() else None


def write_record(output: Path, record: Mapping[str, Any]) -> None:
    """Writes the record of an output, whole or not at all; a path in it that is no UTF-8 stands there escaped."""
    with replacing(record_path(output)) as temporary:
        temporary.write_text(as_text(record), encoding="utf-8")


def as_text(entries: Mapping[str, Any]) -> str:
    """JSON to be written as UTF-8, which `read_json` reads back: half characters, as paths may have, are escaped."""
    text = json.dumps(entries, indent=2, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        text = json.dumps(entries, indent=2)
    return text + "\n"


def differences(record: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """What a record says otherwise than is wanted, as `name: recorded -> wanted`; an open seed (None) wants any.

    Of a model of another name the name is said, and neither its hash nor its settings, which are all its own.
    """
    names = [name for name in IDENTITY if name != "seed" or wanted.get("seed") is not None]
    if record.get("model_hash") != wanted.get("model_hash") and record.get("model") != wanted.get("model"):
        names = ["model", *(name for name in names if name not in ("model_hash", "settings"))]
    return _differences({name: record.get(name) for name in names}, {name: wanted.get(name) for name in names})


@runtime_checkable
class HashedFiles(Protocol):
    """The files of a model of either kind."""

    @property
    def name(self) -> str:
        """What finds it again."""
        ...

    @property
    def paths_to_hash(self) -> list[Path]:
        """Those that decide what it makes."""
        ...


def model_entries(files: HashedFiles, how: Mapping[str, Any], *, dtype: str) -> dict[str, Any]:
    """What a record says of the model: name, hash of its files, what of `how` it was loaded with is set, dtype."""
    chosen = {name: value for name, value in how.items() if value}
    loaded = {name: _whole_name(value) if isinstance(value, Path) else value for name, value in chosen.items()}
    return {"model": files.name, "model_hash": model_hash(files), **loaded, "dtype": dtype}


def _whole_name(place: Path) -> str:
    location = location_of(place)
    return str(location.resolve() if isinstance(location, Path) else location)


def model_hash(files: HashedFiles) -> str:
    """SHA-256 over a model's configs, tokenizers and weights, with the way it was taken before it.

    Of a file beyond 64 MiB only the size and 64 stretches spread over it are hashed (`sha256-sampled:`), so that a
    model of many GB is told from its fine-tuned sister in well under a second.
    """
    state = hashlib.sha256()
    paths = files.paths_to_hash
    for path in paths:
        state.update(f"{path.name} {path.stat().st_size}\n".encode())
        _hash_into(state, path)
    sampled = any(path.stat().st_size > _WHOLE_BYTES for path in paths)
    return f"sha256{'-sampled' if sampled else ''}:{state.hexdigest()}"


def code_version() -> str:
    """Version of the package, and the git revision where it runs from a checkout: `0.2.0+1a2b3c4d5e6f`.

    `.dirty` follows when files under version control were changed.
    """
    root = checkout()
    if root is None or not (root / ".git").exists():
        return __version__
    command = [
        "git",
        "--no-optional-locks",
        "-C",
        str(root),
        "describe",
        "--always",
        "--dirty=.dirty",
        "--abbrev=12",
        "--exclude=*",
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):  # no git here, or not our checkout: the version alone is true too
        return __version__
    return f"{__version__}+{done.stdout.strip()}"


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    found = []
    for name in {**old, **new}:
        before, after = old.get(name), new.get(name)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            found += _differences(before, after)
        elif before != after and name == "image_hash":
            found.append(_other_picture(before, after))
        elif before != after:
            found.append(f"{name}: {before} -> {after}")
    return found


def _other_picture(before: Any, after: Any) -> str:
    """Say of the hashes of two pictures, one of which may be none, what they tell: not sixty digits of each."""
    if before and after:
        return "image: one -> another"
    return "image: one -> none" if before else "image: none -> one"


def _hash_into(state: "hashlib._Hash", path: Path) -> None:
    if not path.is_file():
        what = "a folder, a pipe or a device" if path.exists() else "no such file"
        raise ValueError(f"{path} is no file ({what}); copy or download it again")
    size = path.stat().st_size
    with path.open("rb") as file:
        if size <= _WHOLE_BYTES:
            while chunk := file.read(2**22):
                state.update(chunk)
            return
        for index in range(_NUM_SAMPLES):
            file.seek(index * max(0, size - _SAMPLE_BYTES) // (_NUM_SAMPLES - 1))
            state.update(file.read(_SAMPLE_BYTES))
