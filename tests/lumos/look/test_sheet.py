"""Contact sheets: what is shown where, whatever the captions are."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lumos.look.sheet import Card, Strip, _font, _wrapped, check_sheet, strip_of, write_sheet


def frames(num: int, height: int, width: int, colour: tuple[int, int, int] = (200, 30, 30)) -> np.ndarray:
    return np.full((num, height, width, 3), colour, np.uint8)


def test_both_strips_of_a_card_are_on_the_sheet(tmp_path: Path) -> None:
    strips = [strip_of(frames(5, 64, 96), "source"), strip_of(frames(5, 64, 96, (30, 30, 200)), "decoded")]
    write_sheet(tmp_path / "a.png", [Card(strips=strips, text="a box", note="facts")] * 3, title="three")
    with Image.open(tmp_path / "a.png") as picture:
        pixels = np.asarray(picture).reshape(-1, 3)
    shown = [int((pixels == colour).all(axis=1).sum()) for colour in ((200, 30, 30), (30, 30, 200))]
    assert shown[0] == shown[1] > 3 * 4 * 100 * 100


def test_cards_without_pictures_and_pictures_of_any_aspect_have_their_place(tmp_path: Path) -> None:
    cards = [
        Card(text="nothing could be decoded"),
        Card(strips=[strip_of(frames(1, 2000, 40))]),
        Card(strips=[strip_of(frames(2, 8, 800))], text="", note="n" * 500),
        Card(strips=[Strip(frames=[])]),
    ]
    write_sheet(tmp_path / "a.png", cards, title="t" * 1000)
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.width <= 1920
        assert picture.height < 2000


def test_large_frames_are_held_small() -> None:
    strip = strip_of(frames(9, 1200, 1600))
    assert len(strip.frames) == 4
    assert max(max(frame.size) for frame in strip.frames) <= 512


def test_long_captions_are_cut_at_words_and_end_in_an_ellipsis() -> None:
    lines = _wrapped("a red circle moves to the right of a blue one, " * 9, 14, 300, most=3)
    assert len(lines) == 3
    assert lines[-1].endswith("…")
    font = _font(14, is_latin=True)
    assert all(font.getlength(line) <= 300 for line in lines)
    assert _wrapped("one two", 14, 300, most=3) == ["one two"]


@pytest.mark.parametrize("text", ["x" * 5000, "字" * 300, "a\x1b[2J\nb", "", " ", "שלום عالم", "a" + " " * 900 + "b"])
def test_any_caption_can_be_drawn(text: str, tmp_path: Path) -> None:
    card = Card(strips=[strip_of(frames(2, 16, 32))], text=text, note=text)
    write_sheet(tmp_path / "a.png", [card], title=text)
    assert (tmp_path / "a.png").stat().st_size > 0


def test_what_is_no_picture_is_refused_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "in.png").write_bytes(b"mine")
    with pytest.raises(ValueError, match=r"give a name that ends in \.png or"):
        check_sheet(tmp_path / "a.mp4", inputs={})
    with pytest.raises(ValueError, match=r"in\.png"):
        check_sheet(tmp_path / "in.png", inputs={"the set": tmp_path / "in.png"})
    with pytest.raises(ValueError, match="there is nothing to show"):
        write_sheet(tmp_path / "a.png", [], title="")
