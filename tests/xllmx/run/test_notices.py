"""Notices are said in one line under the program's name, a few of a kind; other warnings are shown as ever."""

import time
import warnings

import pytest

from xllmx.run.exit_status import status_of
from xllmx.run.notices import MOST_SAID, PAUSE_S, Notice


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


def test_of_one_kind_a_few_are_said_and_later_one_with_how_many_were_not(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)

    def command() -> int:
        nonlocal now
        warned(*(Notice(f"sample {number}") for number in range(MOST_SAID + 4)), OtherNotice("of another kind"))
        now += PAUSE_S
        return warned(Notice("much later"), Notice("right behind it"))

    status_of("a program", command)
    expected = [f"sample {number}" for number in range(MOST_SAID)]
    expected += ["of another kind", "much later (4 more of the kind were not said)"]
    assert capsys.readouterr().err.splitlines() == [f"a program: warning: {text}" for text in expected]


def test_other_warnings_are_shown_as_before(recwarn: pytest.WarningsRecorder) -> None:
    show = warnings.showwarning
    status_of("a program", lambda: warned(UserWarning("of a library")))
    assert [str(one.message) for one in recwarn] == ["of a library"]
    assert warnings.showwarning is show
