"""`lumos look`: what is in a set of clips, a folder of outputs, or a CSV that is to be pre-tokenised."""

import argparse
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from lumos.cli.options.spelling import add_ckpts
from xllmx.run.exit_status import CHECK_FAILED
from xllmx.run.interrupt import loading
from xllmx.settings.number_range import Range, check_number

_NAMES_OF_TABLES = {"num": "--sheet_clips", "out": "--sheet", "device": "--device"}
"""Option of this command -> that of `python -m pre_tokenize --dry_run`; --model besides (`_decoder_words`)."""
_OF_SETS = ("read", "media", "ckpts")


def add_command(commands: Any) -> None:
    """Add the command to those of `lumos`."""
    command = commands.add_parser(
        "look",
        help="what is in a set of clips, a folder of outputs or a CSV",
        description="Counts, statistics and pictures of what is in a set of clips (source beside decoded) or a folder "
        "of outputs; of a CSV, the rows that pre-tokenisation would keep, and why not the others (further options are "
        "those of lumos tokenize, after the CSV). Nothing but --out is written.",
    )
    add = command.add_argument
    add(
        "path",
        type=Path,
        metavar="PATH",
        help="folder, index.json, .parquet, released record, list of files, data YAML, or CSV",
    )
    add("--num", type=int, metavar="N", help="clips or outputs that are shown (16; of a CSV on the sheet alone)")
    add("--out", type=Path, metavar="FILE", help="a contact sheet of those, .png")
    add("--read", type=int, metavar="N", help="clips that are read for captions, codes and latents (1000)")
    add(
        "--model",
        help="whose tokenizer or VAE decodes: a model, or a folder (default: the one that is recorded); of a list of "
        "videos, at whose sizes those are counted that training leaves out; of a CSV, whose codes or latents "
        "would be made",
    )
    add("--media", type=Path, metavar="FOLDER", help="where the sources are, if they are not where they were")
    add("--device", help="cpu, cuda, cuda:1 (default: a GPU if there is one)")
    add_ckpts(command)
    command.set_defaults(run=run)


def split_words(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The words of this command, and those after a CSV that are options of pre-tokenisation.

    >>> split_words(["a.csv", "--out", "a.png", "--target_size", "64"])
    (['a.csv', '--out', 'a.png'], ['--target_size', '64'])
    """
    own = [f"--{name}" for name in ("model", *_NAMES_OF_TABLES, *_OF_SETS)]
    before = [None, *words]
    tables = [n for n, word in enumerate(words) if word.lower().endswith(".csv") and before[n] not in own]
    if not tables:
        return list(words), []
    words = [words[tables[0]], *words[: tables[0]], *words[tables[0] + 1 :]]
    mine, theirs, place = [words[0]], [], 1
    while place < len(words):
        word = words[place]
        theirs += [word] if word == "--debug" else []
        if word in ("-h", "--help", "--debug") or word.partition("=")[0] in own:
            count = 2 if word in own else 1
            mine += words[place : place + count]
            place += count
        else:
            theirs.append(word)
            place += 1
    return mine, theirs


def run(options: argparse.Namespace) -> int:
    """Print what is there, and write the sheet that is asked for."""
    path: Path = options.path
    if path.suffix.lower() == ".csv":
        return _run_table(options)
    with loading("lumos"):
        from lumos.look.clips.code_clips import look_at_code_clips
        from lumos.look.clips.latent_clips import look_at_latent_clips
        from lumos.look.kind import kind_of
        from lumos.look.listed_files import look_at_listed_files
        from lumos.look.outputs import look_at_outputs
        from lumos.look.report import LookRequest
        from lumos.look.sheet import check_sheet, write_sheet

    given = {name: getattr(options, name) for name in ("num", "read", "model", "media", "device", "ckpts")}
    request = LookRequest(**{name: value for name, value in given.items() if value is not None})
    if request.media is not None and not request.media.is_dir():
        raise ValueError(f"--media {request.media} is no folder; give the one that the sources' paths count from")
    kind, found = kind_of(path)
    if options.out is not None:
        check_sheet(options.out, inputs={str(found): found})
        if not request.num:
            raise ValueError("--num is 0, and --out wants pictures; give at least 1")
    looks = {
        "codes": look_at_code_clips,
        "latents": look_at_latent_clips,
        "files": look_at_listed_files,
        "outputs": look_at_outputs,
    }
    report = looks[kind](found, request)
    if options.out is not None:
        check_sheet(options.out, inputs={f"one of the outputs ({file})": file for file in report.files})
    print("\n".join(report.lines))
    if options.out is None:
        return 0
    if not any(card.strips for card in report.cards):
        print("lumos look: no picture of these can be shown, and so there is no sheet", file=sys.stderr)
        return CHECK_FAILED
    write_sheet(options.out, report.cards, title=report.title)
    print(f"\n{options.out}: {len(report.cards)} of them in pictures")
    return 0


def _run_table(options: argparse.Namespace) -> int:
    """What pre-tokenisation would make of a CSV, by its own dry run."""
    from lumos.cli.tokenize import run as tokenize

    if options.num is not None:
        check_number("--num", int, options.num, Range(1, 400))
    for name in _OF_SETS:
        if getattr(options, name) is not None:
            raise ValueError(f"--{name} is for sets and outputs, and {options.path} is a CSV; leave it out")
    words = [f"--input_file={options.path}", "--dry_run"]
    for name, theirs in _NAMES_OF_TABLES.items():
        if (value := getattr(options, name)) is not None and (name != "num" or options.out is not None):
            words.append(f"{theirs}={value}")
    words += _decoder_words(options.model, options.of_tokenize)
    return tokenize([*words, *options.of_tokenize])


def _decoder_words(model: str | None, words: Sequence[str]) -> list[str]:
    """The words of pre-tokenisation that name a model; those `words` of its command line that say no product get one.

    A model of Lumina-Video is looked at for latents, any other for codes.
    """
    if model is None:
        return []
    told = " ".join(words).replace("=", " ").split()
    product = next((value for option, value in pairwise(told) if option == "--to"), None)
    if product is None and _is_lumina(model):
        return [f"--vae={model}", "--to=latents"]
    return [f"{'--vae' if product == 'latents' else '--visual_tokenizer'}={model}"]


def _is_lumina(model: str) -> bool:
    from lumos.hub.models import LUMINA_VIDEO, ckpts_root, find_folder, kind_of

    folder = find_folder(model, ckpts_root())
    try:
        return folder is not None and kind_of(folder) == LUMINA_VIDEO
    except ValueError:  # no model, or not a whole one: for who reads it to say
        return False
