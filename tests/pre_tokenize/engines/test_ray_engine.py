"""`--engine ray`: the shards of the local engine, byte for byte, whoever is killed; what is given up is told of."""

import csv
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pre_tokenize import __main__ as program
from pre_tokenize import motion
from pre_tokenize.bookkeeping.ledger import Ledger
from pre_tokenize.bookkeeping.work import is_whole, work
from pre_tokenize.engines.engine import Engine, Job, LocalEngine, Making
from pre_tokenize.engines.ray_actors import Decoders
from pre_tokenize.engines.ray_engine import RayEngine, Team
from pre_tokenize.lists.table import Item, read_table
from pre_tokenize.products.encode import Limits
from pre_tokenize.products.motion_scores import SCORES, write_scores
from tests import ray_here
from tests.ray_here import DEADLY, WRONG, Sizes, load_sizes
from tests.ray_in_threads import RayInThreads
from xllmx.ranks.actor_pool import LostError
from xllmx.settings.setting import SettingError

pytestmark = pytest.mark.timeout(900)  # where cores are shared, Ray takes its time to start

Command = Callable[..., list[str]]
NUM_ROWS = 12
IN_PROCESSES = {
    ("test_ray_makes_the_shards_of_the_local_engine", "codes"),
    ("test_what_killed_actors_had_is_given_to_others", None),
}


@pytest.fixture(scope="module", autouse=True, params=["threads", pytest.param("processes", marks=pytest.mark.slow)])
def kill_all(request: pytest.FixtureRequest) -> Iterator[Callable[[str], int]]:
    """Kills the actors of a class; they are threads here, or processes of Ray itself, which take seconds to start."""
    if request.param == "processes":
        with ray_here.ray_here():
            yield ray_here.kill_all
        return

    def die() -> None:
        raise SystemExit

    ray = RayInThreads()
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(sys.modules, "ray", ray)
        patched.setattr(ray_here, "die", die)
        yield ray.kill_all


@pytest.fixture(autouse=True)
def few_in_processes(request: pytest.FixtureRequest) -> None:
    """Each real actor imports torch: two tests start them, the others are content with threads."""
    params = request.node.callspec.params
    if params["kill_all"] == "processes" and (request.node.originalname, params.get("kind")) not in IN_PROCESSES:
        pytest.skip("in threads alone")


@pytest.fixture
def making(tmp_path: Path) -> Making:
    """Twelve texts in shards of two."""
    for row in range(NUM_ROWS):
        (tmp_path / f"{row}.txt").write_text("x" * row)
    lines = [f"{row}.txt,a" for row in range(NUM_ROWS)]
    (tmp_path / "list.csv").write_text("\n".join(["path,text", *lines]) + "\n")
    job = Job(load=load_sizes, reader=Sizes, write_shard=write_scores, form=SCORES, settings={"to": "sizes"})
    return Making(table=read_table(tmp_path / "list.csv"), job=job, limits=Limits(shard_rows=2))


def make(making: Making, output: Path, engine: Engine) -> dict[str, Any]:
    return work(making, folder=output / "1-in-1" / "0-of-1", rows=range(NUM_ROWS), engine=engine)


def shards(output: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in output.rglob("rows-*.parquet")}


@pytest.mark.parametrize("kind", ["codes", "latents", "motion"])
def test_ray_makes_the_shards_of_the_local_engine(
    kind: str, videos: Any, tmp_path: Path, command: Command, latents_command: Command
) -> None:
    def run(output: Path, *more: str) -> int:
        if kind == "motion":
            output.mkdir()
            target = ["--output_file", str(output / "scored.csv"), "--shard_rows", "4"]
            return motion.main(["--input_file", str(videos.file), *target, *more])
        build = command if kind == "codes" else latents_command
        return program.main(build(videos.file, output, *more))

    assert run(tmp_path / "local") == 0
    assert run(tmp_path / "ray", "--engine", "ray") == 0
    local = shards(tmp_path / "local")
    assert len(local) == (4 if kind == "motion" else 7)
    assert shards(tmp_path / "ray") == local
    if kind == "motion":
        with (tmp_path / "ray" / "scored.csv").open() as one, (tmp_path / "local" / "scored.csv").open() as other:
            assert list(csv.reader(one)) == list(csv.reader(other))


