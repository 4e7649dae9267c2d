"""The tables in a page that people wrote the rest of."""

from pathlib import Path

from xllmx.disk.files import write_text

BEGIN = "<!-- tables: written by `bash exps/ablations.sh --report --into exps/ABLATIONS.md` -->"
END = "<!-- end of tables -->"


def replace_tables(page: Path, text: str) -> None:
    """Write `text` between the two marks of a page; all else stays.

    Raises:
        ValueError: the page is not there, or has no marks.
    """
    before, begin, rest = (page.read_text(encoding="utf-8") if page.is_file() else "").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"--into {page} has not both lines {BEGIN} and {END}; give exps/ABLATIONS.md, or write them")
    write_text(page, f"{before}{BEGIN}\n\n{text}\n{END}{after}")
