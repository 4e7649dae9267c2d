"""The release's example of images, in one process a GPU; with options, those of `run_tokenization.sh`."""

import sys
from collections.abc import Sequence
from pathlib import Path

if not __package__:  # run as a file: the folder above holds the package
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pre_tokenize.example import tokenize
from xllmx.run.exit_status import status_of


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status (`xllmx.run.exit_status`)."""
    return status_of("parallel_tokenization_image", lambda: tokenize("image", arguments), words=arguments)


if __name__ == "__main__":
    sys.exit(main())
