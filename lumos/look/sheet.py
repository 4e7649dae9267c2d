"""A contact sheet: cards with a few frames, what was said of them, and a line of facts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from lumos.look.places import spread_places
from lumos.look.words import printable
from lumos.media.writing import write_image
from xllmx.disk.place import check_file, inputs_of

FRAMES = 4
"""Frames of a strip at most."""

_SUFFIXES = (".png", ".jpg", ".webp")
_SIDE_PX, _WIDEST = 128, 2.5
_PAGE_PX, _GAP_PX, _PAD_PX, _BETWEEN_PX, _LABEL_PX = 1920, 16, 12, 3, 62
_TITLE_PX, _TEXT_PX, _NOTE_PX, _MOST_LINES = 20, 14, 12, 3
_LEAST_TEXT_PX = 190
_PAGE, _CARD, _EDGE, _INK, _GREY = "#f3f3f0", "#ffffff", "#dcdcd6", "#1c1c1c", "#75756e"
_BEYOND_LATIN, _PUNCTUATION = 0x250, range(0x2010, 0x2027)
_WIDE_FONTS = ("NotoSansCJK-Regular.ttc", "DejaVuSans.ttf", "Arial Unicode.ttf", "msyh.ttc")
"""Tried for letters that the font of Pillow lacks, wherever the system keeps its fonts."""


@dataclass(frozen=True, kw_only=True)
class Strip:
    """Frames side by side."""

    frames: Sequence[Image.Image]
    """At most `FRAMES`."""
    label: str = ""
    """A word at its left."""


@dataclass(frozen=True, kw_only=True)
class Card:
    """One clip on the sheet."""

    strips: Sequence[Strip] = field(default_factory=list)
    """One under the other, frames of one moment in one column; none where nothing can be shown."""
    text: str = ""
    """A caption or prompt, of which a few lines are shown."""
    note: str = ""
    """Facts in grey, in one line or two."""


def strip_of(frames: UInt8[np.ndarray, "F H W 3"], label: str = "") -> Strip:
    """A strip of frames spread from first to last, no larger than the sheet shows them."""
    pictures = [Image.fromarray(frames[place]) for place in spread_places(len(frames), FRAMES)]
    for picture in pictures:
        if max(picture.size) > 4 * _SIDE_PX:
            picture.thumbnail((4 * _SIDE_PX, 4 * _SIDE_PX))
    return Strip(frames=pictures, label=label)


def check_sheet(path: Path, *, inputs: Mapping[str, Path | str | None]) -> None:
    """Check that a sheet can be written at `path` later on; `inputs` may not be written over.

    Raises:
        ValueError: the name is no picture's, or nothing can be written there.
    """
    if path.suffix.lower() not in _SUFFIXES:
        raise ValueError(f"{path}: a sheet is a picture; give a name that ends in {' or '.join(_SUFFIXES)}")
    check_file(path, inputs=inputs_of(inputs))


def write_sheet(path: Path, cards: Sequence[Card], *, title: str) -> None:
    """Write a sheet of cards in rows, whole or not at all; ValueError where there is none, or no picture can be."""
    if not cards:
        raise ValueError(f"{path}: there is nothing to show")
    write_image(path, np.asarray(_sheet(cards, title)))


def _sheet(cards: Sequence[Card], title: str) -> Image.Image:
    box, indent = _box(cards), _LABEL_PX if any(strip.label for card in cards for strip in card.strips) else 0
    num_frames = max((len(strip.frames) for card in cards for strip in card.strips), default=1)
    inner = max(indent + num_frames * (box[0] + _BETWEEN_PX) - _BETWEEN_PX, _LEAST_TEXT_PX)
    drawn = [_card(card, box, indent=indent, inner=inner) for card in cards]
    width = drawn[0].width
    per_row = max(1, min(len(cards), (_PAGE_PX - _GAP_PX) // (width + _GAP_PX)))
    rows = [drawn[start : start + per_row] for start in range(0, len(drawn), per_row)]
    heights = [max(picture.height for picture in row) for row in rows]
    page_width = _GAP_PX + per_row * (width + _GAP_PX)
    heading = _wrapped(title, _TITLE_PX, page_width - 2 * _GAP_PX, most=2)
    top = _GAP_PX + len(heading) * (_TITLE_PX + 6) + _GAP_PX // 2
    page = Image.new("RGB", (page_width, top + sum(heights) + _GAP_PX * len(rows)), _PAGE)
    draw = ImageDraw.Draw(page)
    _write(draw, heading, (_GAP_PX, _GAP_PX - 2), _TITLE_PX, _INK)
    for row, height in zip(rows, heights, strict=True):
        for place, picture in enumerate(row):
            left = _GAP_PX + place * (width + _GAP_PX)
            corners = (left, top, left + width - 1, top + height - 1)
            draw.rounded_rectangle(corners, radius=6, fill=_CARD, outline=_EDGE)
            page.paste(picture.crop((6, 6, width - 6, picture.height - 6)), (left + 6, top + 6))
        top += height + _GAP_PX
    return page


def _box(cards: Sequence[Card]) -> tuple[int, int]:
    """The place of one frame, (width, height): as large for all shapes, of the middle one's aspect."""
    sizes = [frame.size for card in cards for strip in card.strips for frame in strip.frames[:1]]
    aspect = float(np.median([width / height for width, height in sizes])) if sizes else 1.0
    root = min(max(aspect, 1 / _WIDEST), _WIDEST) ** 0.5
    return round(_SIDE_PX * root), round(_SIDE_PX / root)


