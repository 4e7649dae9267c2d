"""What a header lacks is said with what it has, and what a spreadsheet does to a CSV."""

import pytest

from xllmx.safe.csv_header import lacking

WANTED = ("path", "text")


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (["path", "caption"], "lacks the column(s) text (it has: path, caption); its first line must name path,text"),
        (["path;text"], "lacks the column(s) path, text (it has: path;text); its fields stand between semicolons, "
         "write it with commas"),
        (["path\ttext"], "lacks the column(s) path, text (it has: path text); its fields stand between tabs, write it "
         "with commas"),
        (["Path", " text"], "lacks the column(s) path, text (it has: Path, text); its first line must name path,text "
         "in small letters and without spaces"),
        ([], "lacks the column(s) path, text (it has: nothing); its first line must name path,text"),
        (["other", "text", "path"], None),
    ],
)  # fmt: skip
def test_it_says_what_to_do(found: list[str], said: str | None) -> None:
    assert lacking(found, WANTED) == said
