"""The prompt lists of a benchmark: the official one, by which outputs are named and scored, and what a model sees."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from eval.prompts.sources import Source
from lumos.hub.bundled import checkout
from xllmx.safe.json_text import read_json, read_text, unwritable

FOLDER = Path(__file__).parent if checkout() else Path("eval/prompts")
"""Where the lists that are brought lie: in the checkout, or, without one, in the folder one works in."""

BUNDLED = Path(__file__).parent
"""Where the example lists lie, which come with the code."""

BRING = "bring the official one with `lumos evaluate prompts`"
"""What to do about a list that is none."""


@dataclass(frozen=True, kw_only=True)
class PromptLists:
    """Where the two lists of a benchmark come from, how they are called here, and how they are read."""

    benchmark: str
    official: Source
    """The list that its scorer goes by."""
    rewritten: Source
    """The long prompts that the released models were evaluated with."""
    names: tuple[str, ...]
    """Names under which the folder may hold the official list; the first is the one it is written under."""
    prompts_in: Callable[[str], list[str]]
    """Text of the official list -> its prompts."""
    long_in: Callable[[str], dict[str, str]]
    """Text of the released rewritten list -> {official prompt: long prompt}."""

    def official_path(self, folder: Path = FOLDER) -> Path:
        """Where the official list is written."""
        return folder / self.names[0]

    def long_path(self, folder: Path = FOLDER) -> Path:
        """Where the long prompts lie: json, {official prompt: long prompt}."""
        return folder / f"{self.benchmark}_long.json"

    def find(self, given: Path | None = None) -> Path:
        """The official list: the file given, or the one in eval/prompts; ValueError if there is none."""
        if given is not None:
            return given
        found = next((FOLDER / name for name in self.names if (FOLDER / name).is_file()), None)
        if found is None:
            raise ValueError(
                f"{FOLDER} has no official prompt file of {self.benchmark}: bring it with `lumos evaluate prompts`, "
                f"or give it with --prompts FILE"
            )
        return found


def read_list(path: Path) -> str:
    """The text of a list; ValueError that names a file that cannot be read."""
    if not path.exists():
        raise ValueError(f"cannot read the prompt file {path}: no such file; {BRING}")
    return read_text(path, remedy=BRING)


def foreign(path: Path, why: str, expected: str) -> ValueError:
    """The error for a file that is not the list expected."""
    return ValueError(f"{path} is not {expected}: {why}; bring the official one with `lumos evaluate prompts`")


def read_long(path: Path) -> dict[str, str]:
    """Official prompt -> long prompt; ValueError if the file holds no such map."""
    if not path.exists():
        raise ValueError(f"{path} is missing; run: lumos evaluate prompts, or ask for --short prompts")
    content = read_json(path, remedy="run: lumos evaluate prompts")
    if not isinstance(content, dict) or not all(isinstance(value, str) for value in content.values()):
        raise ValueError(f"{path} is no map {{official prompt: long prompt}}; run: lumos evaluate prompts")
    return content


def missing_long(prompts: Sequence[str], long: Mapping[str, str]) -> list[str]:
    """The prompts without a rewritten one."""
    return [prompt for prompt in prompts if not long.get(prompt, "").strip()]


def long_of(options: argparse.Namespace, lists: PromptLists, own: Mapping[str, str]) -> Path | Mapping[str, str] | None:
    """Where the rewritten prompts stand that a driver's options ask for; `own` are those of the official list itself.

    None where the official prompts are asked for.
    """
    return None if options.short else options.long or own or lists.long_path()


def texts_of(prompts: Sequence[str], long: Path | Mapping[str, str] | None) -> list[str]:
    """What the model sees of each official prompt: its rewritten one of `long`, or itself where that is None.

    Raises ValueError that names the prompts without a rewritten one.
    """
    if long is None:
        return list(prompts)
    rewritten = long if isinstance(long, Mapping) else read_long(long)
    named = "the list" if isinstance(long, Mapping) else str(long)
    if missing := missing_long(prompts, rewritten):
        names = ", ".join(map(repr, missing))
        raise ValueError(
            f"{named} has no rewritten prompt for {len(missing)} of {len(prompts)}: {names}; add them, or "
            "ask for --short prompts"
        )
    for prompt in prompts:
        if fault := unwritable(rewritten[prompt]):
            raise ValueError(f"{named}, {prompt!r}: {fault}; write it anew")
    return [rewritten[prompt] for prompt in prompts]
