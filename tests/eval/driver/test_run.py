"""Killed at every step, run by several at once, on a full disk: nothing half there, and the next run completes it."""

import os
import resource
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from eval.geneval import __main__ as geneval
from eval.vbench import t2v as vbench_t2v
from lumos.cli.jobs.record import read_record
from lumos.hub.hashes import sha256_of

Contents = Callable[[Path], dict[str, bytes]]
KILLED, CRASHED = 9, 70


def in_child(work: Callable[[], int]) -> int:
    """The exit status of some work in a forked process, which ends without cleaning up."""
    return status_of(start_child(work))


def start_child(work: Callable[[], int]) -> int:
    """The process that does some work; whatever happens there, it never comes back to the tests."""
    child = os.fork()
    if child == 0:
        status = CRASHED
        try:
            status = work()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return child


def status_of(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def killed_at_rename(number: int, work: Callable[[], int]) -> int:
    """The exit status of some work that is killed just before file or folder number `number` gets its name."""

    def run() -> int:
        renamed, replace = 0, Path.replace

        def counting(path: Path, target: Path) -> Path:
            nonlocal renamed
            renamed += 1
            if renamed > number:
                os._exit(KILLED)
            return replace(path, target)

        Path.replace = counting  # type: ignore[method-assign]
        return work()

    return in_child(run)


@pytest.fixture
def commands(model: Path, metadata: Path, full_info: Path) -> dict[str, Callable[..., int]]:
    """Both kinds of folders, with two batches of two samples."""

    def images(out: Path, *words: str) -> int:
        paths = ["--model", str(model), "--prompts", str(metadata), "--out", str(out)]
        return geneval.main([*paths, "--short", "--samples", "2", "--first", "2", "--batch-size", "2", *words])

    def videos(out: Path, *words: str) -> int:
        paths = ["--model", str(model), "--prompts", str(full_info), "--out", str(out), "num_frames=5"]
        return vbench_t2v.main([*paths, "--short", "--samples", "2", "--first", "2", "--batch-size", "2", *words])

    return {"geneval": images, "vbench": videos}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["geneval", "vbench"])
def test_killed_at_any_step_a_folder_holds_whole_samples_and_the_next_run_completes_it(
    kind: str, commands: dict[str, Callable[..., int]], contents: Contents, tmp_path: Path
) -> None:
    command, number, seen = commands[kind], 0, set()
    assert command(tmp_path / "whole") == 0
    whole = contents(tmp_path / "whole")
    while killed_at_rename(number, lambda out=tmp_path / str(number): command(out)) == KILLED:  # type: ignore[misc]
        out = tmp_path / str(number)
        found = contents(out)
        seen.add(len(found))
        assert {name: whole[name] for name in found} == found
        prompts = {name.partition("/")[0] for name in found}
        assert kind == "vbench" or len(found) == len(prompts) * 4  # two images, grid, metadata
        if number % 3 == 0:
            assert command(out) == 0
            assert contents(out) == whole
            assert list((tmp_path / f"{number}_records/.staging").iterdir()) == []
        number += 1
    assert number > 15
    assert seen == ({0, 4} if kind == "geneval" else {0, 1, 2, 3})


def test_a_killed_worker_costs_its_batch(
    commands: dict[str, Callable[..., int]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "o"
    number = 0
    while len(list(out.glob("*.mp4"))) < 3 and number < 40:  # until the second of two batches is half in place
        killed_at_rename(number, lambda: commands["vbench"](out))
        number += 1
    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    capsys.readouterr()
    assert commands["vbench"](out) == 0
    assert "1 made, 3 finished before" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_full_disk_is_one_line_and_leaves_nothing_half_written(
    commands: dict[str, Callable[..., int]], contents: Contents, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "o"
    assert commands["vbench"](out) == 0
    whole = contents(out)
    for path in out.iterdir():
        path.unlink()

    def short_of_space() -> int:
        resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))
        return commands["vbench"](out)

    capfd.readouterr()
    assert in_child(short_of_space) == 2
    error = capfd.readouterr().err.splitlines()[-1]
    assert error.startswith("eval.vbench_t2v: error: cannot write ")
    assert "free some space or choose another folder" in error
    assert list(out.iterdir()) == []
    assert list((tmp_path / "o_records/.staging").iterdir()) == []
    assert commands["vbench"](out) == 0
    assert contents(out) == whole


def test_two_that_do_the_same_work_at_once_end_with_one_whole_folder(
    commands: dict[str, Callable[..., int]], contents: Contents, tmp_path: Path
) -> None:
    assert commands["geneval"](tmp_path / "whole") == 0
    for kind in ("together", "again"):
        out = tmp_path / kind
        children = [start_child(lambda out=out: commands["geneval"](out)) for _ in range(3)]  # type: ignore[misc]
        assert [status_of(child) for child in children] == [0, 0, 0]
        assert contents(out) == contents(tmp_path / "whole")
        for path in out.glob("*/samples/*.png"):
            record = read_record(tmp_path / f"{kind}_records" / path.parts[-3] / path.name)
            assert record is not None
            assert record["output_hash"] == sha256_of(path)


@pytest.mark.slow
def test_torchrun_makes_what_one_process_makes(
    commands: dict[str, Callable[..., int]], contents: Contents, model: Path, metadata: Path, tmp_path: Path, repo: Path
) -> None:
    assert commands["geneval"](tmp_path / "whole", "--batch-size", "1") == 0
    words = ["-m", "eval.geneval", "--model", model, "--prompts", metadata, "--out", tmp_path / "o", "--short"]
    words += ["--samples", "2", "--first", "2", "--batch-size", "1", "--part", "[1,1]"]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "3"]
    done = subprocess.run([*torchrun, *map(str, words)], cwd=repo, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert contents(tmp_path / "o") == contents(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["geneval", "vbench_t2v", "vbench_i2v"])
def test_the_shell_wrappers_run_the_driver(name: str, repo: Path, tmp_path: Path) -> None:
    script = repo / "eval" / f"inference_{name}.sh"
    words = ["--prompts", str(tmp_path / "none.jsonl"), "--part", "[1,2]"]
    done = subprocess.run(["bash", str(script), *words], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(f"eval.{name}: error: cannot read the prompt file")
    helped = subprocess.run(["bash", str(script), "--help"], capture_output=True, text=True, check=False)
    assert helped.returncode == 0
    assert "--part i,n" in helped.stdout
