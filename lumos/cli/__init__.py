"""The command line: one file a command, one parser, the records and outputs they share."""

from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status of one command (`lumos.cli.commands`); what a command needs is imported when it runs."""
    from lumos.cli.commands import main as run

    return run(arguments)
