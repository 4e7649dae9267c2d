"""--engine and --ray_address: what is wrong is one line, and rows that an engine gives up are a status."""

import socket
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pre_tokenize import __main__ as program
from pre_tokenize import motion
from pre_tokenize.engines.engine import LocalEngine, LostShard, Making, stretches_of
from pre_tokenize.engines.ray_engine import Team
from xllmx.ranks import ray_cluster

Command = Callable[..., list[str]]


def said(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line of an error."""
    (line,) = capsys.readouterr().err.strip().splitlines()
    return line


def test_missing_rows_are_cut_into_shards() -> None:
    assert stretches_of([range(5), range(7, 9)], 2) == [range(2), range(2, 4), range(4, 5), range(7, 9)]


def test_an_engine_that_is_not_installed_is_one_line_with_what_to_type(
    images: Any, tmp_path: Path, command: Command, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_cluster, "find_spec", lambda name: None)
    told = "--engine is ray, which is not installed; run: pip install 'lumos-open[ray]'"
    assert program.main(command(images.file, tmp_path / "out", "--engine", "ray", modality="image")) == 2
    assert said(capsys) == f"pre_tokenize: error: {told}"
    words = ["--input_file", str(images.file), "--output_file", str(tmp_path / "scored.csv"), "--engine", "ray"]
    assert motion.main(words) == 2
    assert said(capsys) == f"pre_tokenize.motion: error: {told}"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("address", ["127.0.0.1:{port}", "nonsense", "ray://127.0.0.1:{port}", "127.0.0.1:99999"])
def test_an_address_where_nobody_answers_is_one_line(
    address: str, images: Any, tmp_path: Path, command: Command, capsys: Any
) -> None:
    with socket.socket() as listener:  # a port that was somebody's a moment ago
        listener.bind(("127.0.0.1", 0))
        address = address.format(port=listener.getsockname()[1])
    words = command(images.file, tmp_path / "out", "--engine", "ray", "--ray_address", address, modality="image")
    assert program.main(words) == 2
    line = said(capsys)
    assert line.startswith(f"pre_tokenize: error: --ray_address is {address!r}: ")
    assert "ray start --head" in line
    assert not list(tmp_path.rglob("*.*"))


def test_an_address_of_the_environment_is_said_by_its_name(
    images: Any, tmp_path: Path, command: Command, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "nonsense")
    assert program.main(command(images.file, tmp_path / "out", "--engine", "ray", modality="image")) == 2
    assert said(capsys).startswith("pre_tokenize: error: RAY_ADDRESS is 'nonsense': it must be HOST:PORT")


def test_one_that_listens_and_is_no_ray_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_cluster, "_JOIN_S", 0.2)
    never = threading.Event()
    silent = SimpleNamespace(init=lambda **how: never.wait(), shutdown=lambda: None)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        place = f"127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(ValueError, match="no Ray answered there within"):
            ray_cluster._join(silent, place, typed=True)
    never.set()


def test_an_address_without_ray_is_refused(images: Any, tmp_path: Path, command: Command, capsys: Any) -> None:
    words = command(images.file, tmp_path / "out", "--ray_address", "auto", modality="image")
    assert program.main(words) == 2
    assert said(capsys) == "pre_tokenize: error: --ray_address is 'auto'; it goes with --engine ray"


def test_rows_that_are_given_up_are_a_status_and_left_outstanding(
    images: Any, tmp_path: Path, command: Command, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Losing(LocalEngine):
        @contextmanager
        def ready(self, making: Making) -> Iterator[Any]:
            with super().ready(making) as make:

                def lossy(shards: list[range], **how: Any) -> Generator[Any, None, None]:
                    yield LostShard(rows=shards[0], why="3 encoders that had it were lost")
                    yield from make(shards[1:], **how)

                yield lossy

    words = command(images.file, tmp_path / "out", modality="image")
    monkeypatch.setattr("pre_tokenize.engines.engine_options.engine_of", lambda options: Losing())
    assert program.main(words) == 1
    assert "rows 0 to 1 are not done: 3 encoders that had it were lost; the rest goes on" in capsys.readouterr().err
    assert sorted(path.name for path in (tmp_path / "out").rglob("rows-*")) == [
        "rows-000000002-000000004.parquet",
        "rows-000000004-000000006.parquet",
    ]
    assert not list((tmp_path / "out").rglob("report.json"))
    monkeypatch.undo()
    assert program.main(words) == 0
    assert len(list((tmp_path / "out").rglob("rows-*"))) == 3


@pytest.mark.parametrize(
    ("cpus", "gpus", "on_gpus", "encoders", "decoders"),
    [(64, 8, True, 8, 3), (4, 8, True, 4, 1), (9, 0, False, 2, 3), (2, 0, False, 1, 1), (3, 1, False, 1, 2)],
)
def test_a_team_fits_its_cluster(cpus: int, gpus: int, on_gpus: bool, encoders: int, decoders: int) -> None:
    ray = SimpleNamespace(cluster_resources=lambda: {"CPU": float(cpus), "GPU": float(gpus)})
    team = Team(ray, num_workers=3, on_gpus=on_gpus)
    assert (team.num_encoders, team.num_decoders) == (encoders, decoders)
    taken = encoders * decoders + (0 if on_gpus else encoders)
    assert taken <= cpus


@pytest.mark.parametrize(
    ("cpus", "on_gpus", "least"), [(1, False, "2, one to decode and one to encode"), (0, True, "1")]
)
def test_a_cluster_without_room_for_both_is_refused(cpus: int, on_gpus: bool, least: str) -> None:
    ray = SimpleNamespace(cluster_resources=lambda: {"CPU": float(cpus), "GPU": 1.0})
    with pytest.raises(ValueError, match=f"Ray's cluster has {cpus} CPUs; it needs at least {least}"):
        Team(ray, num_workers=3, on_gpus=on_gpus)


@pytest.mark.parametrize(("given", "gpus", "device"), [("", 2, "cuda"), ("", 0, "cpu"), ("cpu", 2, "cpu")])
def test_actors_compute_on_gpus_where_there_are_any(given: str, gpus: int, device: str) -> None:
    ray = SimpleNamespace(cluster_resources=lambda: {"GPU": float(gpus)})
    assert ray_cluster.device_in(ray, given) == device


@pytest.mark.parametrize(("given", "fault"), [("cuda:1", "its own GPU"), ("cuda", "has no GPU")])
def test_a_device_that_an_actor_cannot_have_is_refused(given: str, fault: str) -> None:
    ray = SimpleNamespace(cluster_resources=lambda: {"CPU": 2.0})
    with pytest.raises(ValueError, match=fault):
        ray_cluster.device_in(ray, given)
