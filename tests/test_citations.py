"""What the code cites can be opened: papers by their number, pages of the repository by a path and a section of it."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.test_architecture import REPO, short, texts

SUFFIXES = {".py", ".sh", ".yaml", ".toml", ".md", ".txt"}
PAGE = re.compile(r"(?<![\w*{/.-])(\.?\.?[\w/.-]*\b[A-Z_]+\.md)\b(?:`?,? sections? ([\d.]*\d))?")
"""A page of a checkout, whose name is in capitals, and a section of it."""

BARE = re.compile(r"\b(?:README|readme),?(?: sections?)? ([\d.]*\d)")
"""A section of the README of the wing."""

WINGS = re.compile(r"^(?:lumos|benchmarks|tests/lumos)/(lumos1|lumina_video)/")
WRITTEN = {"OUT/BENCHMARK.md", "FIRST_RUN.md", "RESULTS.md"}
"""What programs write, and what is named by its last part in a drawing of its folder."""

ELSEWHERE = re.compile(
    r"\bSP" + r"EC\b(?![_=])|\u00a7|shared/" + r"docs|\b(?:DES" + r"IGN|STY" + r"LE|COM" + r"PAT|PERFORM" + r"ANCE)\.md"
)
"""Notes that are no part of the repository, and the sign for their sections."""

PAPER = re.compile(r"(?i:arxiv)[ :./a-z]*(\d[\d.]*\d)")


def cited(pattern: re.Pattern[str]) -> Iterator[tuple[Path, re.Match[str]]]:
    for path, text in texts():
        if path.suffix in SUFFIXES and path != Path(__file__):
            for found in pattern.finditer(re.sub(r"\n(?:#| )* *", " ", text)):
                yield path, found


def pages_of(path: Path, name: str) -> list[Path]:
    """Where a page that a file names may lie: from the top, beside it, or in a folder above it."""
    above = [folder for folder in path.parents if folder.is_relative_to(REPO)]
    return [page for folder in above if (page := (folder / name)).is_file()]


def has_section(page: Path, number: str) -> bool:
    heading = rf"^(?:#+ {re.escape(number)}\.? |\*\*{re.escape(number)}[ *])"
    return re.search(heading, page.read_text(encoding="utf-8"), re.MULTILINE) is not None


def test_nothing_is_cited_that_a_reader_cannot_open() -> None:
    assert [f"{short(path)}: {found[0]}" for path, found in cited(ELSEWHERE)] == []


def test_pages_that_are_cited_are_in_the_repository() -> None:
    found = [(path, match) for path, match in cited(PAGE) if match[1] not in WRITTEN]
    assert len(found) > 40
    assert [f"{short(path)}: {match[1]}" for path, match in found if not pages_of(path, match[1])] == []


def test_sections_that_are_cited_are_headings_of_the_page() -> None:
    named = [(path, match) for path, match in cited(PAGE) if match[2]]
    assert len(named) > 10
    wrong = [
        f"{short(path)}: {match[0]}"
        for path, match in named
        if not any(has_section(page, match[2]) for page in pages_of(path, match[1]))
    ]
    assert wrong == []


def test_sections_of_a_wing_s_readme_are_headings_of_it() -> None:
    found = list(cited(BARE))
    assert len(found) > 15
    for path, match in found:
        wing = WINGS.match(short(path))
        assert wing, f"{short(path)} cites {match[0]!r}: of which README?"
        assert has_section(REPO / "lumos" / wing[1] / "README.md", match[1]), f"{short(path)}: {match[0]}"


def test_papers_are_cited_by_their_whole_number() -> None:
    numbers = {match[1] for _, match in cited(PAPER)}
    assert {"2507.08801", "2502.06782"} <= numbers
    assert [number for number in numbers if not re.fullmatch(r"\d{4}\.\d{4,5}", number)] == []


@pytest.mark.parametrize(
    "text", ["SP" + "EC.md, section 3", "as the SP" + "EC says", "see \u00a7 4.2", "DES" + "IGN.md"]
)
def test_a_citation_of_a_note_elsewhere_would_be_found(text: str) -> None:
    assert ELSEWHERE.search(text)


def test_a_section_that_is_gone_would_be_found() -> None:
    page = REPO / "lumos" / "lumina_video" / "README.md"
    assert has_section(page, "2.6")
    assert not has_section(page, "2.60")
    assert not has_section(page, "27")
