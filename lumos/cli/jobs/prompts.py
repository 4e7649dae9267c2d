"""Lists of prompts in files: plain text, JSON and JSON lines, the released formats among them.

prompts.txt      one prompt a line
t2i.jsonl        {"prompt": ..., "prompt_rewrite...": ...} a line; the rewritten prompt is what the model sees
t2v.json         {"name.mp4": caption}
i2v.json         {"image file": caption}
i2v_list.json    [{"image_name": ..., "prompt_en": ..., "prompt_en_qwen32b_vl": ...}], as VBench-I2V has it
list.json        ["prompt", {"prompt": ..., "image": ..., "seed": ..., "name": ..., "negative_prompt": ...}]
                 "image" may be a video to go on from; "then": [[8, "what is to be seen from frame 8 on"], ...]
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lumos.conventions.script import Script
from xllmx.safe.inside import listed_file
from xllmx.safe.json_text import filled_lines, json_lines, parse_json, read_text, unwritable
from xllmx.settings.setting import suggestion

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
CLIP_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi")
"""Of videos that are gone on from."""
OUTPUT_SUFFIXES = (".mp4", ".webm", ".gif", ".png")
MOST_SEEDS = 2**63
"""Seeds are below it."""

RELEASED_IMAGES = "custom_i2v_1_frame"
"""The folder, beside that of the lists, in which the release keeps the pictures of its image-to-video list."""

_REWRITTEN = ("prompt_rewrite", "prompt_en_")
"""How keys begin that hold a rewritten prompt."""
_RELEASED = {"prompt_en": "prompt", "image_name": "image"}
"""Key of the released image-to-video lists -> what it is called here."""
_TEXTS = ("prompt", "name", "image", "negative_prompt")
_KEYS = (*_TEXTS, "seed", "then")
_LET_BE = ("tag", "include", "exclude", "id", "dimension", "image_type", "auxiliary_info")
"""Keys of the released lists that say nothing here."""

_MOST_BYTES = 64 * 2**20
_SHOWN = 60
_NAME_BYTES = 60
_MOST_NAME_BYTES = 200
_REMEDY = 'correct it; an entry is for example {"prompt": "a red circle", "image": "a.png", "seed": 3, "name": "red"}'


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """One thing to generate."""

    text: str
    """What the model sees."""
    name: str
    """Name of its output, without a suffix and without folders."""
    then: list[list[Any]] | None = None
    """[[frame, the text from there on], ...] (`lumos.conventions.script`)."""
    image: Path | None = None
    """First frame, for image-to-video, or a video to go on from."""
    negative: str | None = None
    """What to stay away from."""
    seed: int | None = None
    """None: the caller's."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """The entry of a list of objects as it stands there, without rewritten prompts."""

    @property
    def official(self) -> str:
        """The prompt that was rewritten, or the only one there is."""
        return str(self.about.get("prompt") or self.text)


def read_prompts(path: str | Path, *, images: str | Path | None = None, short: bool = False) -> list[Prompt]:
    """The prompts of a .txt, .json or .jsonl file, each with a name of its own.

    In a {"key": caption} file a key that ends like a picture is one, in `images`, else beside the file, in a folder
    there of the file's name, or in `RELEASED_IMAGES`; other keys name outputs. `short` asks for the prompts themselves
    where a list has rewritten ones. Raises ValueError that names the file, the entry and its fault.
    """
    path = Path(path)
    beside = [path.parent, path.parent / path.stem, path.absolute().parent.parent / RELEASED_IMAGES]
    folders = [Path(images)] if images is not None else [place for place in beside if place.is_dir()]
    prompts = [_prompt(entry, where, folders, short=short) for where, entry in _entries(path)]
    if not prompts:
        raise ValueError(f"{path} holds no prompt; {_REMEDY}")
    return distinct(prompts)


def name_of(text: str) -> str:
    """A file name made of a prompt: letters, digits and hyphens, at most 60.

    That of a longer one ends in six signs of all of it, so that another which begins alike has another name.
    """
    words = re.sub(r"[^\w]+", "-", text.lower(), flags=re.UNICODE).strip("-_").encode("utf-8", "ignore")
    if len(words) <= _NAME_BYTES:
        return words.decode("utf-8").rstrip("-_") or "prompt"
    of_all = hashlib.sha256(text.strip().encode("utf-8", "ignore")).hexdigest()[:6]
    return f"{words[: _NAME_BYTES - 7].decode('utf-8', 'ignore').rstrip('-_')}-{of_all}"


