"""The part of a Markdown page that a command writes, between two marks; people write the rest."""

from dataclasses import dataclass
from pathlib import Path

from xllmx.disk.files import write_text


@dataclass(frozen=True, kw_only=True)
class MarkedSection:
    """One such part, of any page."""

    begin: str
    """The line before it, a comment of HTML."""
    end: str
    """The line behind it."""

    def around(self, page: Path) -> tuple[str, str]:
        """Return what stands before and behind the marks.

        Raises:
            ValueError: the page is not there, or has no such marks.
        """
        before, _, rest = (page.read_text(encoding="utf-8") if page.is_file() else "").partition(self.begin)
        _, end, after = rest.partition(self.end)
        if not end:
            raise ValueError(
                f"{page} has no place for the table: write a line {self.begin} and below it one {self.end}"
            )
        return before, after

    def write(self, page: Path, text: str) -> None:
        """Put `text` between the marks of a page, in place of what is there; all else stays.

        Raises:
            ValueError: as `around`.
        """
        before, after = self.around(page)
        write_text(page, "\n\n".join([before + self.begin, text.rstrip("\n"), self.end + after]))
