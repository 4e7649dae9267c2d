"""What the server writes down."""

import io
import logging

import pytest

from lumos.serve.logs import Entry


@pytest.mark.parametrize(
    "text", ["a\nERROR: forged", "a\r\nERROR: forged", "\x1b[2J\x1b]0;x\x07", "a\u2028\u202eb\x85c"]
)
def test_no_text_ends_its_entry_or_speaks_to_the_terminal(text: str) -> None:
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(Entry())
    try:
        raise ValueError(text)
    except ValueError as error:
        failed = (type(error), error, error.__traceback__)
    for exc_info in (None, failed):
        handler.emit(logging.LogRecord("x", logging.ERROR, "x", 1, "job failed: %s", (text,), exc_info))
    lines = out.getvalue().splitlines()
    assert [line for line in lines if not line.startswith(" ")] == [lines[0], lines[0]]
    assert all(line.isprintable() for line in lines)
    assert lines[0].startswith("ERROR: job failed: ")
