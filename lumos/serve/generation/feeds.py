"""What is to be seen of a job while it is made: frames and progress, for any number of viewers at their own pace.

The worker's thread publishes; viewers wait in the event loop. Frames are kept until the job is finished, once for all
viewers, so that one who comes late sees it from the beginning and one who is slow costs nothing.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial

import anyio


class Feed:
    """One job's frames so far."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: set[Callable[[], object]] = set()
        self._frames: list[bytes] = []
        self.version = 0
        """Another number after every change."""
        self.progress = 0.0
        """The share of the work that is done."""
        self.is_closed = False
        """Whether nothing more comes: the job is finished, deleted, or put back."""
        self.is_made = False
        """Whether something was or will be published."""
        self.num_watching = 0

    @property
    def num_frames(self) -> int:
        """Frames so far."""
        return len(self._frames)

    def frames_from(self, index: int) -> list[bytes]:
        """Return the encoded frames from one on."""
        return self._frames[index:]

    def add(self, frame: bytes) -> None:
        """Publish one more frame."""
        self._frames.append(frame)
        self._changed()

    def advance(self, progress: float) -> None:
        """Publish how far it is."""
        self.progress = progress
        self._changed()

    def close(self) -> None:
        """Publish that nothing more comes."""
        self.is_closed = True
        self._changed()

    async def wait(self, seen: int, *, patience_s: float) -> bool:
        """Return whether there is another version than the one seen, at the latest after some seconds."""
        changed = asyncio.Event()
        wake = partial(asyncio.get_running_loop().call_soon_threadsafe, changed.set)
        with self._lock:
            if self.version != seen:
                return True
            self._waiting.add(wake)
        try:
            with anyio.move_on_after(patience_s):
                await changed.wait()
            return changed.is_set()
        finally:
            with self._lock:
                self._waiting.discard(wake)

    def _changed(self) -> None:
        with self._lock:
            self.version += 1
            for wake in self._waiting:
                with suppress(RuntimeError):  # the loop has ended
                    wake()
            self._waiting.clear()


class Feeds:
    """The feeds of all unfinished jobs that somebody makes or watches."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._feeds: dict[str, Feed] = {}

    def of(self, job_id: str) -> Feed:
        """Return the feed of a job that is being made; it is there until `end`."""
        with self._lock:
            feed = self._feeds.setdefault(job_id, Feed())
            feed.is_made = True
            return feed

    @contextmanager
    def watched(self, job_id: str) -> Iterator[Feed]:
        """A context of one who watches a job: its feed, which goes with the last of them where nobody makes the job.

        So one who comes to a job that has just ended, or leaves one that waits, leaves nothing behind.
        """
        with self._lock:
            feed = self._feeds.setdefault(job_id, Feed())
            feed.num_watching += 1
        try:
            yield feed
        finally:
            with self._lock:
                feed.num_watching -= 1
                if not feed.num_watching and not feed.is_made and self._feeds.get(job_id) is feed:
                    del self._feeds[job_id]

    def find(self, job_id: str) -> Feed | None:
        """Return the feed of a job that has one."""
        with self._lock:
            return self._feeds.get(job_id)

    @property
    def number(self) -> int:
        """How many there are."""
        return len(self._feeds)

    def end(self, job_id: str) -> None:
        """Close the feed of a job; who still watches keeps it."""
        with self._lock:
            feed = self._feeds.pop(job_id, None)
        if feed is not None:
            feed.close()

    def end_all(self) -> None:
        """Close all feeds: the server ends."""
        for job_id in list(self._feeds):
            self.end(job_id)
