"""Loops of a TorchScript program: how often each turns is known before it runs, or the program is refused.

Torch's own layers loop over dimensions and over lists; `while`, and counts that are computed from values of tensors, no
tokenizer needs. A count that a function is given is looked for where it is called.
"""

from collections.abc import Iterator, Mapping
from typing import Any

MOST_TURNS = 10_000
_OF_A_LIST = 64
"""What the length of a list or a number of dimensions is counted as."""

_LENGTHS = ("aten::len", "aten::dim")
_OF_TWO = ("aten::sub", "aten::add", "prim::min", "prim::max")
_MOST_STEPS = 50


def counted_nodes(functions: Mapping[str, Any]) -> dict[str, list[tuple[Any, int]]]:
    """Return the nodes of every graph, those inside branches and loops too, each with how often it runs in one call.

    Raises:
        ValueError: how often a loop turns is not known, or beyond `MOST_TURNS`; one line without the name of the file.
    """
    counts = _Counts(functions)
    return {name: list(counts.nodes(name)) for name in functions}


def called(node: Any) -> str | None:
    """Return the function that a node calls, by its whole name."""
    if node.kind() == "prim::CallFunction":
        return str(node.inputsAt(0).type())
    if node.kind() == "prim::CallMethod":
        return f"{node.inputsAt(0).type().annotation_str}.{node.s('name')}"
    return None


class _Counts:
    def __init__(self, functions: Mapping[str, Any]) -> None:
        self._graphs = {name: function.graph for name, function in functions.items()}
        self._callers: dict[str, list[tuple[str, Any]]] = {}
        for name, graph in self._graphs.items():
            for node in _flat(graph):
                if (callee := called(node)) is not None:
                    self._callers.setdefault(callee, []).append((name, node))

    def nodes(self, name: str) -> Iterator[tuple[Any, int]]:
        """Yield the nodes of one function, each with how often it runs in a call of it."""
        waiting = [(self._graphs[name], 1)]
        while waiting:
            block, times = waiting.pop()
            for node in block.nodes():
                yield node, times
                turns = self._turns(name, node) if node.kind() == "prim::Loop" else 1
                waiting += [(inner, times * turns) for inner in node.blocks()]

    def _turns(self, name: str, loop: Any) -> int:
        (body,) = loop.blocks()
        goes_on = (loop.inputsAt(1), next(iter(body.outputs())))
        most = self._most(name, loop.inputsAt(0), _MOST_STEPS) if all(map(_is_true, goes_on)) else None
        where = name.removeprefix("__torch__.")
        if most is None:
            raise ValueError(f"it has a loop that may turn without end (in {where}), which no tokenizer needs")
        if most > MOST_TURNS:
            raise ValueError(f"it has a loop of more than {MOST_TURNS} turns (in {where}), which no tokenizer needs")
        return most

    def _most(self, name: str, value: Any, steps: int) -> int | None:
        """Return what a whole number of a function is at most, None where that is not known."""
        node = value.node()
        kind, inputs = node.kind(), list(node.inputs())
        if steps == 0:
            return None
        if kind == "prim::Constant":
            constant = value.toIValue()
            return abs(constant) if isinstance(constant, int) else None
        if kind in _LENGTHS:
            return _OF_A_LIST
        if kind == "prim::Param":
            return self._given(name, value, steps - 1)
        if kind == "aten::__range_length":  # of (start, end, step): a step of more than one turns less often
            inputs = inputs[:2]
        elif kind == "aten::floordiv":
            inputs = inputs[:1]
        elif kind not in _OF_TWO or len(inputs) != 2:
            return None
        found = [self._most(name, one, steps - 1) for one in inputs]
        if None in found:
            return None
        return sum(one for one in found if one is not None)

    def _given(self, name: str, value: Any, steps: int) -> int | None:
        """Return what a parameter is at most, over all calls; None where nobody here calls."""
        places = [
            index for index, one in enumerate(self._graphs[name].inputs()) if one.debugName() == value.debugName()
        ]
        callers = self._callers.get(name, [])
        if not places or not callers:
            return None
        most = 0
        for caller, node in callers:
            shift = 1 if node.kind() == "prim::CallFunction" else 0  # the function itself comes first
            found = self._most(caller, node.inputsAt(places[0] + shift), steps)
            if found is None:
                return None
            most = max(most, found)
        return most


def _flat(graph: Any) -> Iterator[Any]:
    waiting = [graph]
    while waiting:
        for node in waiting.pop().nodes():
            yield node
            waiting += node.blocks()


def _is_true(value: Any) -> bool:
    return value.node().kind() == "prim::Constant" and value.toIValue() in (True, 1)
