"""Notices are said in one line under the program's name, a few of a kind; other warnings are shown as ever."""

import warnings

import pytest

from xllmx.run.exit_status import status_of
from xllmx.run.notices import MOST_SAID, Notice


class OtherNotice(Notice):
    """Of another kind."""


@pytest.fixture(autouse=True)
def shown() -> None:
    warnings.simplefilter("always")


def warned(*messages: Warning) -> int:
    for message in messages:
        warnings.warn(message, stacklevel=1)
    return 0


@pytest.mark.filterwarnings("default")
def test_a_notice_is_one_line_as_an_error_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of("a program", lambda: warned(Notice("the prompt is cut;\n  shorten it\x1b[2J"))) == 0
    assert capsys.readouterr().err == "a program: warning: the prompt is cut; shorten it?[2J\n"


def test_of_one_kind_a_few_are_said_and_the_last_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    many = [Notice(f"caption {number}") for number in range(9)]
    status_of("a program", lambda: warned(*many, OtherNotice("of another kind")))
    lines = capsys.readouterr().err.splitlines()
    assert lines[: MOST_SAID - 1] == [f"a program: warning: caption {number}" for number in range(MOST_SAID - 1)]
    assert lines[MOST_SAID - 1].startswith("a program: warning: caption 2 (it is the last one of its kind")
    assert lines[MOST_SAID:] == ["a program: warning: of another kind"]


def test_other_warnings_are_shown_as_before(recwarn: pytest.WarningsRecorder) -> None:
    show = warnings.showwarning
    status_of("a program", lambda: warned(UserWarning("of a library")))
    assert [str(one.message) for one in recwarn] == ["of a library"]
    assert warnings.showwarning is show
