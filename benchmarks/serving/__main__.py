"""`python -m benchmarks.serving`: a real server under many clients, bad requests and kills; is anything lost?

A third of the requests is bad or given up midway (`benchmarks.serving.requests`). The server is killed (SIGKILL) and
started again while they come, in the first half of them, so that its last life is long enough to show what it holds on
to. Ends with status 1 where something is wrong.
"""

import argparse
import asyncio
import dataclasses
import json
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import httpx

from benchmarks.report import machine_facts, output_file
from benchmarks.serving.book import Book
from benchmarks.serving.checking import damaged, growth, left_over, stored_jobs, unlike_alone, wrong_jobs
from benchmarks.serving.clients import TOO_LARGE_MIB, Clients
from benchmarks.serving.process import Sample, Server
from benchmarks.serving.requests import asks_of
from lumos.cli.models.door import find_model
from lumos.cli.serving.loaded_models import loaded
from lumos.hub.models import DEFAULT_MODEL
from xllmx.disk.files import write_text
from xllmx.run.exit_status import status_of
from xllmx.run.option_parser import OptionParser
from xllmx.settings.number_range import COUNT, Range, check_number

_MOST_QUEUED = 12
"""Fewer than clients, so that some are told to come again."""
_SAMPLE_S, _PATIENCE_S, _SIGTERM_STATUS = 1.0, 120.0, 143


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status (`xllmx.run.exit_status`)."""
    return status_of("benchmarks.serving", lambda: _main(_parser().parse_args(arguments)), words=arguments)


def _main(args: argparse.Namespace) -> int:
    """Measure, check, print and write."""
    for name in ("requests", "clients"):
        check_number(name, Annotated[int, COUNT], getattr(args, name))
    check_number("kills", Annotated[int, Range(0, 4)], args.kills)
    book, samples, began = Book(), list[Sample](), time.monotonic()
    with TemporaryDirectory(prefix="lumos-serving-") as folder:
        words = ["--most-queued", str(_MOST_QUEUED), "--most-upload-mib", str(TOO_LARGE_MIB)]
        server = Server(Path(folder) / "data", log=Path(folder) / "log.txt", words=words)
        try:
            asyncio.run(_load(server, args, book=book, samples=samples))
            took_s = time.monotonic() - began
            wrong = [*book.wrong, *_ended(server)]
        finally:
            server.kill()
        found, alone = _checked(server.data, book)
        wrong += found
    report = _report(args, book, samples, wrong=wrong)
    report["notes"] |= {"seconds": round(took_s), "clips made alone to compare": alone}
    _print(report)
    if args.out is not None:
        write_text(args.out, json.dumps(report, indent=2) + "\n")
    return 1 if wrong else 0


async def _load(server: Server, args: argparse.Namespace, *, book: Book, samples: list[Sample]) -> None:
    """Have all clients do all requests, the server killed in between."""
    asks = asks_of(args.requests, seed=args.seed)
    server.start()
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=args.clients)
    async with httpx.AsyncClient(base_url=server.address, timeout=httpx.Timeout(None), limits=limits) as http:
        clients = Clients(http, book)
        looking = asyncio.create_task(_look(server, book, samples))
        working = asyncio.gather(_kill(server, args, book=book), *(clients.work(asks) for _ in range(args.clients)))
        either: set[asyncio.Future[Any]] = {looking, working}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if looking.done():  # the server has ended by itself
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
            looking.result()
        await working
        await _settled(http, book)
        looking.cancel()


async def _kill(server: Server, args: argparse.Namespace, *, book: Book) -> None:
    """Kill the server, and start it again, after numbers of requests that the seed draws."""
    drawn = random.Random(args.seed)
    for after in sorted(drawn.sample(range(1, max(args.kills, args.requests // 2) + 1), args.kills)):
        while book.done < after:
            await asyncio.sleep(0.05)
        await asyncio.sleep(drawn.uniform(0, 1))
        await asyncio.to_thread(server.kill)
        book.times["server", "done"].append(await asyncio.to_thread(server.start))


async def _look(server: Server, book: Book, samples: list[Sample]) -> None:
    life, before = 0, 0
    while True:
        server.check()
        if server.life != life:
            life, before = server.life, book.done
        if (sample := server.sample(jobs=book.done - before)) is not None:
            samples.append(sample)
        await asyncio.sleep(_SAMPLE_S)


async def _settled(http: httpx.AsyncClient, book: Book) -> None:
    """Wait until the server has nothing to do."""
    end = time.monotonic() + _PATIENCE_S
    while time.monotonic() < end:
        state = (await http.get("/health")).json()
        if state["queued"] == state["in_progress"] == 0:
            await asyncio.sleep(2 * _SAMPLE_S)  # one more look at what it holds
            return
        await asyncio.sleep(_SAMPLE_S)
    book.wrong.append(f"the queue does not become empty: {state}")


def _ended(server: Server) -> list[str]:
    status = server.stop()
    wrong = [] if status == _SIGTERM_STATUS else [f"SIGTERM ended it with {status}"]
    return wrong + [f"the server's log has: {line}" for line in server.mistakes()]


def _checked(data: Path, book: Book) -> tuple[list[str], int]:
    """Return what is wrong with what is kept, and how many clips were made alone to find out."""
    if wrong := damaged(data / "jobs.sqlite3"):
        return wrong, 0
    jobs = stored_jobs(data)
    wrong = wrong_jobs(book.accepted.values(), {job.id: job.status for job in jobs})
    wrong += left_over(data, jobs)
    model = loaded(DEFAULT_MODEL, find_model(DEFAULT_MODEL))
    unlike, alone = unlike_alone(model, data, jobs, scratch=data.parent)
    return wrong + unlike, alone


def _report(args: argparse.Namespace, book: Book, samples: list[Sample], *, wrong: list[str]) -> dict[str, Any]:
    return {
        "title": f"{args.requests} requests of {args.clients} clients, {args.kills} kills",
        "command": " ".join(["python", *sys.orig_argv[1:]]),
        "machine": machine_facts(),
        "seconds (number, median, 95 %)": book.latencies(),
        "held": growth(samples),
        "samples (life, requests, MiB, files, threads)": [dataclasses.astuple(one) for one in samples],
        "notes": {"accepted": len(book.accepted), **dict(sorted(book.counted.items()))},
        "wrong": wrong,
    }


def _print(report: dict[str, Any]) -> None:
    print(f"\n{report['title']}\n" + ", ".join(f"{name} {value}" for name, value in report["machine"].items()))
    print(f"{'':18} {'':12} {'number':>6} {'p50 s':>8} {'p95 s':>8}")
    for kind, rows in report["seconds (number, median, 95 %)"].items():
        for what, (number, middle, late) in rows.items():
            print(f"{kind:18} {what:12} {number:6} {middle:8.2f} {late:8.2f}")
    for name, value in {**(report["held"] or {"memory": "too few requests to say"}), **report["notes"]}.items():
        print(f"{name}: {value}")
    print(f"wrong: {len(report['wrong'])}" + "".join(f"\n  {line}" for line in report["wrong"]))


def _parser() -> argparse.ArgumentParser:
    parser = OptionParser(prog="python -m benchmarks.serving", description=__doc__)
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--kills", type=int, default=3, help="0 to 4: a job in work at five is given up (default 3)")
    parser.add_argument("--seed", type=int, default=0, help="draws the requests and the kills")
    parser.add_argument("--out", type=output_file, help="json file")
    return parser


if __name__ == "__main__":
    sys.exit(main())
