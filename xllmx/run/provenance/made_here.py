"""Whether a run is this user's own: its config.yaml is the very file that a training of theirs wrote where it lies now.

environment.json says which file that is: its number on the file system, and when it was last touched. Who sends a
folder can choose neither: what is unpacked, downloaded or copied gets others.
"""

import os
from pathlib import Path

from xllmx.safe.json_text import read_object

STATE = "config_file"
"""Where environment.json says it."""


def state_of(file: Path) -> list[int]:
    """Return what no copy of a file has of it: its number on the file system, and when it last changed, in ns."""
    found = file.lstat()
    return [found.st_ino, found.st_ctime_ns]


def is_made_here(config: Path, *, environment: Path) -> bool:
    """Whether a run's config is this user's, and in the state that the run's environment file says."""
    try:
        return config.lstat().st_uid == os.getuid() and read_object(environment).get(STATE) == state_of(config)
    except (OSError, ValueError):
        return False
