"""A pickle gone through with stand-ins for all that it names: what it would put together, before anything is made.

Nothing of it runs, and no key is hashed before it was looked at: the hash of a tuple goes through the tuples in it, one
within another without end of the stack, or one twice in another for years; whole numbers beyond 64 bits may all have
the same.
"""

import io
import pickle
from collections.abc import Callable
from typing import Any, ClassVar

_MOST_KEY = 2**64
_PLAIN_KEYS = (str, float, bool, type(None))
_MOST_PARTS = 8
"""Of a key that is a tuple."""

_Slow: Any = pickle._Unpickler  # type: ignore[attr-defined]  # the one of Python, whose instructions can be replaced


class Named:
    """Stands for a name that a pickle asks for; calling it is noted."""

    def __init__(self, name: str, noted: Callable[[str, tuple[Any, ...]], None] | None) -> None:
        """Take the name, as module.name, and what is told of calls."""
        self.name, self._noted = name, noted

    def __call__(self, *words: Any) -> "Made":
        """Return what stands for the result."""
        if self._noted is not None:
            self._noted(self.name, words)
        return Made()


class Made(dict[Any, Any]):
    """Stands for what a call makes, which may be filled like a dict."""

    def __setstate__(self, state: Any) -> None:
        """Let a state be: what stands in it has been gone through."""


class Instance:
    """Stands for an object of a class, which is a key by itself."""

    def __setstate__(self, state: Any) -> None: ...


class Rehearsal(_Slow):  # type: ignore[misc]  # a class of Python that its stubs leave out
    """Goes through one pickle, whose instructions `plain_pickle.check_pickle` has looked at."""

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = dict(_Slow.dispatch)

    def __init__(self, content: bytes) -> None:
        """Take the pickle."""
        super().__init__(io.BytesIO(content))

    def rehearse(self) -> None:
        """Go through it.

        Raises:
            ValueError: it is damaged, or a key is what no honest file has.
        """
        try:
            self.load()
        except Exception as error:  # hostile bytes may raise anything
            reason = " ".join(str(error).split())[:200]
            raise ValueError(reason if type(error) is ValueError else f"it is damaged: {reason}") from error

    def find_class(self, module: str, name: str) -> Named:
        """Return a stand-in of any name."""
        return Named(f"{module}.{name}", self.noted)

    def persistent_load(self, reference: Any) -> Any:
        """Return what stands for something outside the pickle."""
        return Made()

    def noted(self, name: str, words: tuple[Any, ...]) -> None:
        """Hear of a call; ValueError where it may not be."""

    def new(self, kind: Any) -> Instance:
        """Return what stands for an object of a class; ValueError where there may be none."""
        return Instance()

    def built(self, thing: Any) -> None:
        """Hear of a thing that is changed after it was made; ValueError where it may not be."""

    def _new(self) -> None:
        self.stack.pop()
        self.stack[-1] = self.new(self.stack[-1])

    def _build(self) -> None:
        self.built(self.stack[-2])
        _Slow.load_build(self)

    def _dict(self) -> None:
        items = self.pop_mark()
        self.stack.append({})
        self._set(items)

    def _set_one(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._set([key, value])

    def _set_all(self) -> None:
        self._set(self.pop_mark())

    def _set(self, items: list[Any]) -> None:
        for key, value in zip(items[::2], items[1::2], strict=True):
            _check_key(key)
            self.stack[-1][key] = value

    dispatch |= {
        pickle.NEWOBJ[0]: _new, pickle.BUILD[0]: _build,
        pickle.DICT[0]: _dict, pickle.SETITEM[0]: _set_one, pickle.SETITEMS[0]: _set_all,
    }  # fmt: skip


def _check_key(key: Any) -> None:
    if type(key) is tuple and len(key) <= _MOST_PARTS:
        if any(isinstance(part, tuple) for part in key):
            raise ValueError("a key of its dicts is a tuple of tuples, and only texts, numbers or a few of them may be")
        for part in key:
            _check_key(part)
        return
    if type(key) is int and abs(key) >= _MOST_KEY:
        raise ValueError("a key of its dicts is a whole number of too many digits")
    if not isinstance(key, (*_PLAIN_KEYS, int, Instance)):
        kind = type(key).__name__
        raise ValueError(f"a key of its dicts is a {kind}, and only texts, numbers or a few of them may be")
