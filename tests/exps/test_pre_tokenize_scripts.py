"""Which GPU each process of a pre-tokenisation is given, and how many there are."""

import os
import re
import subprocess
from pathlib import Path

import pytest

FAKE_PYTHON = """#!/bin/bash
case "$*" in *pre_tokenize*) echo "${CUDA_VISIBLE_DEVICES-none} $*" >> "$SAID" ;; esac
"""
FAKE_SMI = """#!/bin/bash
printf 'GPU 0: one\\n  MIG 1g.10gb Device 0: part\\nGPU 1: two\\n'
"""


@pytest.mark.parametrize(
    ("visible", "more", "gpus"),
    [
        (None, [], ["0", "1"]),
        ("5,GPU-7f,3", [], ["5", "GPU-7f", "3"]),
        ("2,-1,3", [], ["2"]),
        ("4,6", ["--splits", "3"], ["4", "6", "4"]),
        ("", [], [""]),
        ("", ["--splits=2"], ["", ""]),
    ],
)
def test_run_tokenization_gives_each_process_a_gpu_of_those_that_are_visible(
    tmp_path: Path, repo: Path, visible: str | None, more: list[str], gpus: list[str]
) -> None:
    for name, content in (("python", FAKE_PYTHON), ("nvidia-smi", FAKE_SMI)):
        (tmp_path / name).write_text(content)
        (tmp_path / name).chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    environment = {"PATH": path, "LUMOS_PYTHON": str(tmp_path / "python"), "SAID": str(tmp_path / "said")}
    environment |= {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    words = ["bash", str(repo / "pre_tokenize" / "run_tokenization.sh"), "--output_dir", "out", *more]
    subprocess.run(words, env=environment, check=True, cwd=tmp_path)
    *ranks, merged = sorted((tmp_path / "said").read_text().splitlines(), key=lambda line: "concat_record" in line)
    assert "-m pre_tokenize.concat_record --output_dir out" in merged
    threads = -(-len(os.sched_getaffinity(0)) // len(gpus))
    own = f" --num_workers {threads}" if any(gpus) else ""
    given = "".join(f" {word}" for word in ["--output_dir", "out", *more])
    said = [f"{gpu} -m pre_tokenize{own}{given} --splits {len(gpus)} --rank {n}" for n, gpu in enumerate(gpus)]
    assert sorted(ranks) == sorted(said)


@pytest.mark.parametrize("words", [["--output-dir", "out"], ["--out-dir=out"]])
def test_the_index_is_of_the_output_however_it_is_spelt(tmp_path: Path, repo: Path, words: list[str]) -> None:
    (tmp_path / "python").write_text(FAKE_PYTHON)
    (tmp_path / "python").chmod(0o755)
    environment = {"PATH": os.environ["PATH"], "LUMOS_PYTHON": str(tmp_path / "python")}
    environment |= {"SAID": str(tmp_path / "said"), "CUDA_VISIBLE_DEVICES": "0"}
    script = str(repo / "pre_tokenize" / "run_tokenization.sh")
    subprocess.run(["bash", script, *words], env=environment, check=True, cwd=tmp_path)
    assert "-m pre_tokenize.concat_record --output_dir out" in (tmp_path / "said").read_text()
    (tmp_path / "said").unlink()
    subprocess.run(["bash", script, *words, "--all-tasks", "4", "--task-id=1"], env=environment, cwd=tmp_path)
    assert "concat_record" not in (tmp_path / "said").read_text()  # other machines have the rest


@pytest.mark.parametrize("script", ["run_tokenization.sh", "run_latents.sh"])
@pytest.mark.parametrize("word", ["-h", "--help"])
def test_help_is_asked_of_one_process_and_no_index_is_made(tmp_path: Path, repo: Path, script: str, word: str) -> None:
    (tmp_path / "python").write_text(FAKE_PYTHON)
    (tmp_path / "python").chmod(0o755)
    environment = {"PATH": os.environ["PATH"], "LUMOS_PYTHON": str(tmp_path / "python")}
    environment |= {"SAID": str(tmp_path / "said"), "CUDA_VISIBLE_DEVICES": "0,1"}
    subprocess.run(["bash", str(repo / "pre_tokenize" / script), word], env=environment, check=True, cwd=tmp_path)
    (line,) = (tmp_path / "said").read_text().splitlines()
    assert line.startswith("0,1 -m pre_tokenize ")
    assert line.endswith(word)


@pytest.mark.parametrize(
    ("environment", "ran"),
    [
        ({"SLURM_STEP_ID": "0", "SLURM_NTASKS": "8", "SLURM_LOCALID": "3"}, ["3 -m pre_tokenize --output_dir out"]),
        (
            {"SLURM_STEP_ID": "0", "SLURM_NTASKS": "1", "SLURM_ARRAY_TASK_ID": "2"},
            [
                "2 -m pre_tokenize --output_dir out --splits 1 --rank 0",
                "2 -m pre_tokenize.outstanding --output_dir out",
                "2 -m pre_tokenize.concat_record --output_dir out",
            ],
        ),
    ],
)
def test_under_slurm_a_task_is_one_process_and_the_last_job_of_an_array_writes_the_index(
    tmp_path: Path, repo: Path, environment: dict[str, str], ran: list[str]
) -> None:
    (tmp_path / "python").write_text(FAKE_PYTHON)
    (tmp_path / "python").chmod(0o755)
    gpus = "0,1,2,3" if len(ran) == 1 else "2"
    environment |= {"PATH": os.environ["PATH"], "LUMOS_PYTHON": str(tmp_path / "python"), "CUDA_VISIBLE_DEVICES": gpus}
    words = ["bash", str(repo / "pre_tokenize" / "run_tokenization.sh"), "--output_dir", "out"]
    subprocess.run(words, env=environment | {"SAID": str(tmp_path / "said")}, check=True, cwd=tmp_path)
    said = (tmp_path / "said").read_text().splitlines()
    assert [re.sub(r" --num_workers \d+", "", line) for line in said] == ran
