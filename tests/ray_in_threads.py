"""Ray as far as it is used here, in threads of this process: what actors do, without the seconds that Ray takes."""

import itertools
import pickle
import threading
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from types import SimpleNamespace
from typing import Any


class RayActorError(Exception):
    pass


class RayTaskError(Exception):
    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


class Actor:
    """An object with threads of its own; what goes in and out is pickled, as on the way to another process."""

    def __init__(self, make: Any, threads: int) -> None:
        self._pool, self._object, self._make = ThreadPoolExecutor(threads), None, make
        self._pending: list[Future[Any]] = []
        self._lock = threading.Lock()
        self.dead = False

    def __getattr__(self, name: str) -> Any:
        return SimpleNamespace(remote=lambda *args: self._ask(name, args))

    def _ask(self, name: str, args: tuple[Any, ...]) -> "Future[Any]":
        future: Future[Any] = Future()
        with self._lock:
            if self.dead:
                future.set_exception(RayActorError("The actor is dead"))
                return future
            self._pending.append(future)
        words = pickle.dumps(args)
        self._pool.submit(self._work, future, name, words)
        return future

    def _work(self, future: "Future[Any]", name: str, words: bytes) -> None:
        try:
            with self._lock:
                self._object = self._object or self._make()
            outcome = pickle.loads(pickle.dumps(getattr(self._object, name)(*pickle.loads(words))))
        except SystemExit:  # stands for the death of the process
            self.kill()
            return
        except Exception as error:
            self._end(future, RayTaskError(pickle.loads(pickle.dumps(error))))
        else:
            self._end(future, outcome)

    def _end(self, future: "Future[Any]", outcome: Any) -> None:
        with self._lock:
            if not future.done():
                (future.set_exception if isinstance(outcome, Exception) else future.set_result)(outcome)

    def kill(self) -> None:
        with self._lock:
            self.dead = True
            for future in self._pending:
                if not future.done():
                    future.set_exception(RayActorError("The actor died unexpectedly"))


class RayInThreads:
    """Stands in the place of the package."""

    __spec__ = SimpleNamespace(name="ray")
    exceptions = SimpleNamespace(
        RayTaskError=RayTaskError,
        **dict.fromkeys(("RayActorError", "ObjectLostError", "NodeDiedError", "OutOfMemoryError"), RayActorError),
    )

    def __init__(self, cpus: int = 2) -> None:
        self.cpus, self.actors = cpus, list[tuple[str, Actor]]()

    def is_initialized(self) -> bool:
        return True

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": float(self.cpus)}

    def put(self, value: Any) -> bytes:
        return pickle.dumps(value)

    def remote(self, *, max_concurrency: int = 1, **room: Any) -> Any:
        def kind(cls: type) -> Any:
            def start(*args: Any, **words: Any) -> Actor:
                given = [pickle.loads(one) if isinstance(one, bytes) else one for one in args]
                actor = Actor(lambda: cls(*given, **words), max_concurrency)
                self.actors.append((cls.__name__, actor))
                return actor

            return SimpleNamespace(remote=start)

        return kind

    def get(self, reference: "Future[Any]") -> Any:
        return reference.result(timeout=60)

    def wait(self, references: list[Any], *, num_returns: int, timeout: float) -> tuple[list[Any], list[Any]]:
        done, _ = wait_for(references, timeout=timeout, return_when=FIRST_COMPLETED)
        ready = list(itertools.islice((one for one in references if one in done), num_returns))
        return ready, [one for one in references if one not in ready]

    def kill(self, actor: Actor) -> None:
        actor.kill()

    def kill_all(self, kind: str) -> int:
        """How many living actors of a class there were; they are dead now."""
        living = [actor for name, actor in self.actors if name == kind and not actor.dead]
        for actor in living:
            actor.kill()
        return len(living)
