"""Warnings meant for the person at the terminal, each said in one line as errors are, and no flood of them."""

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

MOST_SAID = 3
"""Notices of one kind that are said at once; a training may meet one with every sample."""
PAUSE_S = 600.0
"""Seconds from one to the next after that: a server runs for weeks, and goes on saying them."""


class Notice(UserWarning):
    """Something was done otherwise than asked, and how to have it as asked; the program goes on."""


@dataclass
class _Kind:
    """What was said of one kind."""

    num_said: int = 0
    num_left_out: int = 0
    last_s: float = 0.0

    def line(self, message: str) -> str | None:
        """Return what to say of one more; None: nothing now."""
        now = time.monotonic()
        if self.num_said >= MOST_SAID and now - self.last_s < PAUSE_S:
            self.num_left_out += 1
            return None
        left_out = f" ({self.num_left_out} more of the kind were not said)" if self.num_left_out else ""
        self.num_said, self.num_left_out, self.last_s = self.num_said + 1, 0, now
        return f"warning: {' '.join(message.split())}{left_out}"


@contextmanager
def saying_notices(say: Callable[[str], None]) -> Iterator[None]:
    """Within it notices go to `say`, of each kind a few and then one now and then; other warnings are as before."""
    show, kinds = warnings.showwarning, dict[type[Warning], _Kind]()

    def said_or_shown(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
        if not issubclass(category, Notice):
            show(message, category, *where, **more)
        elif (line := kinds.setdefault(category, _Kind()).line(str(message))) is not None:
            say(line)

    warnings.showwarning = said_or_shown
    try:
        yield
    finally:
        warnings.showwarning = show
