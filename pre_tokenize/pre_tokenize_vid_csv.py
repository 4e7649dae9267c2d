"""The release's name of `python -m pre_tokenize`: one process, with the release's options or ours."""

import sys
from pathlib import Path

if not __package__:  # run as a file: the folder above holds the package
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pre_tokenize.__main__ import main

if __name__ == "__main__":
    sys.exit(main())
