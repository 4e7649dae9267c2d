"""`--engine ray` of drivers and of `lumos generate`: the files of one process, byte for byte, whoever is killed."""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from eval.custom import __main__ as custom
from eval.geneval import __main__ as geneval
from lumos import cli
from lumos.cli.jobs import ray_jobs, ray_sampler
from tests import ray_here
from tests.lumos.lumina_video.tiny import tiny_lumina_folder
from tests.model_folder import make_model_folder
from tests.ray_in_threads import RayInThreads

pytestmark = pytest.mark.timeout(900)  # where cores are shared, Ray takes its time to start

PROMPTS = ("a circle", "a square", "a star", "a ring", "a cross")
IN_PROCESSES = "test_what_a_killed_sampler_had_is_given_to_another"


@pytest.fixture(scope="module", autouse=True, params=["threads", pytest.param("processes", marks=pytest.mark.slow)])
def kill_all(request: pytest.FixtureRequest) -> Iterator[Callable[[str], int]]:
    """Kills the actors of a class; they are threads here, or processes of Ray itself, which take seconds to start."""
    if request.param == "processes":
        with ray_here.ray_here():
            yield ray_here.kill_all
        return
    ray = RayInThreads()
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(sys.modules, "ray", ray)
        yield ray.kill_all


@pytest.fixture(autouse=True)
def few_in_processes(request: pytest.FixtureRequest) -> None:
    """Each real actor imports torch: one test starts them, the others are content with threads."""
    if request.node.callspec.params["kill_all"] == "processes" and request.node.originalname != IN_PROCESSES:
        pytest.skip("in threads alone")


