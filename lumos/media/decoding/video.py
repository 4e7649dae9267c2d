"""One video file: where it begins and ends in time, its frames from any time on, and their pixels as they are shown."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.sidedata.sidedata import SideData
from jaxtyping import UInt8
from PIL import Image

from lumos.media.decoding.hdr import BT2020, HLG, PQ, tone_mapped
from lumos.media.decoding.pictures import on_white
from lumos.media.media_error import NO_TIMES, OTHER_HDR, UNDECODABLE, MediaError

MOST_PIXELS = 1 << 26
"""Of a frame, as stored and as shown: 8192 x 8192. What says it is larger is refused before memory is asked for."""

_OPENING = {
    "protocol_whitelist": "file",
    "format_whitelist": "mov,matroska,webm,avi,flv,mpegts,mpeg,asf,gif,apng,ogg,mxf,nut,rm,dv,ivf,obu,wtv,"
    "h261,h263,h264,hevc,vvc,m4v,mjpeg,mpegvideo,vc1,yuv4mpegpipe",
}
"""Containers that hold their pictures themselves; lists of other files or addresses (HLS, concat) are not read."""

_WITHOUT_SEEKING = ("gif", "apng", "yuv4mpegpipe")
"""Frames of the first two are painted on the one before, which their packets do not tell."""

_ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
"""FFmpeg's own decoders pass over the second, grey picture that holds the transparency."""

_MATRICES = {0, 1, 2, 5, 6, 7, 9}
"""Numbers (ITU-T H.273, table 4) of the RGB -> YCbCr matrices that are undone; ICtCp, for one, is not."""


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A decoded frame."""

    frame: av.VideoFrame
    stamp: int | None
    """When it is shown, in units of the stream's time base, if that is known."""
    damaged: bool
    """It, or one since the last key frame, was decoded from damaged data."""


