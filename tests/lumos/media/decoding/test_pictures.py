"""A picture's pixels are those a viewer shows, and the same from its file as from a picture object."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lumos.media.decoding.pictures import picture_pixels
from lumos.media.inputs import pixels_of
from lumos.media.media_error import MediaError
from lumos.media.reading import read_image

CORNERS = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3) * 3


def all_ways(path: Path) -> np.ndarray:
    """The pixels of a file: by its path, as a picture object not loaded yet, and as one that is loaded."""
    pixels = read_image(path)
    with Image.open(path) as lazy, Image.open(path) as loaded:
        np.testing.assert_array_equal(pixels_of(lazy), pixels)
        loaded.load()
        np.testing.assert_array_equal(pixels_of(loaded), pixels)
    np.testing.assert_array_equal(pixels_of(str(path)), pixels)
    assert (pixels.dtype, pixels.ndim, pixels.shape[2]) == (np.uint8, 3, 3)
    return pixels


def test_a_transparent_image_is_composited_on_white(tmp_path: Path) -> None:
    pixels = np.zeros((2, 3, 4), np.uint8)
    pixels[0, 0] = (10, 20, 30, 255)
    pixels[0, 1] = (0, 0, 0, 128)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    image = all_ways(tmp_path / "a.png")
    assert image.shape == (2, 3, 3)
    assert image[0, 0].tolist() == [10, 20, 30]
    assert np.abs(image[0, 1].astype(int) - 127).max() <= 1
    assert (image[1] == 255).all()


@pytest.mark.parametrize("mode", ["L", "LA", "P", "PA", "1", "CMYK", "RGBA", "RGBX", "YCbCr", "HSV", "RGBa", "La"])
def test_images_of_every_mode_become_rgb(tmp_path: Path, mode: str) -> None:
    via = {"RGBa": "RGBA", "La": "LA", "PA": "P"}.get(mode, "RGB")
    image = Image.new("RGB", (5, 4), "white").convert(via).convert(mode)
    assert (pixels_of(image) == 255).all()
    assert pixels_of(image).shape == (4, 5, 3)
    if mode not in ("PA", "HSV", "RGBa", "La"):
        path = tmp_path / ("a.tiff" if mode in ("CMYK", "YCbCr", "RGBX") else "a.png")
        image.save(path)
        assert (all_ways(path) == 255).all()


@pytest.mark.parametrize("dtype", ["<u2", ">u2"])
def test_sixteen_bit_images_are_scaled_not_clipped(tmp_path: Path, dtype: str) -> None:
    for value, wanted in ((0x8000, 0x80), (0xFFFF, 0xFF), (0x00FF, 0)):
        image = Image.fromarray(np.full((4, 5), value, dtype))
        assert (pixels_of(image) == wanted).all()
        image.save(tmp_path / "a.png")
        assert (all_ways(tmp_path / "a.png") == wanted).all()


def test_a_grey_that_stands_for_transparent_is_white_in_sixteen_bits_too(tmp_path: Path) -> None:
    values = np.array([[0x1000, 0x2000, 0x3000]], np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png", transparency=0x2000)
    assert all_ways(tmp_path / "a.png")[0, :, 0].tolist() == [0x10, 0xFF, 0x30]


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        (np.array([[0, 0x8000, 0xFFFF]], np.int32), [0, 0x80, 0xFF]),
        (np.array([[0, 0, 0]], np.int32), [0, 0, 0]),
        (np.array([[0, 0.5, 1]], np.float32), [0, 128, 255]),
        (np.array([[0, 127.6, 255]], np.float32), [0, 128, 255]),
    ],
)
def test_wide_numbers_are_scaled(tmp_path: Path, values: np.ndarray, wanted: list[int]) -> None:
    image = Image.fromarray(values)
    assert pixels_of(image)[0, :, 0].tolist() == wanted
    image.save(tmp_path / "a.tiff")
    assert all_ways(tmp_path / "a.tiff")[0, :, 2].tolist() == wanted


@pytest.mark.parametrize(
    "values",
    [
        np.array([[0, 70_000]], np.int32),
        np.array([[-1, 5000]], np.int32),
        np.array([[0, 200]], np.int32),
        np.array([[0, 300]], np.float32),
        np.array([[-0.1, 1]], np.float32),
        np.array([[0, np.nan]], np.float32),
        np.array([[0, np.inf]], np.float32),
    ],
)
def test_numbers_whose_white_cannot_be_told_are_refused(tmp_path: Path, values: np.ndarray) -> None:
    image = Image.fromarray(values)
    with pytest.raises(MediaError, match="the image: pixel values of no known scale") as caught:
        pixels_of(image)
    assert "; give" in caught.value.detail
    image.save(tmp_path / "a.tiff")
    with pytest.raises(MediaError, match=r"a.tiff: pixel values of no known scale"):
        read_image(tmp_path / "a.tiff")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -0.5, 1.5])
def test_arrays_outside_their_range_are_refused(bad: float) -> None:
    array = np.full((4, 5, 3), 0.5, np.float32)
    assert (pixels_of(array) == 128).all()
    array[1, 2, 0] = bad
    for image in (array, torch.from_numpy(array)):
        with pytest.raises(ValueError, match="give uint8, or floats in"):
            pixels_of(image)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tiff", ".avif"])
@pytest.mark.parametrize(
    ("orientation", "turned"),
    [
        (1, lambda pixels: pixels),
        (2, lambda pixels: pixels[:, ::-1]),
        (3, lambda pixels: np.rot90(pixels, 2)),
        (4, lambda pixels: pixels[::-1]),
        (5, lambda pixels: pixels.swapaxes(0, 1)),
        (6, lambda pixels: np.rot90(pixels, -1)),
        (7, lambda pixels: np.rot90(pixels, 2).swapaxes(0, 1)),
        (8, lambda pixels: np.rot90(pixels, 1)),
        (9, lambda pixels: pixels),
    ],
)
def test_a_picture_is_turned_upright(tmp_path: Path, suffix: str, orientation: int, turned) -> None:
    path = tmp_path / f"a{suffix}"
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = np.kron(CORNERS, np.ones((8, 8, 1), np.uint8))
    quality = {".jpg": {"quality": 100, "subsampling": 0}, ".webp": {"lossless": True}, ".avif": {"quality": 100}}
    Image.fromarray(pixels).save(path, exif=exif, **quality.get(suffix, {}))
    found, wanted = all_ways(path), turned(pixels)
    assert found.shape == wanted.shape
    assert np.abs(found.astype(int) - wanted).max() <= 8


def exif_with(*entries: tuple[int, int, int, bytes]) -> bytes:
    """An EXIF block whose one table has these entries: (tag, type, number, four bytes)."""
    table = b"".join(struct.pack("<HHI4s", *entry) for entry in sorted(entries))
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(entries)) + table + bytes(4)


SIDEWAYS = (0x0112, 3, 1, struct.pack("<I", 6))


@pytest.mark.filterwarnings("ignore:.*EXIF.*")
@pytest.mark.parametrize(
    ("exif", "shape"),
    [
        (exif_with(SIDEWAYS), (6, 4)),
        (exif_with(SIDEWAYS, (0x011A, 2, 4, b"abc\0")), (6, 4)),  # a resolution that is text
        (exif_with(SIDEWAYS, (0x010E, 5, 1, bytes(4))), (6, 4)),  # a description that is a fraction beyond the end
        (exif_with(SIDEWAYS, (0x8769, 2, 4, b"abc\0")), (6, 4)),  # a text where another table should be pointed to
        (exif_with(SIDEWAYS, (0x8769, 4, 1, b"\xff\xff\xff\x7f")), (6, 4)),
        (exif_with((0x0112, 2, 4, b"abc\0")), (4, 6)),  # an orientation that is text
        (exif_with((0x0112, 3, 2, struct.pack("<HH", 6, 6))), (4, 6)),  # two orientations
        (exif_with(SIDEWAYS)[:20], (4, 6)),
        (b"Exif\0\0nonsense", (4, 6)),
    ],
)
def test_a_damaged_exif_block_costs_no_picture(tmp_path: Path, exif: bytes, shape: tuple[int, int]) -> None:
    Image.new("RGB", (6, 4), (9, 90, 190)).save(tmp_path / "a.jpg", exif=exif)
    assert all_ways(tmp_path / "a.jpg").shape == (*shape, 3)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".avif", ".webp", ".jp2", ".gif"])
def test_half_a_file_is_an_error_from_any_way_in(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    Image.fromarray(np.random.RandomState(0).randint(0, 256, (80, 90, 3)).astype(np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(MediaError, match=f"a{suffix}: undecodable"):
        read_image(path)
    try:
        lazy = Image.open(path)
    except OSError:  # a caller's own concern
        return
    with lazy, pytest.raises(MediaError, match="the image: undecodable"):
        pixels_of(lazy)


def test_a_dds_picture_of_a_kind_pillow_lacks_is_undecodable(tmp_path: Path) -> None:
    header = struct.pack("<4s7I44x", b"DDS ", 124, 0x1007, 8, 8, 0, 0, 0)
    pixel_format = struct.pack("<2I4s5I", 32, 4, b"DX10", 0, 0, 0, 0, 0) + bytes(20)
    (tmp_path / "a.dds").write_bytes(header + pixel_format + struct.pack("<5I", 999, 3, 0, 1, 0) + bytes(64))
    with pytest.raises(NotImplementedError):
        Image.open(tmp_path / "a.dds")
    with pytest.raises(MediaError, match=r"a.dds: undecodable \(NotImplementedError"):
        read_image(tmp_path / "a.dds")


def test_a_program_that_draws_is_not_run() -> None:
    file = io.BytesIO()
    Image.new("RGB", (6, 4)).save(file, "EPS")
    with pytest.raises(MediaError, match="EPS is a program"):
        picture_pixels(Image.open(file))
