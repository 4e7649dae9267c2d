"""The part of a page that a command writes."""

from pathlib import Path

import pytest

from eval.marked_section import MarkedSection

SECTION = MarkedSection(begin="<!-- a -->", end="<!-- z -->")


def test_a_section_replaces_what_is_between_its_marks(tmp_path: Path) -> None:
    page = tmp_path / "page.txt"
    page.write_text("before\n<!-- a -->\n<!-- z -->\nbehind\n")
    for text in ("| old |", "| new |\n"):
        SECTION.write(page, text)
    assert page.read_text() == "before\n<!-- a -->\n\n| new |\n\n<!-- z -->\nbehind\n"


@pytest.mark.parametrize("held", [None, "", "<!-- a -->\nno end", "<!-- z -->\n<!-- a -->"])
def test_a_page_without_marks_is_refused_and_stays(held: str | None, tmp_path: Path) -> None:
    page = tmp_path / "page.txt"
    if held is not None:
        page.write_text(held)
    with pytest.raises(ValueError, match="has no place for the table: write a line <!-- a --> and below it one"):
        SECTION.write(page, "| new |")
    assert (page.read_text() if page.exists() else None) == held
