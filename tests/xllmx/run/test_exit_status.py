"""One number for one kind of end, whatever the command; SIGTERM ends it the orderly way."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest
import torch

from xllmx.run.exit_status import (
    CHECK_FAILED,
    STOPPED,
    TERMINATED,
    UNFORESEEN,
    UNREAD,
    USER_ERROR,
    asks_debug,
    status_of,
    terminating,
)


def failing(error: BaseException) -> NoReturn:
    raise error


def test_the_numbers_are_those_that_shells_know() -> None:
    assert (CHECK_FAILED, USER_ERROR, STOPPED, TERMINATED) == (1, 2, 128 + signal.SIGINT, 128 + signal.SIGTERM)


@pytest.mark.parametrize("error", [ValueError("--fps is 0;\n  give 1"), OSError("--fps is 0;\n  give 1")])
def test_a_mistake_is_one_line_under_the_program_s_name(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of("a program", lambda: failing(error)) == USER_ERROR
    assert capsys.readouterr().err == "a program: error: --fps is 0; give 1\n"


def test_no_terminal_obeys_a_name_in_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    status_of("a program", lambda: failing(ValueError("a\x1b[2Jb\x9bc é: no such file")))
    assert capsys.readouterr().err == "a program: error: a?[2Jb?c é: no such file\n"


def test_ctrl_c_says_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of("a program", lambda: failing(KeyboardInterrupt()), stopped="run it again") == STOPPED
    assert capsys.readouterr().err == "a program: run it again\n"


def test_a_command_s_own_status_is_kept() -> None:
    assert [status_of("a program", lambda status=status: status) for status in (0, CHECK_FAILED)] == [0, CHECK_FAILED]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "lumos-open"


@pytest.mark.parametrize(
    "error",
    [
        KeyError("x"),
        RecursionError("too deep"),
        AssertionError(),
        RuntimeError("a\nb " * 400),
        ExceptionGroup("two", [TypeError()]),
    ],
)
def test_what_nobody_foresaw_is_one_line_with_the_path_of_a_report(
    cache: Path, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    assert status_of("a program", lambda: failing(error), words=["--size", "3"]) == UNFORESEEN == 70
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"a program: error: this was not foreseen: {type(error).__name__}")
    assert len(line) < 600
    (report,) = cache.glob("error-*.txt")
    assert line.endswith(f"report in {report}")
    assert "in failing" in report.read_text()
    assert "['--size', '3']" in report.read_text()


def test_debug_shows_the_traceback_and_the_line_comes_last(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for error, status in ((KeyError("x"), UNFORESEEN), (ValueError("y"), USER_ERROR)):
        assert status_of("a program", lambda error=error: failing(error), words=["--debug"]) == status
        first, *_, last = capsys.readouterr().err.splitlines()
        assert first == "Traceback (most recent call last):"
        assert last.startswith("a program: error: ")
    assert len(list(cache.iterdir())) == 1
    assert [asks_debug(words) for words in ([], ["--debug"], ["--", "--debug"], ["debug"])] == [
        False,
        True,
        False,
        False,
    ]


class OutOfMemoryError(RuntimeError):
    """As torch calls it."""


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB"),
        torch.OutOfMemoryError(
            "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.1 GiB"
        ),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:119] DefaultCPUAllocator: can't allocate memory: you tried"),
    ],
)
def test_full_memory_is_said_with_what_to_lower(
    cache: Path, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    assert status_of("a program", lambda: failing(error)) == USER_ERROR
    said = capsys.readouterr().err
    assert re.fullmatch(r"a program: error: memory is full.*give a smaller batch, size or number of frames.*\n", said)
    assert not cache.exists()


def test_a_reader_that_leaves_is_no_error() -> None:
    """As in `lumos plot RUN | head -n 1`, also where the last lines wait in a buffer."""
    for lines in (1, 100_000):
        code = (
            "import sys\nfrom xllmx.run.exit_status import status_of\n"
            f"sys.exit(status_of('a program', lambda: print('line\\n' * {lines}) or 0))"
        )
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run([sys.executable, "-c", code], stdout=writer, stderr=subprocess.PIPE, check=False)
        os.close(writer)
        assert (done.returncode, done.stderr) == (UNREAD, b"")


def test_a_letter_that_the_terminal_lacks_ends_nothing() -> None:
    code = (
        "import sys\nfrom xllmx.run.exit_status import status_of\n"
        "sys.exit(status_of('a program', lambda: print('caf\\xe9 \\udcff') or 0))"
    )
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"caf\\xe9 \\udcff\n", b"")


def test_sigterm_lets_what_was_begun_be_cleaned_up(tmp_path: Path) -> None:
    before, begun = signal.getsignal(signal.SIGTERM), tmp_path / "begun"

    def terminated() -> None:
        with terminating():
            begun.touch()
            try:
                os.kill(os.getpid(), signal.SIGTERM)
            finally:
                begun.unlink()

    with pytest.raises(SystemExit) as ended:
        terminated()
    assert ended.value.code == TERMINATED
    assert not begun.exists()
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_line_beyond_reading_loses_its_middle(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> int:
        raise ValueError(f"name is {'x' * 5000}; type another")

    assert status_of("program", fail, words=[]) == 2
    said = capsys.readouterr().err
    assert len(said) < 650
    assert said.startswith("program: error: name is xxx")
    assert said.endswith("; type another\n")
