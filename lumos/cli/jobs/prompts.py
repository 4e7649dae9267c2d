"""Lists of prompts in files: plain text, JSON and JSON lines, the released formats among them.

prompts.txt      one prompt a line
t2i.jsonl        {"prompt": ..., "prompt_rewrite...": ...} a line; the rewritten prompt is what the model sees
t2v.json         {"name.mp4": caption}
i2v.json         {"image file": caption}
list.json        ["prompt", {"prompt": ..., "image": ..., "seed": ..., "name": ..., "negative_prompt": ...}]
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xllmx.safe.inside import listed_file

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
OUTPUT_SUFFIXES = (".mp4", ".gif", ".png")


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """One thing to generate."""

    text: str
    """What the model sees."""
    name: str
    """Name of its output, without a suffix and without folders."""
    image: Path | None = None
    """First frame, for image-to-video."""
    negative: str | None = None
    """What to stay away from."""
    seed: int | None = None
    """None: the caller's."""


def read_prompts(path: str | Path, *, images: str | Path | None = None) -> list[Prompt]:
    """The prompts of a .txt, .json or .jsonl file, each with a name of its own.

    In a {"key": caption} file a key that ends like a picture is one, in `images`, else beside the file or in a folder
    there of the file's name; other keys name outputs. Raises ValueError that names the file, the entry and its fault.
    """
    path = Path(path)
    folders = [Path(images)] if images is not None else [path.parent, path.parent / path.stem]
    prompts = [_prompt(entry, f"{path}, entry {number}", folders) for number, entry in enumerate(_entries(path), 1)]
    if not prompts:
        raise ValueError(f"{path} holds no prompt; see lumos/cli/jobs/prompts.py for the formats")
    return distinct(prompts)


def name_of(text: str) -> str:
    """A file name made of the beginning of a prompt: letters, digits and hyphens, at most 60."""
    words = re.sub(r"[^\w]+", "-", text.lower(), flags=re.UNICODE).strip("-_")
    return words.encode("utf-8", "ignore")[:60].decode("utf-8", "ignore").rstrip("-_") or "prompt"


def _entries(path: Path) -> list[Any]:
    """The entries of a file: strings, objects or (key, caption) pairs."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text ({error.reason}); save it as UTF-8") from error
    except OSError as error:
        raise ValueError(f"cannot read the prompts {path}: {error.strerror}") from error
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    match path.suffix.lower():
        case ".txt":
            return [line for _, line in lines]
        case ".jsonl":
            return [_parse(line, f"{path}, line {number}") for number, line in lines]
        case ".json":
            content = _parse(text, str(path))
            if isinstance(content, dict):
                return list(content.items())
            if isinstance(content, list):
                return content
            raise ValueError(
                f"{path} holds neither a JSON object nor a list; see lumos/cli/jobs/prompts.py for the formats"
            )
    raise ValueError(f"{path} is no prompt file; its name must end in .txt, .json or .jsonl")


def _parse(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{where} is not valid JSON: {error}") from error


def _prompt(entry: Any, where: str, folders: list[Path]) -> Prompt:
    match entry:
        case str():
            return Prompt(text=_text(entry, where), name=name_of(entry))
        case (str() as key, str() as caption):
            image = _find(key, where, folders) if key.lower().endswith(IMAGE_SUFFIXES) else None
            return Prompt(text=_text(caption, where), name=_stem(key), image=image)
        case dict():
            return _prompt_of_object(entry, where, folders)
    raise ValueError(
        f"{where} is neither a text nor an object with a 'prompt'; see lumos/cli/jobs/prompts.py for the formats"
    )


def _prompt_of_object(entry: Mapping[str, Any], where: str, folders: list[Path]) -> Prompt:
    """A prompt from an object; any key that starts with `prompt_rewrite` holds what the model sees."""
    rewritten = next((entry[key] for key in entry if key.startswith("prompt_rewrite") and entry[key]), None)
    prompt = entry.get("prompt")
    seed = entry.get("seed")
    if seed is not None and (not isinstance(seed, int) or isinstance(seed, bool)):
        raise ValueError(f"{where}: seed is {seed!r}; it must be a whole number")
    negative = entry.get("negative_prompt")
    if negative is not None and not isinstance(negative, str):
        raise ValueError(f"{where}: negative_prompt is {negative!r}; give a text, or leave it out")
    return Prompt(
        text=_text(rewritten or prompt, where),
        name=_stem(str(entry["name"])) if entry.get("name") else name_of(str(prompt or rewritten)),
        image=_find(entry["image"], where, folders) if entry.get("image") else None,
        negative=negative,
        seed=seed,
    )


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{where} has no prompt; give it a text")
    return value.strip()


def _find(name: object, where: str, folders: list[Path]) -> Path:
    remedy = "put it there, or name the folder of the pictures with --image-folder"
    return listed_file(folders, name, said_by=where, remedy=remedy)


def _stem(name: str) -> str:
    """A name of an output without its known suffix, safe as a file name."""
    bare = Path(name).name
    if bare.lower().endswith((*IMAGE_SUFFIXES, *OUTPUT_SUFFIXES)):
        bare = bare.rpartition(".")[0]
    return bare.replace("\0", "") or "prompt"


def distinct(prompts: Iterable[Prompt]) -> list[Prompt]:
    """The prompts with a number after each name that was there before, so that no two outputs are one file."""
    taken: set[str] = set()
    distinct = []
    for prompt in prompts:
        name, number = prompt.name, 1
        while name in taken:
            number += 1
            name = f"{prompt.name}-{number}"
        taken.add(name)
        distinct.append(Prompt(**{**vars(prompt), "name": name}))
    return distinct
