"""A file of a store as one that is open: parts of it are asked for where it is read, and asked for again if need be."""

import io
from collections.abc import Callable
from typing import Any


class Parts(io.RawIOBase):
    """The bytes of a file, of which none is kept; `io.BufferedReader` around it reads so many at once."""

    def __init__(self, read_part: Callable[[int, int], bytes], *, size: int) -> None:
        """Open it.

        Args:
            read_part: gives the bytes from one to another, all of them.
            size: of the file, in bytes.
        """
        super().__init__()
        self._read_part, self._size, self._at = read_part, size, 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """The byte that is read next."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Choose the byte that is read next; return it."""
        begin = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, begin + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Read as many bytes as the buffer takes and the file has."""
        stop = min(self._at + len(buffer), self._size)
        if stop <= self._at:
            return 0
        content = self._read_part(self._at, stop)
        buffer[: len(content)] = content
        self._at += len(content)
        return len(content)
