"""A long sequence of texts in one buffer: of ten million names the bytes and 8 more of each, and no object."""

from array import array
from collections.abc import Iterable, Sequence
from typing import overload

_KEEP = "surrogatepass"
"""A name of a file may hold what is no UTF-8."""


class Texts(Sequence[str]):
    """Texts in UTF-8, one behind the other; each is made when it is asked for."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._bytes, self._ends = bytearray(), array("q", [0])
        for text in texts:
            self.append(text)

    def append(self, text: str) -> None:
        """Add a text at the end."""
        self._bytes += text.encode("utf-8", _KEEP)
        self._ends.append(len(self._bytes))

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> "Texts": ...
    def __getitem__(self, index: int | slice) -> "str | Texts":
        """Return a text, or those of a slice."""
        if isinstance(index, slice):
            return Texts(self[place] for place in range(*index.indices(len(self))))
        place = range(len(self))[index]
        return self._bytes[self._ends[place] : self._ends[place + 1]].decode("utf-8", _KEEP)
