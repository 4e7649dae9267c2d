"""The console script `lumos`: words of a command line -> one of its commands, each in a file of its own.

    lumos generate --prompt "a red circle moves to the right"
    lumos train --config configs/train/quickstart.yaml trainer.max_steps=100
    lumos look FOLDER --out sheet.png
    lumos plot RUN
    lumos export RUN FOLDER
    lumos evaluate shapes run --out outputs/shapes
    lumos serve
    lumos download NAME
    lumos doctor

Exit status: `xllmx.run.exit_status`. What a command needs is imported when it runs, so that `--help` and mistakes
answer at once.
"""

from xllmx.run.interrupt import loading

with loading("lumos"):
    import argparse
    import sys
    from collections.abc import Callable, Sequence

    from lumos import __version__
    from lumos.cli import doctor, download, evaluate, export, generate, look, plot, serve, tokenize, train
    from lumos.cli.options.spelling import said_as_options
    from xllmx.run.exit_status import DEBUG, status_of
    from xllmx.run.option_parser import OptionParser


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status of one command."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    return status_of("lumos", lambda: _main(words), words=words, stopped="stopped; what was finished is kept")


def parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = OptionParser(prog="lumos", description="Images and videos from prompts, and what belongs to it.")
    parser.add_argument("--version", action="version", version=f"lumos {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for command in (generate, train, tokenize, look, evaluate, plot, export, serve, download, doctor):
        command.add_command(commands)
    return parser


def _main(words: Sequence[str]) -> int:
    words = _debug_behind(words)
    if words[:1] == ["tokenize"]:  # its options are its own
        return tokenize.run(words[1:])
    if words[:1] == ["evaluate"] and words[1:] and not words[1].startswith("-"):
        return evaluate.run(words[1:])
    if words[:1] == ["train"] and any(word.startswith("--") for word in words):
        words = ["train", *_train_words(words[1:])]
    of_tokenize: list[str] = []
    if words[:1] == ["look"]:  # after a CSV there may be options of pre-tokenisation
        own, of_tokenize = look.split_words(words[1:])
        words = ["look", *own]
    options = parser().parse_args(words)
    options.of_tokenize = of_tokenize
    run: Callable[[argparse.Namespace], int] = options.run
    with said_as_options(vars(options)):
        return run(options)


def _debug_behind(words: Sequence[str]) -> Sequence[str]:
    """The words with a --debug that stands before the command behind it, where every command has it."""
    before = next((place for place, word in enumerate(words) if word != DEBUG), len(words))
    rest = list(words[before:])
    end = rest.index("--") if "--" in rest else len(rest)
    return [*rest[:end], DEBUG, *rest[end:]] if before and rest else words


def _train_words(words: Sequence[str]) -> list[str]:
    """The words of `lumos train`, with the flags of the release turned into settings, and said."""
    from lumos.cli.training.flags.released_flags import translated

    found = translated(words, own=train.OPTIONS)
    found.say()
    return found.words
