"""Warnings meant for the person at the terminal, each said in one line as errors are, and no flood of them."""

import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

MOST_SAID = 3
"""Notices of one kind that a program says; a training may meet one with every sample."""


class Notice(UserWarning):
    """Something was done otherwise than asked, and how to have it as asked; the program goes on."""


@contextmanager
def saying_notices(say: Callable[[str], None]) -> Iterator[None]:
    """Within it notices go to `say`, at most `MOST_SAID` of a kind; other warnings are shown as before."""
    show, said = warnings.showwarning, Counter[type[Warning]]()

    def said_or_shown(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
        if not issubclass(category, Notice):
            show(message, category, *where, **more)
            return
        said[category] += 1
        if said[category] <= MOST_SAID:
            last = " (it is the last one of its kind that is said)" if said[category] == MOST_SAID else ""
            say(f"warning: {' '.join(str(message).split())}{last}")

    warnings.showwarning = said_or_shown
    try:
        yield
    finally:
        warnings.showwarning = show
