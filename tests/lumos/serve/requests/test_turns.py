"""Requests that take long to read keep nobody waiting who asks for something else."""

import threading

import anyio
from starlette.concurrency import run_in_threadpool

from lumos.serve.requests.turns import in_turn


def test_many_that_take_long_leave_threads_to_the_rest() -> None:
    gate, full, lock, inside, most = threading.Event(), threading.Event(), threading.Lock(), 0, 0

    def read() -> int:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
            if inside == 8:
                full.set()
        gate.wait(20)
        with lock:
            inside -= 1
        return 7

    results = list[int]()

    async def ask() -> None:
        results.append(await in_turn(read))

    async def run() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(60):
                group.start_soon(ask)
            with anyio.fail_after(10):
                assert await run_in_threadpool(lambda: 3) == 3
            assert await run_in_threadpool(full.wait, 20)
            gate.set()

    anyio.run(run)
    assert (results, most) == ([7] * 60, 8)
