"""SIGKILL at random moments, then the same command again: nothing is lost, doubled or halved."""

import hashlib
import json
import os
import random
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from lumos.media.writing import write_image
from tests.faults.forked import start
from tests.model_folder import make_model_folder
from tests.tiny_data import MODEL, VOCAB, write_clips

SEED = int(os.environ.get("LUMOS_FAULTS_SEED", "0"))
"""Of the moments at which processes are killed; another one is another campaign."""
KILLS = int(os.environ.get("LUMOS_FAULTS_KILLS", "12"))
"""For each command."""
PATIENCE_S = 120.0
NOTICED_S = 5.0
"""In which the others are left alone after one rank of several was killed."""
_SECONDS = re.compile(rb'"seconds": [0-9.]+')


@dataclass(frozen=True, kw_only=True)
class Job:
    """A command that may be stopped and given again, and what it makes."""

    module: str
    """What `python -m` starts."""
    words: Callable[[Path], Sequence[str]]
    """Its words, for a folder of outputs."""
    made: Callable[[Path], Mapping[str, str]]
    """Names and hashes of what it has made there."""
    num_processes: int = 1
    """Ranks that run together."""
    log: Path = field(default=Path("log"))
    """File for what the processes say."""

    def start(self, folder: Path) -> list[BaseProcess]:
        """Start its processes."""
        ranks: list[dict[str, str]] = [{}]
        if self.num_processes > 1:
            group = {"WORLD_SIZE": str(self.num_processes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": _free_port()}
            ranks = [{**group, "RANK": str(n), "LOCAL_RANK": str(n)} for n in range(self.num_processes)]
        return [start(self.module, self.words(folder), log=self.log, environment=rank) for rank in ranks]

    def finish(self, folder: Path) -> float:
        """Run it to its end; return the seconds that took."""
        begin = time.monotonic()
        processes = self.start(folder)
        for process in processes:
            process.join(PATIENCE_S)
        assert [process.exitcode for process in processes] == [0] * len(processes), self.log.read_text()
        return time.monotonic() - begin


def killed(job: Job, folder: Path, *, num: int, tmp_path: Path) -> int:
    """Kill the job at `num` random moments; a run that ends before its moment is compared, and a new one begun.

    Return the number of runs that were compared, the last of which always is.
    """
    straight = tmp_path / "straight"
    job.finish(straight)
    expected, usual_s = job.made(straight), job.finish(tmp_path / "again")
    assert expected
    assert job.made(tmp_path / "again") == expected
    rng, compared = random.Random(SEED), 0
    for number in range(num):
        place = folder / str(compared)
        processes = job.start(place)
        end = time.monotonic() + rng.random() * usual_s * 1.1
        while time.monotonic() < end and any(process.is_alive() for process in processes):
            time.sleep(0.001)
        for process in processes[:1] if number == 0 else processes:  # one of several alone: the others notice, and wait
            process.kill()
        for process in processes:  # a rank whose fellow is gone may wait for long: torchrun would end it
            process.join(NOTICED_S)
            process.kill()
            process.join()
        if all(process.exitcode == 0 for process in processes):
            assert job.made(place) == expected, f"after {number} kills"
            compared += 1
        else:
            assert -signal.SIGKILL in [process.exitcode for process in processes], job.log.read_text()
    job.finish(folder / str(compared))
    assert job.made(folder / str(compared)) == expected, f"after {num} kills"
    assert not list(_leftovers(folder)), "temporary files are left"
    return compared + 1


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model with its tokenizers."""
    return make_model_folder(tmp_path_factory.mktemp("model") / "tiny")


@pytest.mark.slow
def test_pretokenisation_killed_at_random_keeps_every_row_once(model: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = ["path,text"]
    for number in range(9):
        write_image(tmp_path / f"{number}.png", rng.integers(0, 256, (64, 64, 3), dtype=np.uint8))
        rows.append(f"{number}.png,image {number}")
    (tmp_path / "broken.png").write_text("no image")
    table = tmp_path / "table.csv"
    table.write_text("\n".join([*rows[:5], "broken.png,none", *rows[5:]]) + "\n")
    fixed = ["--input_file", str(table), "--modality", "image", "--target_size", "64", "--shard_rows", "2"]
    job = Job(
        module="pre_tokenize.__main__",
        words=lambda out: [*fixed, "--output_dir", str(out), "--visual_tokenizer", str(model / "visual_tokenizer")],
        made=lambda out: _hashes(out, ["*.parquet", "report.json"]),
        log=tmp_path / "log",
    )
    assert killed(job, tmp_path / "killed", num=KILLS, tmp_path=tmp_path) >= 1


@pytest.mark.slow
@pytest.mark.parametrize("num_processes", [1, 2])
def test_training_killed_at_random_ends_with_the_same_weights(tmp_path: Path, num_processes: int) -> None:
    clips = write_clips(tmp_path / "clips", num_latent=1, num=12)
    trainer = {"max_steps": 6, "save_every": 1, "log_every": 1, "device": "cpu", "precision": "fp32", "progress": False}

    def words(run: Path) -> list[str]:
        groups = {
            "trainer": {**trainer, "run_dir": str(run), "batch_size": {"image": 2}},
            "task": {"data": {"image": str(clips)}, "model": {**MODEL, "vocab": VOCAB}},
        }
        return [f"{group}.{key}={json.dumps(value)}" for group, keys in groups.items() for key, value in keys.items()]

    job = Job(
        module="lumos.cli.training.training_run",
        words=words,
        made=lambda run: _training(run, tmp_path / "log"),
        num_processes=num_processes,
        log=tmp_path / "log",
    )
    assert killed(job, tmp_path / "killed", num=KILLS, tmp_path=tmp_path) >= 1


@pytest.mark.slow
@pytest.mark.parametrize("driver", ["custom", "prompt_file", "geneval"])
def test_sampling_killed_at_random_makes_every_output_once(model: Path, tmp_path: Path, driver: str) -> None:
    prompts = tmp_path / "prompts.json"
    prompts.write_text(json.dumps({f"{number}.mp4": f"a red circle {number}" for number in range(4)}))
    metadata = tmp_path / "metadata.jsonl"
    entry = {"tag": "single_object", "include": [{"class": "bench", "count": 1}], "prompt": "a photo of a bench"}
    metadata.write_text((json.dumps(entry) + "\n") * 2)
    module, words = {
        "custom": ("eval.custom.__main__", ["t2v", "--prompts", str(prompts), "--model", str(model), "--out"]),
        "prompt_file": (
            "lumos.cli",
            ["generate", "--prompt-file", str(prompts), "--seed", "3", "--model", str(model), "--out"],
        ),
        "geneval": (
            "eval.geneval.__main__",
            ["--prompts", str(metadata), "--short", "--model", str(model), "--out"],
        ),
    }[driver]
    job = Job(
        module=module,
        words=lambda out: [*words, str(out), *(() if driver == "geneval" else ("--batch-size", "2"))],
        made=lambda out: {
            **_hashes(out, ["*.mp4", "*.png", "*.json", "*.jsonl"]),
            **_hashes(out.with_name(f"{out.name}_records"), ["*.png.json"]),
        },
        log=tmp_path / "log",
    )
    assert killed(job, tmp_path / "killed", num=KILLS, tmp_path=tmp_path) >= 1


@pytest.mark.slow
def test_an_export_killed_at_random_is_whole_or_not_there(model: Path, tmp_path: Path) -> None:
    clips, run = write_clips(tmp_path / "clips", num_latent=1, num=12), tmp_path / "run"
    trainer = {"run_dir": str(run), "max_steps": 1, "device": "cpu", "precision": "fp32", "progress": False}
    words = [f"trainer.{key}={json.dumps(value)}" for key, value in trainer.items()]
    task = json.dumps({"data": {"image": str(clips)}, "model": {**MODEL, "vocab": VOCAB}})
    training = start("lumos.cli.training.training_run", [*words, "trainer.batch_size={image: 2}", f"task={task}"],
                     log=tmp_path / "log")  # fmt: skip
    training.join(PATIENCE_S)
    assert training.exitcode == 0, (tmp_path / "log").read_text()
    job = Job(
        module="lumos.cli",
        words=lambda out: ["export", str(run), str(out / "model"), "--overwrite"],
        made=lambda out: _hashes(out, ["*.json", "*.safetensors"]),
        log=tmp_path / "log",
    )
    assert killed(job, tmp_path / "killed", num=KILLS, tmp_path=tmp_path) >= 1


def _hashes(folder: Path, patterns: Sequence[str]) -> dict[str, str]:
    """Paths of finished files under a folder and the hashes of their contents."""
    found = sorted(path.relative_to(folder) for pattern in patterns for path in folder.rglob(pattern))
    files = [folder / name for name in found if not any(part.startswith(".") for part in name.parts)]
    return {str(path.relative_to(folder)): hashlib.sha256(_content(path)).hexdigest() for path in files}


def _content(path: Path) -> bytes:
    """What a file holds; of a record all but the seconds it took."""
    content = path.read_bytes()
    return _SECONDS.sub(b"", content) if path.suffix == ".json" else content


def _training(run: Path, log: Path) -> dict[str, str]:
    """The exported weights of a run, and the steps that its metrics know, which must each stand there once."""
    folder = run.with_name(f"{run.name}-exported")
    exporting = start("lumos.cli", ["export", str(run), str(folder), "--overwrite"], log=log)
    exporting.join(PATIENCE_S)
    assert exporting.exitcode == 0, log.read_text()
    weights = load_file(folder / "model.safetensors")
    assert all(bool(torch.isfinite(tensor).all()) for tensor in weights.values())
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    losses = [(row["step"], row["loss"]) for row in rows if row["kind"] == "train"]
    hashes = {name: hashlib.sha256(tensor.numpy().tobytes()).hexdigest() for name, tensor in weights.items()}
    return {**hashes, "losses": json.dumps(losses)}


def _leftovers(folder: Path) -> Iterator[Path]:
    """Temporary files; locks stay, and the list of a sharded checkpoint is called so by its library."""
    hidden = (path for path in folder.rglob("*") if any(p.startswith(".") for p in path.relative_to(folder).parts))
    return (path for path in hidden if path.is_file() and not path.name.endswith((".lock", ".metadata")))


def _free_port() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return str(listener.getsockname()[1])
