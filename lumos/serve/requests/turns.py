"""Few requests are read and checked at once, in threads of their own.

So pictures and clips that take long to read keep nobody waiting who asks how far a video is.
"""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

import anyio
from anyio.lowlevel import RunVar

_MOST = 8
"""Requests."""
_TURNS: RunVar[anyio.CapacityLimiter] = RunVar("turns")

Result = TypeVar("Result")


async def in_turn(read: Callable[..., Result], *args: object) -> Result:
    """Return what `read` returns for the arguments, in a thread, once it has its turn."""
    turns = _TURNS.get(None)
    if turns is None:
        turns = anyio.CapacityLimiter(_MOST)
        _TURNS.set(turns)
    return await anyio.to_thread.run_sync(partial(read, *args), limiter=turns)
