"""One number for one kind of end, whatever the command; SIGTERM ends it the orderly way."""

import os
import signal
from pathlib import Path
from typing import NoReturn

import pytest

from lumos.cli.exit_status import CHECK_FAILED, STOPPED, TERMINATED, USER_ERROR, status_of, terminating


def failing(error: BaseException) -> NoReturn:
    raise error


def test_the_numbers_are_those_that_shells_know() -> None:
    assert (CHECK_FAILED, USER_ERROR, STOPPED, TERMINATED) == (1, 2, 128 + signal.SIGINT, 128 + signal.SIGTERM)


@pytest.mark.parametrize("error", [ValueError("--fps is 0;\n  give 1"), OSError("--fps is 0;\n  give 1")])
def test_a_mistake_is_one_line_under_the_program_s_name(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of("a program", lambda: failing(error)) == USER_ERROR
    assert capsys.readouterr().err == "a program: error: --fps is 0; give 1\n"


def test_ctrl_c_says_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of("a program", lambda: failing(KeyboardInterrupt()), stopped="run it again") == STOPPED
    assert capsys.readouterr().err == "a program: run it again\n"


def test_a_command_s_own_status_is_kept_and_a_mistake_of_ours_is_not_hidden() -> None:
    assert [status_of("a program", lambda status=status: status) for status in (0, CHECK_FAILED)] == [0, CHECK_FAILED]
    with pytest.raises(AssertionError):
        status_of("a program", lambda: failing(AssertionError()))


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
