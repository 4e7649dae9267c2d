"""Work is never lost after it is made: the reproductions of a campaign, with kills, two processes, and a full disk."""

import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.tiny_data import MODEL, VOCAB, write_clips
from xllmx.run.reporting.metrics import read_metrics

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

Start = Callable[..., subprocess.Popen]


@pytest.fixture
def start(repo: Path, tmp_path: Path) -> Start:
    """Starts `python WORDS` in the test's folder."""

    def begin(*words: str | Path, **more) -> subprocess.Popen:
        environment = {**os.environ, "PYTHONPATH": str(repo), "OMP_NUM_THREADS": "1"}
        how = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": tmp_path, "env": environment}
        return subprocess.Popen([sys.executable, *map(str, words)], **{**how, **more})

    return begin


def ended(process: subprocess.Popen) -> tuple[int, str]:
    """The exit status and what was said on stderr, without bars."""
    _, said = process.communicate(timeout=240)
    return process.returncode, said


def training(folder: Path, *more: str) -> list[str]:
    """Words that train the smallest model on a few clips."""
    trainer = {"run_dir": str(folder / "run"), "device": "cpu", "progress": False, "batch_size": {"video": 2}}
    trainer |= {"max_steps": 3, "log_every": 1, "save_every": 1, "precision": "fp32"}
    task = {"model": {**MODEL, "vocab": VOCAB}, "data": {"video": str(folder / "video")}}
    groups = {"trainer": trainer, "task": task}
    words = [f"{group}.{key}={json.dumps(value)}" for group, keys in groups.items() for key, value in keys.items()]
    return ["-m", "lumos.cli", "train", *words, *more]


MAKE = ("-m", "lumos.cli", "generate", "--num-frames", "1", "--steps", "1", "--seed", "1", "--device", "cpu")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            '["a red circle", "a \\ud800 star", "a blue square"]',
            "the text 'a \\ud800 star' holds half a character",
        ),
        (json.dumps([{"prompt": "x", "name": "n" * 250}]), "is longer than a file name can be (254 bytes, 259 with"),
    ],
)
def test_what_cannot_be_written_is_said_before_anything_is_made(
    tmp_path: Path, start: Start, content: str, said: str
) -> None:
    (tmp_path / "p.json").write_text(content)
    status, error = ended(start(*MAKE, "--prompt-file", "p.json", "--out", "out"))
    assert status == 2
    assert len(error.splitlines()) == 1
    assert said in error
    assert not (tmp_path / "out").exists()


def test_a_byte_that_is_no_utf8_on_the_command_line_is_said_too(tmp_path: Path, start: Start) -> None:
    status, error = ended(start(*MAKE, "--prompt", os.fsdecode(b"a \xff star"), "--out", "out"))
    assert (status, len(error.splitlines())) == (2, 1)
    assert "--prompt number 1: the text 'a \\udcff star' holds half a character" in error


def test_a_name_that_just_fits_is_made_with_its_record(tmp_path: Path, start: Start) -> None:
    name = "n" * 246
    (tmp_path / "p.json").write_text(json.dumps([{"prompt": "a red circle", "name": name}]))
    assert ended(start(*MAKE, "--prompt-file", "p.json", "--out", "out"))[0] == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [f"{name}.png", f"{name}.png.json"]