class Video:
    """An opened file, a context manager. Raises `MediaError`, and whatever PyAV raises for a damaged file."""

    def __init__(self, path: str | Path) -> None:
        self._url = f"file:{path}"  # a name with a colon is no address
        self._path = path
        self._open()

    def __enter__(self) -> "Video":
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    def _open(self) -> None:
        try:
            self._container = av.open(self._url, options=_OPENING | _most_pixels(), metadata_errors="replace")
        except av.error.ArgumentError as error:
            raise MediaError(self._path, UNDECODABLE, "not one of the kinds of video files that are read") from error
        stream = self._container.streams.best("video")
        if stream is None:
            raise MediaError(self._path, UNDECODABLE, "no video stream")
        self.stream = cast(av.VideoStream, stream)
        decoder = cast("av.VideoCodecContext | None", self.stream.codec_context)
        if decoder is None:
            raise MediaError(self._path, UNDECODABLE, "its video is in a codec that is not known here")
        self._decoder = decoder
        if self.stream.metadata.get("alpha_mode") == "1" and self._decoder.name in _ALPHA_DECODERS:
            self._decoder = cast(av.VideoCodecContext, av.CodecContext.create(_ALPHA_DECODERS[self._decoder.name], "r"))
        self._decoder.thread_type = "AUTO"
        self._decoder.options = _most_pixels()
        self._unread = True

    @property
    def container_name(self) -> str:
        """FFmpeg's name of the container: "mov,mp4,m4a,3gp,3g2,mj2"."""
        return self._container.format.name

    @property
    def rate(self) -> Fraction | None:
        """Frames per second, as the file says or as its first frames let guess."""
        return self.stream.guessed_rate or self.stream.average_rate

    def stated_number(self) -> int:
        """Number of frames as the file states it, or from its duration, for formats that do not count."""
        stream, rate = self.stream, self.rate
        if stream.frames or rate is None:
            return stream.frames
        if stream.duration and stream.time_base:
            return round(stream.duration * stream.time_base * rate)
        return round((self._container.duration or 0) * rate / av.time_base)

    def seconds(self, ticks: int) -> Fraction:
        """Ticks of the stream's time base as seconds."""
        return ticks * cast(Fraction, self.stream.time_base)

    def ticks(self, seconds: Fraction) -> int:
        """Seconds as ticks of the stream's time base, rounded down."""
        return int(seconds // cast(Fraction, self.stream.time_base))

    def from_start(self) -> Iterator[Shown]:
        """All frames, in the order shown."""
        if not self._unread:
            self._container.close()
            self._open()
        self._unread = False
        return self._decoded()

    def since(self, stamp: int) -> Iterator[tuple[int, Shown]]:
        """Stamps and frames, from one at `stamp` or before on: sought, or else decoded from the start.

        They are those that decoding from the start gives: a decoder that begins in the middle shows nothing before its
        first whole picture, and where that comes too late, it is sought further back.
        """
        name = self._container.format.name
        for back_s in (1 if name.startswith("mpeg") else 0, 5, 25) if name not in _WITHOUT_SEEKING else ():
            if not self._seek(stamp - self.ticks(Fraction(back_s))):
                break
            frames = self._in_time(self._decoded())
            try:
                first = next(frames)
            except (av.error.FFmpegError, MediaError):
                continue
            if first[0] <= stamp:
                return chain([first], frames)
        return self._in_time(self.from_start())

    def _in_time(self, frames: Iterator[Shown]) -> Iterator[tuple[int, Shown]]:
        """Frames and their stamps, which rise; of two with the same, the first."""
        previous = None
        for shown in frames:
            stamp = shown.stamp
            if stamp is None or (previous is not None and stamp < previous):
                at_s = float(self.seconds(previous or 0))
                raise MediaError(self._path, NO_TIMES, "none" if stamp is None else f"they run back at {at_s:.3f} s")
            if stamp != previous:
                yield stamp, shown
            previous = stamp

    def span(self) -> tuple[int, int]:
        """Stamps of the first frame and of the end of the last; what is between is not read where seeking works."""
        start = self.stream.start_time or 0
        first, _ = next(self._in_time(self.from_start()))
        return first, self._end(start) + (first - start if self._has_dts_alone() else 0)

    def _end(self, start: int) -> int:
        """Where the last packet that is shown ends, which what the file says of its length need not be."""
        duration = self.stream.duration
        if duration is None:
            duration = self.ticks(Fraction(self._container.duration or 0, av.time_base))
        for back_s in (1, 10):
            back = self.ticks(Fraction(back_s))
            if back < duration and self._seek(start + duration - back) and (end := self._last_end()) is not None:
                return end
        self.from_start()
        if (end := self._last_end()) is None:
            raise MediaError(self._path, NO_TIMES)
        return end

    def _last_end(self) -> int | None:
        """The latest end of the packets from here on; None without a packet, or where they have no times."""
        usual = self.ticks(1 / self.rate) if self.rate else 0
        end = None
        with suppress(av.error.FFmpegError):  # what cannot be read is not shown either
            for packet in self._packets():
                stamp = packet.dts if packet.pts is None or self._has_dts_alone() else packet.pts
                if stamp is not None and not packet.is_discard:
                    end = max(stamp + (packet.duration or usual), stamp if end is None else end)
        return end

    def _seek(self, stamp: int) -> bool:
        """Go to the key frame before a stamp; False where the container cannot."""
        self._unread = False
        try:
            self._container.seek(stamp, stream=self.stream)
        except av.error.FFmpegError:
            return False
        self._decoder.flush_buffers()
        return True

    def _packets(self) -> Iterator[av.Packet]:
        try:
            yield from (packet for packet in self._container.demux(self.stream) if packet.size)
        except IndexError:  # PyAV's, after the last packet, where another stream appeared on the way
            return

    def _decoded(self) -> Iterator[Shown]:
        """Frames from here on; what cannot be decoded before the first of them is passed over."""
        previous, begun, damaged = -1, False, False
        for packet in chain(self._packets(), [None]):
            try:
                frames = self._decoder.decode(packet)
            except av.error.FFmpegError:
                if begun or packet is None:
                    raise
                continue
            for frame in frames:
                damaged = frame.is_corrupt or (damaged and not frame.key_frame)
                stamp = frame.pts
                if self._has_dts_alone():  # one tick a frame; the last ones, which the decoder holds back, have none
                    stamp = frame.dts if frame.dts is not None else previous + 1
                yield Shown(frame=frame, stamp=stamp, damaged=damaged)
                previous, begun = stamp or 0, True
        if not begun:
            raise MediaError(self._path, UNDECODABLE, "no frame could be decoded")

    def _has_dts_alone(self) -> bool:
        """Whether the container says in which order frames are decoded, and not when they are shown."""
        return self._container.format.name == "avi"

    def pixels(self, frame: av.VideoFrame, *, least_px: int | None = None) -> UInt8[np.ndarray, "H W 3"]:
        """A frame as it is meant to be seen: in the shape of its sample aspect, upright, on white, in ordinary range.

        An HDR frame is halved first as often as its sides stay at least `least_px`, since mapping tones takes long.
        """
        codec, one = self.stream.codec_context, Fraction(1)
        aspect = self.stream.sample_aspect_ratio or one
        is_hdr, shrink = codec.color_trc in (PQ, HLG), 1
        while is_hdr and least_px is not None and min(frame.width, frame.height) >= 2 * shrink * least_px:
            shrink *= 2
        width, height = (
            round(frame.width * max(aspect, one)) // shrink,
            round(frame.height / min(aspect, one)) // shrink,
        )
        if not 0 < width * height <= MOST_PIXELS:
            raise MediaError(self._path, UNDECODABLE, f"a frame is shown as {width}x{height}")
        image = Image.fromarray(self._ordinary_range(frame, shrink) if is_hdr else frame.to_ndarray(format="rgb24"))
        if frame.format.has_palette or any(component.is_alpha for component in frame.format.components):
            alpha = Image.fromarray(np.ascontiguousarray(frame.to_ndarray(format="rgba")[..., 3]))
            image.putalpha(alpha.resize(image.size))
            image = on_white(image)
        if image.size != (width, height):
            image = image.resize((width, height), Image.Resampling.BICUBIC)
        return _upright(np.asarray(image), frame)

    def _ordinary_range(self, frame: av.VideoFrame, shrink: int) -> np.ndarray:
        codec = self.stream.codec_context
        if codec.colorspace not in _MATRICES or codec.color_primaries not in BT2020:
            kind = f"matrix {codec.colorspace}, primaries {codec.color_primaries} of ITU-T H.273"
            raise MediaError(self._path, OTHER_HDR, kind)
        width, height = frame.width // shrink, frame.height // shrink
        signal = frame.to_ndarray(format="rgb48le", width=width, height=height, interpolation="AREA")
        return tone_mapped(signal, codec.color_trc)


def _most_pixels() -> dict[str, str]:
    return {"max_pixels": str(MOST_PIXELS)}


def _upright(pixels: np.ndarray, frame: av.VideoFrame) -> np.ndarray:
    """Turned and mirrored as the frame's matrix says: [a b u; c d v; x y w] sends (x, y) to (ax + cy, bx + dy)."""
    if (matrix := frame.side_data.get("DISPLAYMATRIX")) is None:
        return pixels
    a, b, _, c, d = np.frombuffer(bytes(cast(SideData, matrix)), dtype=np.int32)[:5].tolist()
    if abs(b) + abs(c) > abs(a) + abs(d):  # phones record sideways and say so
        pixels, a, d = pixels.swapaxes(0, 1), c, b
    return np.ascontiguousarray(pixels[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1])
