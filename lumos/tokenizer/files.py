"""Which files the two tokenizers of Lumos-1 are, by a folder, a released name or the name of a model."""

from pathlib import Path

from lumos.hub.bundled import bundled_folder
from lumos.hub.models import (
    SHARED_NAMES,
    SHARED_TEXT_TOKENIZER,
    SHARED_VISUAL_TOKENIZER,
    TEXT_TOKENIZER,
    VISUAL_PAIR,
    ckpts_root,
    local_folder,
    resolve,
)
from xllmx.store.address import location_of
from xllmx.store.local_copy import kept_copy

CHAMELEON = "chameleon"
"""The tokenizer of pictures that the release could choose too, in lower case."""


def tokenizer_files(visual: str, text: str | None = None, *, root: str | Path | None = None) -> tuple[Path, Path]:
    """Return the folder of the visual tokenizer and the file of the text tokenizer.

    Args:
        visual: a folder with the pair (itself or in its `visual_tokenizer`), one of `SHARED_NAMES`, `tiny-visual`, or a
            model's name; a folder by address (`s3://bucket/folder`) is brought here.
        text: the file; None is that beside the visual tokenizer, or the model's.
        root: the folder of checkpoints, see `ckpts_root`.

    Raises:
        ValueError: there is none of that name, or no file; says what brings it.
    """
    ckpts = ckpts_root(root)
    visual, text = str(local_folder(visual)), text and str(kept_copy(location_of(text)))
    places = (Path(visual), ckpts / visual, bundled_folder(visual))
    folder = next((pair for place in places if place is not None and (pair := _pair_in(place)) is not None), None)
    if folder is None and visual in SHARED_NAMES:
        folder = _pair_in(ckpts / SHARED_VISUAL_TOKENIZER)
        if folder is None:
            missing = f"{' and '.join(VISUAL_PAIR)} are not in {ckpts / SHARED_VISUAL_TOKENIZER}"
            raise ValueError(f"--visual_tokenizer {visual}: {missing}; run: lumos download {SHARED_NAMES[0]}")
    if folder is None and visual.lower() == CHAMELEON:
        raise ValueError(
            f"--visual_tokenizer {visual}: it codes single pictures with 8192 codes of its own, which no model of "
            f"Lumos-1 reads; give {SHARED_VISUAL_TOKENIZER.name}"
        )
    if folder is None:
        files = resolve(visual, root)
        folder, found = files.visual_tokenizer, Path(text) if text else files.text_tokenizer
    else:
        beside = [folder.parent / TEXT_TOKENIZER, folder.parent / "tokenizer" / TEXT_TOKENIZER]
        found = Path(text) if text else next((path for path in beside if path.is_file()), folder / TEXT_TOKENIZER)
    if not found.is_file():
        remedy = "give the text_tokenizer.json of the same model"
        if not text and folder == ckpts / SHARED_VISUAL_TOKENIZER:
            remedy = f"run: lumos download {SHARED_NAMES[0]}"
        raise ValueError(f"--text_tokenizer {found}: no such file; {remedy}")
    return folder, found


def has_released(root: str | Path | None = None) -> bool:
    """Whether the released pair and its text tokenizer are among the checkpoints."""
    ckpts = ckpts_root(root)
    return _pair_in(ckpts / SHARED_VISUAL_TOKENIZER) is not None and (ckpts / SHARED_TEXT_TOKENIZER).is_file()


def _pair_in(folder: Path) -> Path | None:
    """Return which of a folder and its `visual_tokenizer` holds the pair; None if neither."""
    places = (folder, folder / "visual_tokenizer")
    return next((place for place in places if (place / VISUAL_PAIR[0]).is_file()), None)
