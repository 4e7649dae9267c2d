"""What to say of an option that a training does not have: the flag that does it, what it is here, or where to look."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from difflib import get_close_matches

from lumos.cli.training.flags.flag import Flag
from lumos.lumina_video.training.task_config import ScaleTask
from xllmx.run.option_parser import NEAR

_WRITTEN_OUT = {"learning_rate": "lr"}
"""Names that others give a setting."""
_PAGES = {
    False: "lumos/lumos1/README.md, section 13",
    True: "lumos/lumina_video/README.md, section 6",
}
"""Where the flags of Lumos-1, and those of Lumina-Video, are listed."""


def remedy(
    word: str, flags: Mapping[str, Flag], *, own: Sequence[str], all_flags: Mapping[str, Flag], of_lumina: bool | None
) -> str:
    """Return what to do about an unknown option.

    Args:
        word: the option without hyphens in front.
        flags: those that may be meant, of one model where the other words say which.
        own: options of the program itself.
        all_flags: of both models.
        of_lumina: which model's flags these are; None: of both.
    """
    word = word.replace("-", "_")
    if (found := instead(word, flags, all_flags=all_flags, of_lumina=of_lumina is not False)) is not None:
        return f"it is {found}"
    names = [*flags, *(option.removeprefix("--") for option in own if option.startswith("--"))]
    if near := get_close_matches(word, names, n=1, cutoff=NEAR):
        return f"did you mean --{near[0]}?"
    pages = [page for lumina, page in _PAGES.items() if of_lumina in (None, lumina)]
    return f"lumos train --help and {' and '.join(pages)}, list those there are"


def instead(word: str, flags: Mapping[str, Flag], *, all_flags: Mapping[str, Flag], of_lumina: bool) -> str | None:
    """Return what an option that is none of `flags` is: one of them, or a key of a task; None: nothing.

    A flag does the same if it is the same setting: as the other model's flag of this name (`seed` is `global_seed`), or
    as the setting's own name says (`weight_decay` is `wd`, `save_every` is `ckpt_every`; `learning_rate` is `lr`).
    """
    word = _WRITTEN_OUT.get(word, word)
    key = all_flags[word].key if word in all_flags else None
    for name, flag in flags.items():
        if flag.key is not None and (flag.key == key or flag.key.rpartition(".")[2] == word):
            return f"--{name}"
    if of_lumina and word in {field.name for field in fields(ScaleTask)}:
        return (
            f"said of each task: as {word} in the file of --task_config, or as task.tasks.NAME.{word} ({_PAGES[True]})"
        )
    return None
