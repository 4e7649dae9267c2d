"""What is said of a file that grows while it is made."""

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lumos.cli.jobs.runner import Planned
    from lumos.media.frame_stream import FrameStream


def told(say: Callable[[str], object]) -> Callable[["Planned", Path, "FrameStream"], None]:
    """Return what says, before a clip is begun, where it grows and how it is watched."""

    def on_begin(planned: "Planned", growing: Path, frames: "FrameStream") -> None:
        name = planned.job.name
        if frames.at_once:
            say(f"{name}  this model finishes all frames at once, at the end: there is nothing to watch before")
        else:
            say(f"{name}  grows in {growing}; to watch: mpv {shlex.quote(f'appending://{growing}')}")
        sys.stdout.flush()  # now, also where it is a pipe

    return on_begin
