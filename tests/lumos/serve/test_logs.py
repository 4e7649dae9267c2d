"""What the server writes down."""

import base64
import io
import logging
import struct
import warnings

import pytest
from PIL import Image

from lumos.serve.logs import Entry, let_be_what_pictures_hold
from lumos.serve.requests.uploads import picture_of


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


def tiff_with_bad_tags(number: int) -> bytes:
    """A picture of 8x8 px whose tags, but for those it needs, name bytes far past its end."""
    out = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(out, "TIFF")
    content = out.getvalue()
    (begin,) = struct.unpack("<I", content[4:8])
    (sound,) = struct.unpack("<H", content[begin : begin + 2])
    tags = content[begin + 2 : begin + 2 + 12 * sound]
    tags += b"".join(struct.pack("<HHII", 50000 + tag, 7, 4000, 0x7FFF0000) for tag in range(number))
    directory = struct.pack("<H", sound + number) + tags + bytes(4)
    return content[:4] + struct.pack("<I", len(content)) + content[8:] + directory


def test_a_picture_of_many_bad_tags_writes_no_lines() -> None:
    sent = "data:image/tiff;base64," + base64.b64encode(tiff_with_bad_tags(1000)).decode()
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        let_be_what_pictures_hold()
        picture = picture_of(sent, param="input_reference")
    assert picture is not None
    assert picture.getpixel((3, 3)) == (255, 0, 0)
    assert shown == []
