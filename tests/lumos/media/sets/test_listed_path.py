"""What a row of a list may name, and where it is found."""

from pathlib import Path
from unicodedata import normalize

import pytest

from lumos.media.sets.listed_path import listed_path

CAFE = "caf\u00e9/\u00fcber.mp4"


@pytest.mark.parametrize("stored", ["NFC", "NFD"])
@pytest.mark.parametrize("written", ["NFC", "NFD"])
def test_an_accent_is_found_however_it_is_written_and_stored(tmp_path: Path, stored: str, written: str) -> None:
    file = tmp_path / normalize(stored, CAFE)
    file.parent.mkdir()
    file.touch()
    assert listed_path(tmp_path, normalize(written, CAFE)) == file
    assert listed_path(Path("/nowhere"), normalize(written, str(file))).exists()


def test_the_forms_of_folder_and_file_may_differ(tmp_path: Path) -> None:
    folder, name = CAFE.split("/")
    file = tmp_path / normalize("NFC", folder) / normalize("NFD", name)
    file.parent.mkdir()
    file.touch()
    assert listed_path(tmp_path, CAFE) == file


def test_what_is_not_there_is_as_it_is_written(tmp_path: Path) -> None:
    assert listed_path(tmp_path, CAFE) == tmp_path / CAFE
    assert listed_path(tmp_path, "\u00e9" * 300 + ".mp4") == tmp_path / ("\u00e9" * 300 + ".mp4")
    assert listed_path(tmp_path, "\0\u00e9") == tmp_path / "\0\u00e9"


def test_home_is_that_of_the_user_unless_the_folder_has_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert listed_path(tmp_path, "~/a.mp4") == tmp_path / "home" / "a.mp4"
    assert listed_path(tmp_path, "~a.mp4") == tmp_path / "~a.mp4"
    (tmp_path / "~").mkdir()
    assert listed_path(tmp_path, "~/a.mp4") == tmp_path / "~" / "a.mp4"