def test_two_lists_into_one_folder_lose_nothing(tmp_path: Path, start: Start) -> None:
    (tmp_path / "p.json").write_text(json.dumps([f"a red circle {number}" for number in range(8)]))
    words = ["-m", "lumos.cli", "generate", "--num-frames", "1", "--steps", "1", "--device", "cpu"]
    both = [start(*words, "--seed", seed, "--prompt-file", "p.json", "--out", "out") for seed in ("100", "200")]
    statuses = [ended(process) for process in both]
    made = sorted((tmp_path / "out").glob("*.png"))
    assert not list((tmp_path / "out").glob(".*"))
    for path in made:
        record = json.loads(path.with_name(f"{path.name}.json").read_text())
        assert record["output_hash"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert record["output"] == path.name
    seeds = Counter(json.loads(p.with_name(f"{p.name}.json").read_text())["seed"] // 100 for p in made)
    assert all(status == 0 or "is there already" in said for status, said in statuses)  # one that began late
    assert seeds == {1 + index: 8 for index, (status, _) in enumerate(statuses) if status == 0}


def test_a_second_training_of_a_folder_is_refused(tmp_path: Path, start: Start) -> None:
    write_clips(tmp_path / "video", num_latent=4)
    first = start(*training(tmp_path, "trainer.max_steps=100000", "trainer.save_every=5"))
    while not (tmp_path / "run" / "metrics.jsonl").exists():
        assert first.poll() is None
        time.sleep(0.05)
    status, said = ended(start(*training(tmp_path)))
    first.send_signal(signal.SIGTERM)
    assert ended(first)[0] == 143
    assert (status, len(said.splitlines())) == (2, 1)
    assert f"run is trained by another process (process {first.pid} on " in said
    steps = [row["step"] for row in read_metrics(tmp_path / "run")]
    assert len(steps) == len(set(steps))
    assert not (tmp_path / "run" / ".lock").exists()


def test_a_killed_training_is_gone_on_with_at_once(tmp_path: Path, start: Start) -> None:
    """The lock goes with the process, though the workers that load its data live a little longer."""
    write_clips(tmp_path / "video", num_latent=4)
    workers = "trainer.num_workers=1"
    first = start(*training(tmp_path, "trainer.max_steps=100000", workers), start_new_session=True)
    while not list((tmp_path / "run" / "checkpoints").glob("step-*")):
        assert first.poll() is None
        time.sleep(0.05)
    first.kill()
    first.wait()
    step = read_metrics(tmp_path / "run")[-1]["step"]
    status, said = ended(start(*training(tmp_path, f"trainer.max_steps={step + 2}", workers)))
    assert (status, said) == (0, "")
    assert first.stdout is not None
    assert first.stderr is not None
    first.stdout.close()
    first.stderr.close()


@pytest.fixture(scope="module")
def trained(repo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the clips and the run of three steps."""
    folder = tmp_path_factory.mktemp("trained")
    write_clips(folder / "video", num_latent=4)
    environment = {**os.environ, "PYTHONPATH": str(repo), "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, *training(folder)], env=environment, check=True, capture_output=True)
    return folder


def run_of(folder: Path, trained: Path) -> Path:
    """A run of three steps in the test's folder."""
    shutil.copytree(trained, folder, dirs_exist_ok=True)
    return folder / "run"


KILLED_EXPORT = """
import os, sys
from lumos.lumos1.model import model_folder
from lumos.cli import main
def killed(*words):
    os.kill(os.getpid(), 9)
model_folder.shutil.copyfile = killed
main(sys.argv[1:])
"""


def test_a_killed_export_leaves_nothing_after_the_next(tmp_path: Path, start: Start, trained: Path) -> None:
    run = run_of(tmp_path, trained)
    before = sorted(path.name for path in tmp_path.iterdir())
    words = ["export", run, tmp_path / "model", "--tokenizers", "lumos-tiny"]
    assert ended(start("-c", KILLED_EXPORT, *words))[0] == -9
    left = [path for path in tmp_path.iterdir() if path.name not in before]
    assert any(list(path.glob("*.safetensors")) for path in left if path.is_dir())  # whole GBs of a large model
    assert not (tmp_path / "model").exists()
    status, said = ended(start("-m", "lumos.cli", "export", run, tmp_path / "other"))
    assert status == 0, said
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*before, "other"])


def _small_files() -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))


def test_a_training_on_a_full_disk_says_so_and_what_is_kept(tmp_path: Path, start: Start, trained: Path) -> None:
    run = run_of(tmp_path, trained)
    more = ["trainer.max_steps=2000", "trainer.save_every=0"]
    status, said = ended(start(*training(tmp_path, *more), preexec_fn=_small_files))
    *before, error = said.splitlines()
    assert (status, len(before)) == (2, 1), said
    assert "with other settings than it had: task.data.video" in before[0]  # the run was copied here with its data
    assert error.startswith("lumos: error: "), said
    assert f"cannot write {run / 'metrics.jsonl'}: File too large; free some space" in said
    assert f"the checkpoint {run / 'checkpoints' / 'step-00000003'} is kept" in said
    status, said = ended(start(*training(tmp_path, "trainer.max_steps=5")))
    assert status == 0, said
    assert [row["step"] for row in read_metrics(run)] == [1, 2, 3, 4, 5]


def inputs_at_risk(folder: Path, run: Path) -> dict[str, tuple[Sequence[str | Path], Path]]:
    """Commands that would write over what they read -> the words, and what is read."""
    (folder / "metrics.png").unlink(missing_ok=True)
    os.link(run / "metrics.jsonl", folder / "metrics.png")
    table = folder / "index.json"
    table.write_text("path,text\na.png,a\n")
    tokenize = ["-m", "pre_tokenize", "--input_file", table, "--output_dir", folder, "--modality", "image"]
    model = folder / "model"
    return {
        "plot": (["-m", "lumos.cli", "plot", run, "--out", folder / "metrics.png"], run / "metrics.jsonl"),
        "tokenize": (tokenize, table),
        "export": (["-m", "lumos.cli", "export", run, run, "--overwrite"], run / "config.yaml"),
        "source": (
            ["-m", "lumos.cli", "export", run, model, "--overwrite", "--tokenizers", model],
            model / "config.json",
        ),
        "train": (training(folder, f"trainer.run_dir={model}", f"task.init_from={model}"), model / "config.json"),
    }


def test_no_input_is_written_over(tmp_path: Path, start: Start, trained: Path) -> None:
    run = run_of(tmp_path, trained)
    status, said = ended(start("-m", "lumos.cli", "export", run, tmp_path / "model", "--tokenizers", "lumos-tiny"))
    assert status == 0, said
    for name, (words, path) in inputs_at_risk(tmp_path, run).items():
        before, names = path.read_bytes(), sorted(path.parent.iterdir())
        status, said = ended(start(*words))
        assert (status, len(said.splitlines())) == (2, 1), f"{name}: {said}"
        assert "choose another" in said or "give another" in said, name
        assert (path.read_bytes(), sorted(path.parent.iterdir())) == (before, names), name
