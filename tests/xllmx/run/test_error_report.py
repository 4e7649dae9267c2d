"""A report says what is needed to mend an error and nothing else; saving it never fails."""

import os
from pathlib import Path

import pytest

from xllmx.run.error_report import UnforeseenError, report_of, reported_into, save_report, unforeseen


def raised(text: str = "odd") -> KeyError:
    try:
        raise KeyError(text)
    except KeyError as error:
        return error


def test_a_report_has_traceback_versions_and_command_and_nothing_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("A_SECRET_OF_THE_ENVIRONMENT", "hush-hush")
    text = report_of(
        raised(), ["lumos", "generate", "--hf-token", "abc", "--hub-token=def", "--seed", "3", "a=b", "api_key=k"]
    )
    assert "KeyError: 'odd'" in text
    assert "python 3." in text
    assert "torch 2." in text
    assert (
        "command: ['lumos', 'generate', '--hf-token', '***', '--hub-token=***', '--seed', '3', 'a=b', 'api_key=***']"
        in text
    )
    assert not any(value in text for value in ("hush-hush", "A_SECRET_OF", "abc", "def'"))


def test_a_report_lies_in_the_folder_given_else_in_the_cache_else_in_a_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    places = [tmp_path / "run", tmp_path / "cache" / "lumos-open", tmp_path / "temporary" / f"lumos-open-{os.getuid()}"]
    saved = []
    for folder, cache in (("run", "cache"), ("file/run", "cache"), ("file/run", "file")):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / cache))
        saved.append(save_report(raised(), folder=tmp_path / folder))
    assert [path and path.parent for path in saved] == places
    assert [len(list(place.iterdir())) for place in places] == [1, 1, 1]


def test_no_report_is_said_where_no_folder_takes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "file"))
    assert unforeseen(raised()) == (
        "this was not foreseen: KeyError: 'odd'; no report could be saved; --debug shows it"
    )


def test_text_that_no_file_holds_and_endless_tracebacks_are_reported_too(tmp_path: Path) -> None:
    path = save_report(raised("\ud800" * 500_000), folder=tmp_path)
    assert path is not None
    assert "[...]" in path.read_text(encoding="utf-8")
    assert path.stat().st_size < 2_000_000


def test_the_report_of_a_run_lies_in_its_folder_and_mistakes_of_the_user_s_have_none(tmp_path: Path) -> None:
    with pytest.raises(UnforeseenError, match=f"KeyError: 'odd'; report in {tmp_path}/error-"), reported_into(tmp_path):
        raise raised()
    for error in (ValueError("mend it"), OSError("mend it"), MemoryError()):
        with pytest.raises(type(error)), reported_into(tmp_path):
            raise error
    assert len(list(tmp_path.iterdir())) == 1
