"""How far a list is: the whole is known, lines come now and then without a terminal, a batch says that it is one."""

import io
import re
from pathlib import Path
from typing import Any

import pytest

from lumos.cli.jobs import progress
from lumos.cli.jobs.outputs import PlainFolder
from lumos.cli.jobs.progress import Progress, batch_in_words
from lumos.cli.jobs.runner import plan_jobs, run_jobs
from tests.lumos.cli.console import Lumos
from tests.lumos.cli.jobs.test_runner import RECIPE, FakePipeline, jobs_of

WORDS = ("generate", "--prompt", "a circle", "--prompt", "a star", "--num", "2", "--batch-size", "3", "--seed", "1")


class Clock:
    """A clock that is set by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr("lumos.cli.jobs.progress.time.monotonic", lambda: self.now)


class Terminal(io.StringIO):
    """A stream that is one."""

    def isatty(self) -> bool:
        return True


def stand_in(monkeypatch: pytest.MonkeyPatch, stream: io.StringIO) -> io.StringIO:
    """The stream, in the place of standard error."""
    monkeypatch.setattr("sys.stderr", stream)
    return stream


@pytest.fixture
def bars(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every progress that a command shows, with its total and what it was said to be at."""
    shown: list[Any] = []

    class Recorded(Progress):
        def __init__(self, *, total: int, unit: str, **more: Any) -> None:
            super().__init__(total=total, unit=unit, **more)
            self.total, self.unit, self.begun, self.steps = total, unit, list[str](), list[int]()
            shown.append(self)

        def begin(self, what: str) -> None:
            self.begun.append(what)
            super().begin(what)

        def advance(self, number: int) -> None:
            self.steps.append(number)
            super().advance(number)

    monkeypatch.setattr(progress, "Progress", Recorded)
    return shown


def test_without_a_terminal_a_line_with_the_time_comes_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, stream = Clock(monkeypatch), stand_in(monkeypatch, io.StringIO())
    with Progress(program="lumos", total=200, unit="refinement") as shown:
        shown.begin("clips 1 to 2 of 5, 2 at once")
        for _ in range(10):
            clock.now += 3.5
            shown.advance(10)
    lines = [
        "lumos: 15% (clips 1 to 2 of 5, 2 at once), 0:10 so far, about 1:00 to go",
        "lumos: 30% (clips 1 to 2 of 5, 2 at once), 0:21 so far, about 0:49 to go",
        "lumos: 45% (clips 1 to 2 of 5, 2 at once), 0:32 so far, about 0:38 to go",
    ]
    assert stream.getvalue() == "\n".join([*lines, ""])
    assert shown.done == 100


def test_hours_are_said_as_hours(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, stream = Clock(monkeypatch), stand_in(monkeypatch, io.StringIO())
    with Progress(program="lumos", total=3, unit="refinement") as shown:
        shown.begin("clip 1 of 1")
        clock.now += 4000
        shown.advance(1)
    assert "1:06:40 so far, about 2:13:20 to go" in stream.getvalue()


def test_loading_the_model_is_no_part_of_the_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, stream = Clock(monkeypatch), stand_in(monkeypatch, io.StringIO())
    with Progress(program="lumos", total=4, unit="refinement") as shown:
        clock.now += 1000
        shown.begin("clip 1 of 1")
        clock.now += 20
        shown.advance(1)
    assert "0:20 so far, about 1:00 to go" in stream.getvalue()


def test_on_a_terminal_there_is_a_bar_with_its_end_that_is_gone_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = stand_in(monkeypatch, Terminal())
    with Progress(program="lumos", total=8, unit="refinement") as shown:
        shown.begin("clip 1 of 2")
        shown.advance(3)
        assert "clip 1 of 2:" in stream.getvalue()
        assert re.search(r"/8 \[", stream.getvalue())
    assert stream.getvalue().rstrip(" \r") != ""
    assert stream.getvalue().endswith("\r")


def test_who_is_quiet_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    for stream in (Terminal(), io.StringIO()):
        stand_in(monkeypatch, stream)
        with Progress(program="lumos", total=8, unit="refinement", quiet=True) as shown:
            shown.begin("clip 1 of 2")
            clock.now += 100
            shown.advance(3)
        assert stream.getvalue() == ""


def test_a_batch_says_that_it_is_one(tmp_path: Path) -> None:
    said: list[str] = []
    plan = plan_jobs(jobs_of(3), PlainFolder(tmp_path), RECIPE, batch_size=2)
    made = list(run_jobs(plan, FakePipeline, on_batch=lambda batch: said.append(batch_in_words(batch, plan.missing))))
    assert said == ["images 1 to 2 of 3, 2 at once", "image 3 of 3"]
    assert [one.together for one in made] == [2, 2, 1]
    (tmp_path / "0.png").unlink()
    plan = plan_jobs(jobs_of(3), PlainFolder(tmp_path), RECIPE, batch_size=2)
    assert batch_in_words(plan.batches[0], plan.missing) == "image 1 of 1, 2 at once"  # made whole


@pytest.mark.parametrize("more", [(), ("--fast",), ("--later-steps", "0.5")])
def test_lumos_1_moves_with_every_refinement_and_reaches_its_end(
    lumos: Lumos, bars: list[Any], more: tuple[str, ...]
) -> None:
    status, said, error = lumos(*WORDS, "--num-frames", "9", "--steps", "4", *more)
    assert (status, error) == (0, ""), error
    (shown,) = bars
    assert (shown.unit, shown.done) == ("refinement", shown.total)
    assert shown.total == 4 * (4 + 2 * (2 if "--later-steps" in more else 4))  # clips, three latent frames each
    assert len(shown.steps) > 2 * 3 or "--fast" in more
    assert shown.begun == ["clips 1 to 3 of 4, 3 at once", "clip 4 of 4"]
    assert said.count(" s each of 3 at once\n") == 3


def test_a_given_frame_is_no_work(lumos: Lumos, bars: list[Any], tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (96, 64), "red").save("start.png")
    words = ("generate", "--prompt", "it moves", "--image", "start.png", "--num-frames", "5", "--steps", "3")
    assert lumos(*words)[0] == 0
    assert (bars[0].done, bars[0].total) == (3, 3)
