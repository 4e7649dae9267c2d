"""What a driver says and does before anything is loaded: which model, whether the lists are there, who will score."""

import argparse
from collections.abc import Callable, Sequence

from eval.prompts.lists import FOLDER, PromptLists
from eval.prompts.sources import Source
from lumos.hub.models import DEFAULT_MODEL, ckpts_root, find_folder

IMAGES, VIDEOS = "3B/stage-1-image", "3B/stage-2-joint-384p"
"""The models that the released commands sample with."""

CUSTOM_MODELS = {"t2i": IMAGES, "t2v": VIDEOS, "i2v": VIDEOS}
"""Task -> model, for lists of one's own."""


def say_model(options: argparse.Namespace, released: str, *, program: str) -> None:
    """Fill `options.model` where none is given, and say which it is: the one of the release if it is here.

    Args:
        options: of a driver; `worker` is this process, of which the first of a machine speaks.
        released: the model that the released command samples with.
        program: what the line begins with.
    """
    if options.model is not None:
        return
    ckpts = ckpts_root(options.ckpts)
    is_here = find_folder(released, ckpts) is not None
    options.model = released if is_here else DEFAULT_MODEL
    why = "as released" if is_here else f"the bundled one: {released}, as released, is not in {ckpts}"
    remedy = "--model takes another" if is_here else f"run: lumos download {released}, or name one with --model"
    _say(options, f"{program}: the model is {options.model}, {why}; {remedy}")


def needs_list(options: argparse.Namespace, lists: PromptLists) -> bool:
    """Whether the official list of a benchmark is neither given nor here."""
    return options.prompts is None and not any((FOLDER / name).is_file() for name in lists.names)


def bring_lists(
    options: argparse.Namespace, lists: PromptLists, *, program: str, bring: Callable[..., object] | None = None
) -> None:
    """Bring the lists of a benchmark that are neither given nor here, and say so; a dry run says it, and brings none.

    A dry run without the rewritten prompts goes by the official ones, if these are here.

    Raises ValueError that says what could not be had, and what to type.
    """
    needs_long = not (options.short or options.long or options.prompts)
    is_missing = needs_list(options, lists)
    lacks_long = needs_long and not lists.long_path().is_file()
    if not is_missing and not lacks_long:
        return
    if options.dry_run:
        _say(
            options, f"{program}: {_would_bring(lists, [lists.official] * is_missing + [lists.rewritten] * lacks_long)}"
        )
        options.short = options.short or (lacks_long and not is_missing)
        return
    if bring is None:
        from eval.prompts import __main__ as prompts

        bring = prompts.bring
    command = f"lumos evaluate prompts {lists.benchmark}"
    _say(options, f"{program}: the prompts of {lists.benchmark} are not in {FOLDER}; bringing them: {command}")
    try:
        bring([lists.benchmark], places=[FOLDER], short=not needs_long)
    except (ValueError, OSError) as error:
        if not is_missing:  # the list may hold long prompts itself, as the released ones do; if not, that is said next
            return
        remedy = f"{command} --from FOLDER takes them from a folder, or give the list itself with --prompts FILE"
        raise ValueError(
            f"the prompts of {lists.benchmark} are missing and could not be brought: {error}; {remedy}"
        ) from error


def _would_bring(lists: PromptLists, sources: Sequence[Source]) -> str:
    """What a run would bring from the network, said by a dry run, which does not."""
    files = ", ".join(f"{one.name} ({one.size / 1000:.0f} kB, github.com/{one.repository})" for one in sources)
    return (
        f"{files} would be brought to {FOLDER} first, by: lumos evaluate prompts {lists.benchmark}; "
        f"a dry run brings nothing, and reckons with other prompts in their place"
    )


def _say(options: argparse.Namespace, line: str) -> None:
    if options.worker.local_rank == 0:
        print(line, flush=True)
