"""Any Pillow picture, of a file or of a caller -> the pixels a viewer shows: uint8 RGB, upright, on white."""

import re

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from lumos.media.decoding.hdr import BT2020, HLG, PQ, tone_mapped
from lumos.media.media_error import NO_SCALE, OTHER_HDR, UNDECODABLE, MediaError

_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes a picture upright whose EXIF says this orientation."""

_HDR_MARKS = {
    "AVIF": rb"colrnclx(?P<primaries>..)(?P<transfer>..)",
    "PNG": rb"cICP(?P<primaries>.)(?P<transfer>.)",
}
"""Where a file numbers its primaries and its transfer characteristic (ITU-T H.273)."""


def picture_pixels(image: Image.Image) -> UInt8[np.ndarray, "H W 3"]:
    """The pixels of a picture of any mode, turned as its EXIF says, transparency on white.

    Grey of 16 bits is divided by 256. Pillow's 32-bit integers (`I`) are taken for 16 bits, floats (`F`) for [0, 1],
    or for 0 to 255 where they go beyond 1. HDR that the file declares (AVIF, PNG) is mapped to ordinary range; Pillow
    forgets it when it loads. Raises `MediaError` for values that fit neither, and what Pillow raises for damaged files.
    """
    if image.format == "EPS":
        raise MediaError("the image", UNDECODABLE, "EPS is a program, which is not run; convert it to PNG")
    transfer = _hdr_transfer(image)
    image.load()  # before the orientation is asked for: TIFF turns itself upright here, and then says so
    image = _upright(image)
    if image.mode == "F" or image.mode.startswith("I"):
        image = Image.fromarray(_grey(image))
    if transfer is not None:
        image = _ordinary_range(image, transfer)
    if image.has_transparency_data:
        image = on_white(image.convert("LA") if image.mode == "La" else image)
    return np.array(image.convert("RGB"))


def on_white(image: Image.Image) -> Image.Image:
    """A picture with transparency, laid on white."""
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


def _upright(image: Image.Image) -> Image.Image:
    """Turned by the orientation alone: the other tags are neither needed nor trusted."""
    try:
        orientation = image.getexif().get(_ORIENTATION)
    except Exception:  # Pillow raises whatever a damaged EXIF block makes it stumble over; the pixels are sound
        return image
    turn = _TURNS.get(orientation) if isinstance(orientation, int) else None
    return image if turn is None else image.transpose(turn)


def _grey(image: Image.Image) -> np.ndarray:
    """uint8 [H, W] of numbers wider than a byte; a grey that stands for "transparent" is white."""
    values = np.asarray(image)
    least, most = values.min(), values.max()
    if image.mode == "F":
        if not (least >= 0 and most <= 255):  # NaN is neither
            raise MediaError("the image", NO_SCALE, f"floats from {least:g} to {most:g}; give 0..1, or 0..255")
        return np.rint(values * (255 if most <= 1 else 1)).astype(np.uint8)
    if least < 0 or most > 0xFFFF or (image.mode == "I" and 0 < most < 0x100):
        numbers = f"integers from {least} to {most}; give 8 bits (mode L), or 16 bits, 0..65535"
        raise MediaError("the image", NO_SCALE, numbers)
    grey = (values.astype(np.uint16) >> 8).astype(np.uint8)
    if isinstance(key := image.info.get("transparency"), int):
        grey[values == key] = 0xFF
    return grey


def _hdr_transfer(image: Image.Image) -> int | None:
    """`PQ` or `HLG` where the head of the picture's file says so: in AVIF's colour box or PNG's chunk."""
    pattern, file = _HDR_MARKS.get(image.format or ""), getattr(image, "fp", None)
    if pattern is None or file is None:
        return None
    place = file.tell()
    file.seek(0)
    found = re.search(pattern, file.read(1 << 16), re.DOTALL)
    file.seek(place)
    if found is None or found["transfer"][-1] not in (PQ, HLG):
        return None
    if found["primaries"][-1] not in BT2020:
        raise MediaError("the image", OTHER_HDR, f"primaries {found['primaries'][-1]} of ITU-T H.273")
    return found["transfer"][-1]


def _ordinary_range(image: Image.Image, transfer: int) -> Image.Image:
    rgba = np.asarray(image.convert("RGBA"))
    mapped = tone_mapped(rgba[..., :3].astype(np.uint16) * 0x101, transfer)
    return Image.fromarray(np.concatenate([mapped, rgba[..., 3:]], axis=-1))