def test_what_killed_actors_had_is_given_to_others(
    making: Making, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kill_all: Callable[[str], int]
) -> None:
    write, turns, killed = Ledger.write, iter(["ShardMaker", "", "Decoder"]), list[int]()

    def killing(self: Ledger, *args: Any, **kwargs: Any) -> Any:
        if kind := next(turns, ""):
            killed.append(kill_all(kind))
        return write(self, *args, **kwargs)

    make(making, tmp_path / "local", LocalEngine())
    monkeypatch.setattr(Ledger, "write", killing)
    assert is_whole(make(making, tmp_path / "ray", RayEngine()))
    assert len(killed) == 2
    assert all(killed)
    assert shards(tmp_path / "ray") == shards(tmp_path / "local")


@pytest.mark.parametrize("kind", DEADLY)
def test_rows_that_kill_every_actor_are_told_of_and_the_rest_is_done(
    kind: str, making: Making, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "4.txt").write_text(DEADLY[kind])
    report = make(making, tmp_path / "out", RayEngine())
    assert (report["done"], is_whole(report)) == (10, False)
    assert "rows 4 to 5 are not done: 3 " + kind in capsys.readouterr().err
    assert not list((tmp_path / "out").rglob("report.json"))
    (tmp_path / "4.txt").write_text("x" * 4)
    assert is_whole(make(making, tmp_path / "out", LocalEngine()))  # whose ledger it is, too


def test_what_an_actor_raises_is_raised_here(making: Making, tmp_path: Path) -> None:
    (tmp_path / "3.txt").write_text(WRONG)
    for engine in (LocalEngine(), RayEngine()):
        with pytest.raises(SettingError, match=r"^size is wrong$"):
            make(making, tmp_path / type(engine).__name__, engine)


class Unready:
    """Decoders whose process dies while it loads, or when it is given an item."""

    def __init__(self, *, loads: bool) -> None:
        self._loads = loads

    def load(self) -> None:
        if not self._loads:
            raise SystemExit

    def decode(self, item: Item) -> None:
        raise SystemExit


def test_decoders_that_never_load_are_no_fault_of_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a `LostError` all rows would be given up, one after the other."""
    ray = RayInThreads()
    monkeypatch.setitem(sys.modules, "ray", ray)
    decoders = Decoders(lambda: ray.remote()(Unready).remote(loads=False))
    decoders.resize(2)
    said = r"3 decoders died while they loaded \(.*\); look at their memory"
    with pytest.raises(ValueError, match=said):
        decoders.decode(Item(row=4, path="a.mp4", text=""))
    with pytest.raises(ValueError, match=said):
        decoders.resize(1)  # what waits there is no actor that could be killed


def test_what_is_said_of_a_lost_row_has_no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = RayInThreads()
    monkeypatch.setitem(sys.modules, "ray", ray)
    decoders = Decoders(lambda: ray.remote()(Unready).remote(loads=True))
    decoders.resize(1)
    with pytest.raises(LostError, match=r"3 decoders died over row 4 \(s3://bucket/a\.mp4\)"):
        decoders.decode(Item(row=4, path="s3://me:secret@bucket/a.mp4", text=""))


def test_a_cluster_that_shrinks_leaves_encoders_at_work_their_decoders() -> None:
    ray = RayInThreads(cpus=5)
    team = Team(ray, num_workers=4, on_gpus=False)
    assert (team.num_encoders, team.num_decoders) == (1, 4)
    ray.cpus = 1
    assert (team.look(), team.num_decoders) == (0, 4)


def test_stopped_midway_the_ledger_is_whole_and_no_actor_is_left(making: Making, tmp_path: Path) -> None:
    write, written = Ledger.write, list[Any]()

    def stopping(self: Ledger, *args: Any, **kwargs: Any) -> Any:
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(write(self, *args, **kwargs))
        return written[-1]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Ledger, "write", stopping)
        with pytest.raises(KeyboardInterrupt):
            make(making, tmp_path / "ray", RayEngine())
    local = make(making, tmp_path / "local", LocalEngine())
    made = shards(tmp_path / "ray")
    assert (len(made), local["done"]) == (2, NUM_ROWS)
    assert made.items() <= shards(tmp_path / "local").items()
