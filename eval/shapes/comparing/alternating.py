"""Costs of several models measured beside each other: each in a process of its own, a clip of each in turn.

What else the machine does in the meantime slows all of them alike, and the memory of each is its own.
"""

import signal
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

from eval.shapes.comparing.cost import Cost, MeasuredModel
from eval.shapes.prompts import Record, make_prompts


@dataclass(frozen=True, kw_only=True)
class Sampled:
    """A model, and what it is called with."""

    model: str
    settings: Mapping[str, Any] = field(default_factory=dict)


def measure_alternately(sampled: Sequence[Sampled], *, repeats: int) -> list[Cost]:
    """Return the cost of a clip of each, by `repeats` clips after one to warm up; all make the same prompts.

    Raises:
        RuntimeError: one of the processes ended; what it said is on standard error.
    """
    records = make_prompts("t2v", repeats + 1, seed=0)[1:]
    with ExitStack() as stack:
        ends = [_begun(one, stack) for one in sampled]
        for end in ends:  # one at a time: the weights are read, and the first clip is made
            _ask(end, None)
        for record in records:
            for end in ends:
                _ask(end, record)
        return [_ask(end, "cost") for end in ends]


def _begun(sampled: Sampled, stack: ExitStack) -> Connection:
    """This process's end of what it is talked to through; it is ended with the stack."""
    spawn = get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=_work, args=(theirs, sampled), daemon=True)
    process.start()
    theirs.close()
    stack.callback(process.join)
    stack.callback(process.terminate)
    return ours


def _ask(end: Connection, what: Record | str | None) -> Any:
    try:
        end.send(what)
        return end.recv()
    except (EOFError, OSError) as error:
        raise RuntimeError("a process that measures one of the models ended; see above") from error


def _work(end: Connection, sampled: Sampled) -> None:
    """Load the model when first asked, then make a clip of every record; in the end the cost."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches both: the one that started this ends it
    end.recv()
    measured = MeasuredModel(sampled.model, settings=sampled.settings)
    end.send(None)
    while isinstance(record := end.recv(), Record):
        end.send(measured.make(record))
    end.send(measured.cost())
