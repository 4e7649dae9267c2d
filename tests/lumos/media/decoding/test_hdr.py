"""HDR is mapped to ordinary range: the standards' values, dark light kept, bright light bent, other kinds said."""

import struct
import zlib
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from lumos.media.decoding import hdr
from lumos.media.decoding.hdr import HLG, PQ, nits_to_pq, pq_to_nits, tone_mapped
from lumos.media.inputs import pixels_of
from lumos.media.media_error import MediaError
from lumos.media.reading import read_clip, read_image
from tests.lumos.media.clips import Form, write_clip


def grey(signal: float) -> np.ndarray:
    return np.full((2, 3, 3), round(signal * 0xFFFF), np.uint16)


@pytest.mark.parametrize(
    ("nits", "signal"),
    [(1, 0.1499), (100, 0.5081), (203, 0.5807), (1000, 0.7518), (10_000, 1)],
)
def test_pq_is_the_curve_of_the_standard(nits: float, signal: float) -> None:
    assert nits_to_pq(np.array(float(nits))) == pytest.approx(signal, abs=6e-5)  # BT.2408, tables of reference levels
    assert pq_to_nits(nits_to_pq(np.array(float(nits)))) == pytest.approx(nits, rel=1e-6)


@pytest.mark.parametrize("nits", [1, 20, 50, 90])
def test_dark_light_is_kept(nits: int) -> None:
    wanted = 255 * (nits / 203) ** (1 / 2.4)
    assert np.abs(tone_mapped(grey(float(nits_to_pq(np.array(float(nits))))), PQ) - wanted).max() <= 1


def test_bright_light_is_bent_and_not_cut() -> None:
    levels = [int(tone_mapped(grey(signal), PQ)[0, 0, 0]) for signal in np.linspace(0, 0.7518, 40)]
    assert levels == sorted(levels)
    assert (levels[0], levels[-1]) == (0, 255)
    assert (tone_mapped(grey(1), PQ) == 255).all()
    white = int(tone_mapped(grey(0.5807), PQ)[0, 0, 0])
    assert 220 <= white <= 240  # ordinary white leaves room for what is brighter


def test_hlg_white_is_pq_white() -> None:
    """75 % of HLG are 203 nits on a screen of 1,000 (BT.2408), as 58 % of PQ are."""
    assert np.abs(tone_mapped(grey(0.75), HLG).astype(int) - tone_mapped(grey(0.5807), PQ)).max() <= 1
    assert (tone_mapped(grey(0), HLG) == 0).all()
    assert (tone_mapped(grey(1), HLG) == 255).all()


def test_hues_stay_and_colours_beyond_are_cut() -> None:
    signal = np.zeros((1, 3, 3), np.uint16)
    signal[0, 0, 0] = signal[0, 1, 1] = signal[0, 2, 2] = round(0.5 * 0xFFFF)
    red, green, blue = tone_mapped(signal, PQ)[0]
    for index, colour in enumerate((red, green, blue)):
        assert colour[index] > 180
        assert np.delete(colour, index).max() < 60


def test_a_large_picture_is_mapped_band_by_band(monkeypatch: pytest.MonkeyPatch) -> None:
    signal = np.random.RandomState(0).randint(0, 2**16, (7, 5, 3), dtype=np.uint16)
    whole, looked_up, table = tone_mapped(signal, PQ), [], hdr._light(PQ)

    class Table:
        def __getitem__(self, band: np.ndarray) -> np.ndarray:
            looked_up.append(band.shape)
            return table[band]

    monkeypatch.setattr(hdr, "_light", lambda _: Table())
    monkeypatch.setattr(hdr, "_BAND_PIXELS", 12)
    assert np.array_equal(tone_mapped(signal, PQ), whole)
    assert looked_up == [(2, 5, 3)] * 3 + [(1, 5, 3)]


def ordinary(number: int) -> np.ndarray:
    """uint8 [64, 96, 3] whose signal is 58 % and, on the left, 30 %."""
    pixels = np.full((64, 96, 3), 148, np.uint8)
    pixels[:, :48] = 77
    return pixels


def hdr_stream(transfer: int, primaries: int = 9, matrix: int = 9):
    def prepare(stream: av.VideoStream) -> None:
        codec = stream.codec_context
        codec.color_trc, codec.color_primaries, codec.colorspace = transfer, primaries, matrix

    return prepare


@pytest.mark.parametrize("transfer", [PQ, HLG])
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_a_clip_of_high_range_is_mapped(tmp_path: Path, transfer: int, name: str) -> None:
    form = Form(pix_fmt="yuv420p10le", fps=Fraction(4))
    path = write_clip(tmp_path / name, 5, form, paint=ordinary, prepare=hdr_stream(transfer))
    for size in (None, 32):
        frame = read_clip(path, fps=4, duration=1, size=size)[0]
        assert frame.shape == ((64, 96, 3) if size is None else (32, 32, 3))
        dark, bright = frame[16, 3], frame[16, -3]
        assert np.abs(dark.astype(int) - tone_mapped(grey(77 / 255), transfer)[0, 0]).max() <= 6
        assert np.abs(bright.astype(int) - tone_mapped(grey(148 / 255), transfer)[0, 0]).max() <= 6


@pytest.mark.parametrize(("primaries", "matrix"), [(9, 14), (12, 9)])
def test_high_range_of_another_kind_is_a_skip(tmp_path: Path, primaries: int, matrix: int) -> None:
    form = Form(pix_fmt="yuv420p10le", fps=Fraction(4))
    path = write_clip(tmp_path / "a.mp4", 5, form, paint=ordinary, prepare=hdr_stream(PQ, primaries, matrix))
    with pytest.raises(MediaError, match=r"a.mp4: HDR of an unknown kind") as caught:
        read_clip(path, fps=4, duration=1)
    assert str(matrix if matrix != 9 else primaries) in caught.value.detail


def cicp(primaries: int) -> bytes:
    """A PNG chunk that says PQ, full range, with these primaries."""
    content = b"cICP" + bytes((primaries, PQ, 0, 1))
    return struct.pack(">I", 4) + content + struct.pack(">I", zlib.crc32(content))


@pytest.mark.parametrize("suffix", [".png", ".avif"])
def test_a_picture_of_high_range_is_mapped(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    Image.fromarray(ordinary(0)).save(path, quality=100)
    content = path.read_bytes()
    if suffix == ".png":
        path.write_bytes(content[:33] + cicp(9) + content[33:])
    else:
        place = content.index(b"colrnclx") + 8
        path.write_bytes(content[:place] + b"\0\x09\0\x10" + content[place + 4 :])
    wanted = tone_mapped(ordinary(0).astype(np.uint16) * 257, PQ)
    found = read_image(path)
    assert np.abs(found.astype(int) - wanted).max() <= 6
    with Image.open(path) as image:
        np.testing.assert_array_equal(pixels_of(image), found)
    other = path.read_bytes()
    if suffix == ".png":
        path.write_bytes(content[:33] + cicp(12) + content[33:])
    else:
        path.write_bytes(other[: place + 1] + b"\x0c" + other[place + 2 :])
    with pytest.raises(MediaError, match=r"HDR of an unknown kind .primaries 12"):
        read_image(path)
