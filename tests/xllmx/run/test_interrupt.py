"""Ctrl-C in the first seconds: one line and status 130, also where a library swallows the interrupt."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from xllmx.run.exit_status import STOPPED
from xllmx.run.interrupt import loading

REPO = Path(__file__).resolve().parents[3]
EXAMPLE = REPO / "pre_tokenize/csv_files/test_video.csv"
SLOW = """
import time
print("loading", flush=True)
try:
    time.sleep(60)
except BaseException:  # as some libraries do around what is optional
    pass
"""


@pytest.fixture(autouse=True)
def ctrl_c_heeded():
    """Ctrl-C is heeded here and in the processes started, also where the tests themselves run in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    ("slow", "words"),
    [
        ("huggingface_hub", ["lumos.cli", "download", "1B/stage-2-joint"]),
        (
            "torch",
            ["lumos.cli", "train", "--config", str(REPO / "configs/train/debug.yaml"), "task.data.video=s3://b/a"],
        ),
        ("torch", ["lumos.cli", "doctor"]),
        ("torch", ["pre_tokenize", "--input_file", str(EXAMPLE), "--output_dir", "made"]),
        ("torch", ["eval.shapes", "--help"]),
        ("torch", ["eval.custom", "t2v"]),
        ("torch", ["eval.geneval", "--prompts", "list.jsonl"]),
    ],
)
def test_ctrl_c_while_a_program_loads_is_one_line(repo: Path, tmp_path: Path, slow: str, words: list[str]) -> None:
    (tmp_path / f"{slow}.py").write_text(SLOW)
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{repo}"}
    process = subprocess.Popen(
        [sys.executable, "-m", *words],
        env=environment,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    lines = iter(process.stdout.readline, "")  # a driver says first which model it takes
    assert "loading\n" in lines
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=30)[1]
    assert (process.returncode, said.count("\n")) == (STOPPED, 1), said
    assert "stopped before anything was begun" in said


def test_after_loading_ctrl_c_is_an_interrupt_again() -> None:
    before = signal.getsignal(signal.SIGINT)
    with loading("a program"):
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before


def test_an_ignored_ctrl_c_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with loading("a program"):
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_outside_the_main_thread_ctrl_c_stays_what_it_is() -> None:
    def load() -> bool:
        with loading("a program"):
            return signal.getsignal(signal.SIGINT) is before

    before = signal.getsignal(signal.SIGINT)
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(load).result()