def _card(card: Card, box: tuple[int, int], *, indent: int, inner: int) -> Image.Image:
    text = _wrapped(card.text, _TEXT_PX, inner, most=_MOST_LINES)
    note = _wrapped(card.note, _NOTE_PX, inner, most=2)
    strips = len(card.strips) * (box[1] + _BETWEEN_PX)
    height = 2 * _PAD_PX + strips + 6 + len(text) * (_TEXT_PX + 4) + len(note) * (_NOTE_PX + 4)
    picture = Image.new("RGB", (inner + 2 * _PAD_PX, height), _CARD)
    draw, top = ImageDraw.Draw(picture), _PAD_PX
    for strip in card.strips:
        _write(draw, [strip.label], (_PAD_PX, top + box[1] // 2 - 8), _NOTE_PX, _GREY)
        for place, frame in enumerate(strip.frames):
            fitted = _fitted(frame, box)
            left = _PAD_PX + indent + place * (box[0] + _BETWEEN_PX) + (box[0] - fitted.width) // 2
            picture.paste(fitted, (left, top + (box[1] - fitted.height) // 2))
        top += box[1] + _BETWEEN_PX
    top += 4
    _write(draw, text, (_PAD_PX, top), _TEXT_PX, _INK)
    _write(draw, note, (_PAD_PX, top + len(text) * (_TEXT_PX + 4) + 2), _NOTE_PX, _GREY)
    return picture


def _fitted(frame: Image.Image, box: tuple[int, int]) -> Image.Image:
    """A frame as large as its place lets it be; small ones by whole pixels, so that nothing is smoothed over."""
    scale = min(box[0] / frame.width, box[1] / frame.height)
    how = Image.Resampling.NEAREST if scale >= 2 else Image.Resampling.LANCZOS
    return frame.resize((max(1, round(frame.width * scale)), max(1, round(frame.height * scale))), how)


def _write(draw: ImageDraw.ImageDraw, lines: Sequence[str], place: tuple[int, int], size: int, colour: str) -> None:
    font = _font_of("".join(lines), size)
    for number, text in enumerate(lines):
        draw.text((place[0], place[1] + number * (size + 4)), text, fill=colour, font=font)


def _wrapped(text: str, size: int, width: int, *, most: int) -> list[str]:
    """A text in lines of at most `width` pixels; an ellipsis ends what is longer than `most` of them."""
    words = printable(text, 600).split(" ")
    font, lines, place = _font_of(" ".join(words), size), [""], 0
    while place < len(words):
        word = words[place]
        longer = f"{lines[-1]} {word}" if lines[-1] else word
        if font.getlength(longer) <= width:
            lines[-1], place = longer, place + 1
        elif lines[-1]:
            lines.append("")
        else:  # one word is wider than the line
            kept = next(n for n in range(len(word), 0, -1) if n == 1 or font.getlength(word[:n]) <= width)
            words[place : place + 1] = [word[:kept], word[kept:]] if word[kept:] else [word]
            lines[-1], place = word[:kept], place + 1
    if len(lines) > most:
        last = lines[most - 1]
        while last and font.getlength(last + "…") > width:
            last = last[:-1]
        lines = [*lines[: most - 1], last.rstrip() + "…"]
    return [one for one in lines if one]


def _font_of(text: str, size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    codes = [ord(character) for character in text]
    return _font(size, is_latin=all(code < _BEYOND_LATIN or code in _PUNCTUATION for code in codes))


@cache
def _font(size: int, *, is_latin: bool) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    for name in () if is_latin else _WIDE_FONTS:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return ImageFont.load_default(size)
