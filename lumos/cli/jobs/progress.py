"""How far a list of outputs is: a bar on a terminal, and a line with the time now and then where there is none.

    lumos: 41% (clips 1 to 8 of 20, 8 at once), 0:31 so far, about 0:44 to go

The whole is known before: units of work (refinements, Euler steps) of all clips that are made. Standard output has a
line for each output and nothing else; all of this goes to standard error.
"""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from lumos.cli.jobs.runner import Made, Plan, Planned, run_jobs
from lumos.cli.jobs.streaming import OnBegin, stream_jobs

if TYPE_CHECKING:
    from lumos.cli.jobs.ray_jobs import RayJobs
    from lumos.cli.models.kind import Model

EVERY_S = 10.0
"""Between two lines where there is no terminal."""


class Progress:
    """Work of known size under way, a context manager; its clock starts with the first batch, after the loading."""

    def __init__(self, *, program: str, total: int, unit: str, quiet: bool = False) -> None:
        """Take the size of the work; `quiet` says nothing but what `say` is given."""
        self._program, self._total, self._unit, self._quiet = program, total, unit, quiet
        self._bar: tqdm | None = None
        self._done, self._what = 0, ""
        self._start: float | None = None
        self._last = 0.0

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    @property
    def done(self) -> int:
        """Units of the work that are done."""
        return self._done

    def begin(self, what: str) -> None:
        """Say what is being made from here on."""
        self._what = what
        if self._start is None:
            self._start = self._last = time.monotonic()
        if self._quiet or not sys.stderr.isatty():
            return
        if self._bar is None:
            self._bar = tqdm(
                total=self._total, unit=self._unit, leave=False, dynamic_ncols=True, file=sys.stderr, miniters=1
            )
        self._bar.set_description(what)

    def advance(self, number: int) -> None:
        """Count units of work that are done, and show it."""
        self._done += number
        if self._bar is not None:
            self._bar.update(number)
        elif not self._quiet and self._start is not None and time.monotonic() - self._last >= EVERY_S:
            self._last = time.monotonic()
            print(f"{self._program}: {self._told(self._last - self._start)}", file=sys.stderr, flush=True)

    def say(self, line: str) -> None:
        """Print a line on standard output, above the bar where there is one."""
        if self._bar is not None:
            self._bar.write(line)
        else:
            print(line, flush=True)

    def _told(self, elapsed_s: float) -> str:
        left_s = elapsed_s * (self._total - self._done) / max(1, self._done)
        share = self._done / max(1, self._total)
        return f"{share:.0%} ({self._what}), {_clock(elapsed_s)} so far, about {_clock(left_s)} to go"


@contextmanager
def making(
    plan: Plan,
    model: "Model",
    *,
    program: str,
    quiet: bool = False,
    on_begin: OnBegin | None = None,
    engine: "RayJobs | None" = None,
) -> Iterator[tuple[Progress, Iterator[Made]]]:
    """A context with the progress of a plan, and with its missing outputs as `run_jobs` yields them.

    With `on_begin` they are streamed: `stream_jobs` makes them, and calls it. With an `engine` they are made there, and
    progress is counted in whole batches.
    """
    missing = plan.missing
    begun = [one for batch in plan.batches for one in batch if any(other.seed is None for other in batch)]
    total = sum(map(model.kind.num_units, begun))
    with Progress(program=program, total=total, unit=model.kind.unit, quiet=quiet) as progress:
        watch = model.kind.watch(progress.advance)

        def load() -> Any:
            pipeline = model.load(missing)
            watch.prepare(pipeline)
            return pipeline

        def begin(batch: Sequence[Planned]) -> None:
            progress.begin(batch_in_words(batch, missing))

        def made(batch: Sequence[Planned]) -> None:
            progress.advance(sum(map(model.kind.num_units, batch)))

        if engine is not None:
            with closing(engine.run(plan, model, on_batch=begin, on_made=made)) as outputs:
                yield progress, outputs
            return
        how: dict[str, Any] = {"on_frame": watch.callback, "on_batch": begin}
        if on_begin is None:
            yield progress, run_jobs(plan, load, **how)
        else:
            yield progress, stream_jobs(plan, load, on_begin=on_begin, **how)


def batch_in_words(batch: Sequence[Planned], missing: Sequence[Planned]) -> str:
    """Return what a batch is of all that is missing: `clip 2 of 3`, or `clips 1 to 8 of 20, 8 at once`."""
    places = {one.number: place for place, one in enumerate(missing, start=1)}
    own = [places[one.number] for one in batch if one.number in places]
    thing = "image" if all(one.settings.num_output_frames == 1 for one in batch) else "clip"
    which = f"{thing} {own[0]}" if len(own) == 1 else f"{thing}s {own[0]} to {own[-1]}"
    together = f", {len(batch)} at once" if len(batch) > 1 else ""
    return f"{which} of {len(missing)}{together}"


def _clock(seconds: float) -> str:
    """Return a time as 0:07, 12:30 or 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