@pytest.fixture(scope="module")
def lumos1(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model_folder(tmp_path_factory.mktemp("lumos1"))


@pytest.fixture
def words(lumos1: Path, tmp_path: Path) -> list[str]:
    """A driver's: an image of each of five prompts, in batches of two."""
    (tmp_path / "list.jsonl").write_text("".join(json.dumps({"prompt": text}) + "\n" for text in PROMPTS))
    places = ["--prompts", str(tmp_path / "list.jsonl"), "--model", str(lumos1)]
    return ["t2i", *places, "--samples", "1", "--batch-size", "2"]


def made_in(folder: Path) -> dict[str, Any]:
    """What lies in a folder: records without the time that they took, all else by its bytes."""
    found: dict[str, Any] = {}
    for path in folder.rglob("*"):
        name = str(path.relative_to(folder))
        if path.is_file() and not path.name.endswith(".lock"):
            found[name] = path.read_bytes() if path.suffix != ".json" else json.loads(path.read_text())
        if path.suffix == ".json" and "seconds" in found[name]:
            assert found[name].pop("seconds") >= 0
    return found


def dying_over(prompt: str, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Has every sampler die that is given a prompt; the list grows by each."""
    make, died = ray_sampler.generated, list[int]()

    def generated(batch: Any, *args: Any, **more: Any) -> Any:
        if any(one.job.prompt == prompt for one in batch):
            died.append(1)
            raise SystemExit
        return make(batch, *args, **more)

    monkeypatch.setattr(ray_sampler, "generated", generated)
    return died


def test_what_a_killed_sampler_had_is_given_to_another(
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    kill_all: Callable[[str], int],
) -> None:
    place, killed = ray_jobs.placed, list[int]()

    def killing(*args: Any, **kwargs: Any) -> Any:
        if not killed:
            killed.append(kill_all("Sampler"))
        return place(*args, **kwargs)

    monkeypatch.setattr(ray_jobs, "placed", killing)
    assert custom.main([*words, "--out", str(tmp_path / "local")]) == 0
    assert custom.main([*words, "--out", str(tmp_path / "ray"), "--engine", "ray"]) == 0
    assert killed[0] >= 1
    said = capsys.readouterr()
    assert f"{tmp_path / 'ray'}: 5 made, 0 finished before" in said.out
    assert "eval.custom: batches go to samplers of Ray, one a CPU: there is room for 2 now" in said.err
    assert "not made" not in said.err
    assert len(made_in(tmp_path / "local")) == 2 * len(PROMPTS)
    assert made_in(tmp_path / "ray") == made_in(tmp_path / "local")


@pytest.mark.parametrize(("model", "num_frames"), [("lumos1", "5"), ("lumina", "8")])
def test_generate_makes_the_clips_of_a_prompt_file(model: str, num_frames: str, lumos1: Path, tmp_path: Path) -> None:
    folder = lumos1 if model == "lumos1" else tiny_lumina_folder(tmp_path / "lumina")
    (tmp_path / "list.txt").write_text("a circle\na square moves\na star\n")
    words = ["generate", "--prompt-file", str(tmp_path / "list.txt"), "--model", str(folder), "--steps", "2"]
    words += ["--num-frames", num_frames, "--resolution", "64x96", "--seed", "3", "--batch-size", "2"]
    on_ray = ["--engine", "ray", "--ray-actors", "1"]  # two threads must not load what transformers makes on meta
    assert cli.main([*words, "--out", str(tmp_path / "local")]) == 0
    assert cli.main([*words, "--out", str(tmp_path / "ray"), *on_ray]) == 0
    assert len(made_in(tmp_path / "local")) == 6
    assert made_in(tmp_path / "ray") == made_in(tmp_path / "local")


def test_a_benchmarks_folder_is_as_its_scorer_reads_it(lumos1: Path, tmp_path: Path) -> None:
    """Images of a prompt in a folder with their grid and metadata; records apart; two parts share the list."""
    entries = [{"tag": "single_object", "include": [{"class": text, "count": 1}], "prompt": text} for text in PROMPTS]
    (tmp_path / "list.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    words = ["--prompts", str(tmp_path / "list.jsonl"), "--short", "--first", "2", "--samples", "2"]
    words += ["--model", str(lumos1)]
    assert geneval.main([*words, "--out", str(tmp_path / "local/o")]) == 0
    for part in ("1,2", "2,2"):
        assert geneval.main([*words, "--out", str(tmp_path / "ray/o"), "--engine", "ray", "--part", part]) == 0
    local = made_in(tmp_path / "local")
    assert {"o/00001/grid.png", "o/00001/metadata.jsonl", "o/00001/samples/00001.png"} < local.keys()
    assert made_in(tmp_path / "ray") == local


def test_a_prompt_that_kills_every_sampler_is_told_of_and_the_rest_is_made(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "o"
    words = [*words, "--out", str(out)]
    with monkeypatch.context() as patched:
        died = dying_over("a ring", patched)
        assert custom.main([*words, "--engine", "ray"]) == 1
    said = capsys.readouterr()
    lost = "eval.custom: warning: a-star.png, a-ring.png not made: 3 samplers that had it were lost"
    assert lost in said.err
    assert f"{out}: 3 made, 0 finished before" in said.out
    assert len(died) == 3
    assert custom.main(words) == 0  # and by one process the same folder goes on
    assert f"{out}: 2 made, 3 finished before" in capsys.readouterr().out


def test_a_bad_prompt_is_refused_as_by_one_process(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is made, by its number in the list."""
    with (tmp_path / "list.jsonl").open("a") as file:
        file.write(json.dumps({"prompt": "too long " * 400}) + "\n")
    words = [*words, "--out", str(tmp_path / "o")]
    assert custom.main(words) == 2
    local = capsys.readouterr().err
    assert custom.main([*words, "--engine", "ray"]) == 2
    assert capsys.readouterr().err.endswith(f"now\n{local}")
    assert "prompt 6 of 6" in local
    assert made_in(tmp_path / "o") == {}


def test_stopped_midway_outputs_are_whole_and_no_sampler_is_left(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kill_all: Callable[[str], int]
) -> None:
    place, placed = ray_jobs.placed, list[Any]()

    def stopping(*args: Any, **kwargs: Any) -> Any:
        if len(placed) == 2:
            raise KeyboardInterrupt
        placed.append(place(*args, **kwargs))
        return placed[-1]

    assert custom.main([*words, "--out", str(tmp_path / "local")]) == 0
    with monkeypatch.context() as patched:
        patched.setattr(ray_jobs, "placed", stopping)
        assert custom.main([*words, "--out", str(tmp_path / "ray"), "--engine", "ray"]) == 130
    assert kill_all("Sampler") == 0
    made = made_in(tmp_path / "ray")
    assert len(made) == 4
    assert made.items() <= made_in(tmp_path / "local").items()


def test_an_output_that_finds_no_room_costs_none_of_its_batch(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place = ray_jobs.placed

    def full(folder: Any, one: Any, made: Path, **kwargs: Any) -> Any:
        if one.planned.job.prompt == "a circle":
            raise ValueError("the disk is full")
        return place(folder, one, made, **kwargs)

    monkeypatch.setattr(ray_jobs, "placed", full)
    on_ray = ["--engine", "ray", "--ray-actors", "1"]
    assert custom.main([*words, "--out", str(tmp_path / "o"), *on_ray]) == 2
    assert capsys.readouterr().err.endswith("eval.custom: error: the disk is full\n")
    assert [path.name for path in (tmp_path / "o").glob("*.png")] == ["a-square.png"]


def test_what_is_there_is_left_alone_and_what_makes_nothing_asks_no_ray(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*words, "--out", str(tmp_path / "o"), "--engine", "ray"]
    assert custom.main(words) == 0
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "o").glob("*.png")}
    (tmp_path / "o/a-circle.png").unlink()
    capsys.readouterr()
    assert custom.main(words) == 0
    assert "1 made, 4 finished before" in capsys.readouterr().out
    after = {path: path.stat().st_mtime_ns for path in (tmp_path / "o").glob("*.png")}
    assert len(after) == 5
    assert {path for path in after if after[path] != before[path]} == {tmp_path / "o/a-circle.png"}
    monkeypatch.setattr(ray_jobs, "connected", None)
    assert custom.main(words) == 0
    assert custom.main([*words, "--outstanding", "2"]) == 0
    assert custom.main([*words, "--out", str(tmp_path / "other"), "--dry-run"]) == 0
    assert "5 outputs" in capsys.readouterr().out


def test_no_more_samplers_work_than_are_asked_for(words: list[str], tmp_path: Path) -> None:
    ray = sys.modules["ray"]
    for number in (1, 2):
        started = len(ray.actors)
        out = ["--out", str(tmp_path / f"{number}")]
        assert custom.main([*words, *out, "--engine", "ray", "--ray-actors", str(number)]) == 0
        assert len(ray.actors) - started == number


@pytest.mark.parametrize(
    ("words_of_place", "room"),
    [
        (["--ray-address", "host:6379"], {"num_gpus": 1, "num_cpus": 0}),
        (["--ray-address", "host:6379", "--device", "cpu"], {"num_cpus": 1}),
        (["--device", "cuda"], {"num_gpus": 1, "num_cpus": 0}),
    ],
)
def test_a_sampler_has_a_gpu_where_the_cluster_has_one(
    words_of_place: list[str],
    room: dict[str, int],
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = list[dict[str, int]]()

    def remote(**room: int) -> None:
        asked.append(room)
        raise ValueError("seen")

    monkeypatch.setattr(sys.modules["ray"], "cluster_resources", lambda: {"CPU": 4.0, "GPU": 2.0})
    monkeypatch.setattr(sys.modules["ray"], "remote", remote)
    assert custom.main([*words, "--out", str(tmp_path / "o"), "--engine", "ray", *words_of_place]) == 2
    assert capsys.readouterr().err.endswith("error: seen\n")
    assert asked == [{**room, "max_restarts": 0}]


@pytest.mark.parametrize("looks", [{"dry_run": True}, {"outstanding": 2}])
@pytest.mark.parametrize(("device", "dtype"), [(None, "bfloat16"), ("cuda", "bfloat16"), ("cpu", None)])
def test_what_is_only_looked_at_is_compared_with_what_the_clusters_samplers_would_make(
    looks: dict[str, Any], device: str | None, dtype: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["ray"], "cluster_resources", lambda: {"CPU": 4.0, "GPU": 2.0})
    place = {"engine": "ray", "ray_address": "host:6379", "ray_actors": None, "device": device, "dtype": None}
    options = argparse.Namespace(**{"dry_run": False, **place, **looks})
    with ray_jobs.ray_jobs(options, program="x") as engine:
        assert (engine, options.dtype, options.device) == (None, dtype, "cpu")


def test_a_machine_with_other_weights_is_refused(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ray_sampler, "model_hash", lambda files: "sha256:0")
    assert custom.main([*words, "--out", str(tmp_path / "o"), "--engine", "ray"]) == 2
    said = capsys.readouterr().err
    assert "has other weights (sha256:0) where Ray has an actor" in said
    assert "all machines of the cluster must have the same checkpoints" in said
    assert made_in(tmp_path / "o") == {}
