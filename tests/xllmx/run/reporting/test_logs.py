"""What is logged during a run stands in its folder, and nothing of logging is left changed."""

import logging
import os
from pathlib import Path

import pytest

from xllmx.run.reporting.logs import logging_to


def test_a_pipe_in_the_place_of_the_log_is_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "log.txt")
    with pytest.raises(ValueError, match=r"log\.txt is a folder, a pipe or a device"), logging_to(tmp_path):
        pass


def test_lines_are_kept_and_appended(tmp_path: Path) -> None:
    before = (logging.getLogger().level, list(logging.getLogger().handlers))
    for text in ("first", "second"):
        with logging_to(tmp_path / "run") as path:
            logging.getLogger("some.module").info("%s line", text)
            logging.getLogger("some.module").debug("not this one")
    lines = path.read_text().splitlines()
    assert path == tmp_path / "run" / "log.txt"
    assert [line.split(" ", 2)[2] for line in lines] == [
        "INFO some.module: first line",
        "INFO some.module: second line",
    ]
    assert (logging.getLogger().level, logging.getLogger().handlers) == before


def test_other_ranks_have_files_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xllmx.run.reporting.logs.rank", lambda: 3)
    with logging_to(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []
    with logging_to(tmp_path) as path:
        logging.getLogger("x").warning("here")
    assert path.name == "log-rank3.txt"
    assert "WARNING x: here" in path.read_text()
