"""Names in files stay in their folder."""

from pathlib import Path

import pytest

from xllmx.safe.inside import bare_name, inside

OUTSIDE = [
    "../a", "a/../../b", "/etc/passwd", "..", "a/..", "~/a", "~me/a", "C:\\a", "\\\\host\\share\\a", "..\\a",
    "a\\..\\..\\b", "//host/a",
]  # fmt: skip
NO_PATH = ["", None, 3, True, ["a"], {"a": 1}, "a\0b", "a/" * 3000]


@pytest.mark.parametrize("name", ["a.png", "a/b.png", "./a.png", "a b.png", "\u00e4.png", "..a", "a..b/c", "a:b"])
def test_what_lies_inside_is_its_path(tmp_path: Path, name: str) -> None:
    assert inside(tmp_path, name, said_by="list.json", remedy="move it") == tmp_path / name


@pytest.mark.parametrize("name", OUTSIDE)
def test_what_leads_out_is_refused_with_the_remedy(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"list\.json names .*, which lies outside .*; move it$"):
        inside(tmp_path, name, said_by="list.json", remedy="move it")


@pytest.mark.parametrize("name", NO_PATH, ids=range(len(NO_PATH)))
def test_what_is_no_path_is_refused_shortly(tmp_path: Path, name: object) -> None:
    with pytest.raises(ValueError, match=r"list\.json names .*, which is no path of a file; move it$") as caught:
        inside(tmp_path, name, said_by="list.json", remedy="move it")
    assert len(str(caught.value)) < 300


def test_a_bare_name_has_no_folders() -> None:
    assert bare_name("a.mp4", said_by="x", remedy="y") == "a.mp4"
    for name in ("a/b.mp4", "./a.mp4", "a/", ".", *OUTSIDE, *NO_PATH):
        with pytest.raises(ValueError, match=r"^x names .*; y$"):
            bare_name(name, said_by="x", remedy="y")