def _entries(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield where each entry of a file stands, and the entry: a string, an object or a (key, caption) pair."""
    suffix = path.suffix.lower()
    if suffix not in (".txt", ".json", ".jsonl"):
        raise ValueError(f"{path} is no prompt file; its name must end in .txt, .json or .jsonl")
    if not path.exists():
        raise ValueError(f"cannot read the prompts {path}: no such file; give a .txt, .json or .jsonl file")
    text = read_text(path, remedy=_REMEDY, most_bytes=_MOST_BYTES)
    if suffix == ".txt":
        yield from ((f"{path}, line {number}", line) for number, line in filled_lines(text))
    elif suffix == ".jsonl":
        lines = json_lines(text, str(path), remedy=_REMEDY)
        yield from ((f"{path}, line {number}", entry) for number, entry in lines)
    else:
        content = parse_json(text, str(path), remedy=_REMEDY)
        if isinstance(content, dict):
            yield from ((f"{path}, {key!r}", (key, caption)) for key, caption in content.items())
        elif isinstance(content, list):
            yield from ((f"{path}, entry {number}", entry) for number, entry in enumerate(content, 1))
        else:
            raise ValueError(f"{path} holds neither a JSON object nor a list; {_REMEDY}")


def _prompt(entry: Any, where: str, folders: list[Path], *, short: bool) -> Prompt:
    match entry:
        case str():
            text = text_of(entry, where)
            return Prompt(text=text, name=name_of(text))
        case (str() as key, caption):
            image = _find(key, where, folders) if key.lower().endswith(IMAGE_SUFFIXES) else None
            return Prompt(text=text_of(caption, where), name=_stem(key), image=image)
        case dict():
            return _prompt_of_object(entry, where, folders, short=short)
    raise ValueError(f"{where} is neither a text nor an object with a 'prompt' but {_shown(entry)}; {_REMEDY}")


def _prompt_of_object(entry: Mapping[str, Any], where: str, folders: list[Path], *, short: bool) -> Prompt:
    """A prompt from an object; any key that begins like one of `_REWRITTEN` holds what the model sees."""
    is_released = "prompt_en" in entry
    entry = {_RELEASED.get(key, key): value for key, value in entry.items()}
    rewrites = [key for key in entry if key.startswith(_REWRITTEN)]
    for key in entry:
        if key not in (*_KEYS, *_LET_BE, *rewrites):
            raise ValueError(f"{where} has an unknown key {_shown(key)}; {suggestion(key, [*_KEYS, *_REWRITTEN])}")
        if key in _TEXTS or key in rewrites:
            _check_text(entry[key], key, where)
    rewritten = next((entry[key] for key in rewrites if entry[key] and entry[key].strip()), None)
    prompt, seed = entry.get("prompt"), entry.get("seed")
    if seed is not None and (not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < MOST_SEEDS):
        raise ValueError(f"{where}: seed is {_shown(seed)}; it must be a whole number from 0 to {MOST_SEEDS - 1}")
    text = text_of((prompt if short else None) or rewritten or prompt, where)
    own_name = _file_name if is_released else name_of
    return Prompt(
        text=text,
        then=changes_of(text, entry.get("then"), where),
        name=_stem(entry["name"]) if entry.get("name") else own_name(prompt or rewritten or ""),
        image=_find(entry["image"], where, folders) if entry.get("image") else None,
        negative=entry.get("negative_prompt"),
        seed=seed,
        about={key: value for key, value in entry.items() if key not in rewrites},
    )


def changes_of(text: str, changes: Any, where: str) -> list[list[Any]] | None:
    """Return what a prompt changes to, [[frame, text], ...]; None where it does not.

    Raises:
        ValueError: it is no list of [frame, text] in order; says `where`.
    """
    if changes is None or (isinstance(changes, str | list | tuple) and not changes):
        return None
    pairs = changes if isinstance(changes, list | tuple) else [changes]
    if not all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in pairs):
        raise ValueError(f'{where}: then is {_shown(changes)}; give a list of [frame, text], as [[8, "it moves up"]]')
    try:
        Script(text=text, changes=tuple((frame, new) for frame, new in pairs))
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    for _, new in pairs:
        text_of(new, where)
    return [[frame, new.strip()] for frame, new in pairs]


def _file_name(prompt: str) -> str:
    """The prompt itself, as VBench names videos, where a file can be called so; else a name made of it."""
    fits = not prompt.startswith(".") and len(prompt.encode()) <= _MOST_NAME_BYTES
    return prompt if fits and not set("/\\\0\n") & set(prompt) else name_of(prompt)


def _check_text(value: Any, key: str, where: str) -> None:
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{where}: {key} is {_shown(value)}; give a text, or leave it out")
    if fault := unwritable(value or ""):
        raise ValueError(f"{where}: {key}: {fault}; write it anew")
    if value and not value.strip():
        raise ValueError(f"{where}: {key} is {_shown(value)}, spaces alone; write something, or leave it out")


def text_of(value: Any, where: str) -> str:
    """Return a prompt without the space around it.

    Raises:
        ValueError: it is none, empty, or holds what no file can (`xllmx.safe.json_text.unwritable`); says `where`.
    """
    if not isinstance(value, str) or not value.strip():
        given = "" if value is None else f" but {_shown(value)}"
        raise ValueError(f"{where} has no prompt{given}; give it a text")
    if fault := unwritable(value):
        raise ValueError(f"{where}: {fault}; write it anew")
    return value.strip()


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _find(name: object, where: str, folders: list[Path]) -> Path:
    remedy = "put it there, or name the folder of the pictures with --image-folder (of eval.custom: --images)"
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
