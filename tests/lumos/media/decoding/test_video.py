"""Clips are found by time, sought for, and shown as they are meant to be."""

import struct
from collections import Counter
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import numpy as np
import pytest

from lumos.media.decoding import video as module
from lumos.media.decoding.video import Video
from lumos.media.media_error import MediaError
from lumos.media.reading import read_clip
from tests.lumos.media.clips import Form, numbers, picture, shifted, with_edits, write_clip

X264 = "bframes=3:keyint=20:min-keyint=20:log-level=none"
FORMS = {
    "a.mp4": Form(),
    "fragments.mp4": Form(container_options={"movflags": "frag_keyframe+empty_moov"}),
    "open.mp4": Form(options={"x264-params": f"{X264}:open-gop=1"}),
    "refresh.mp4": Form(options={"x264-params": "intra-refresh=1:keyint=20:bframes=0"}),
    "a.mkv": Form(),
    "live.mkv": Form(container_options={"live": "1"}),
    "vp8.webm": Form(codec="libvpx"),
    "vp9.webm": Form(codec="libvpx-vp9"),
    "mpeg2.ts": Form(codec="mpeg2video"),
    "open.ts": Form(options={"x264-params": f"{X264}:open-gop=1"}),
    "mpeg4.avi": Form(codec="mpeg4", options={"bf": "2"}),
    "h264.avi": Form(),
    "a.flv": Form(),
    "a.gif": Form(codec="gif", pix_fmt="rgb8"),
    "a.apng": Form(codec="apng", pix_fmt="rgb24", container="apng"),
    "a.mov": Form(codec="prores_ks", pix_fmt="yuv422p10le"),
    "a.nut": Form(codec="ffv1"),
}


def reason(path: Path, **settings: object) -> str:
    with pytest.raises(MediaError, match=path.name) as caught:
        read_clip(path, **{"fps": 12, "duration": 2} | settings)
    return caught.value.reason


def test_a_codec_that_nobody_knows_is_said(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", 30)
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzzz"))
    with pytest.raises(MediaError, match=r"a\.mp4.*its video is in a codec that is not known here"):
        read_clip(path, fps=12, duration=1)


@pytest.mark.parametrize("name", FORMS)
def test_every_container_gives_the_middle_and_seeking_gives_what_decoding_from_the_start_gives(
    tmp_path: Path, name: str
) -> None:
    path = write_clip(tmp_path / name, 100, FORMS[name])
    assert numbers(read_clip(path, fps=12, duration=2)) == list(range(38, 62))
    assert numbers(read_clip(path, fps=3, duration=1)) == [44, 48, 52]
    with Video(path) as video:
        first, end = video.span()
        assert abs(video.seconds(end - first) - Fraction(100, 12)) < Fraction(1, 200)
        whole = [shown.stamp for shown in video.from_start()]
        assert (len(whole), whole[0]) == (100, first)
        for number in (0, 7, 41, 83, 99):
            found = list(islice(video.since(whole[number]), 60))
            assert found[0][0] <= whole[number]
            pictures = (video.pixels(shown.frame) for _, shown in found)
            assert [whole[index] for index in numbers(pictures)] == [stamp for stamp, _ in found]


def test_what_is_not_near_the_clip_is_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_clip(tmp_path / "a.mp4", 250, Form(gop=10))
    decoded = Counter()
    shown = module.Shown
    monkeypatch.setattr(module, "Shown", lambda **fields: decoded.update(["frames"]) or shown(**fields))
    assert numbers(read_clip(path, fps=6, duration=1)) == [120, 122, 124, 126, 128, 130]
    assert decoded["frames"] < 30
    decoded.clear()
    assert numbers(read_clip(path, fps=6, duration=1, frame_choice="released", reader="pyav")) == [
        120,
        122,
        124,
        126,
        128,
        130,
    ]
    assert decoded["frames"] == 131


@pytest.mark.parametrize(
    ("rate", "fps"),
    [("24000/1001", 12), ("24000/1001", 24), ("24000/1001", 5), ("30000/1001", 12), ("30000/1001", 30), ("25", 12)],
)
def test_each_frame_is_the_nearest_at_any_pair_of_rates(tmp_path: Path, rate: str, fps: int) -> None:
    path = write_clip(tmp_path / "a.mp4", 120, Form(fps=Fraction(rate)))
    found = numbers(read_clip(path, fps=fps, duration=3))
    start = round(found[0] / Fraction(rate) * fps)
    times = [Fraction(start + k, fps) for k in range(3 * fps)]
    stamps = [number / Fraction(rate) for number in range(120)]
    assert found == [min(range(120), key=lambda number: abs(stamps[number] - time)) for time in times]
    assert abs(times[0] - (120 / Fraction(rate) - 3) / 2) <= Fraction(1, fps) + 1 / Fraction(rate)


def test_the_released_rule_plays_23_976_at_half_speed(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", 72, Form(fps=Fraction(24000, 1001)))
    assert numbers(read_clip(path, fps=12, duration=1, frame_choice="released")) == list(range(30, 42))
    assert numbers(read_clip(path, fps=12, duration=1)) == list(range(26, 50, 2))


def test_frames_of_a_varying_rate_are_chosen_by_their_stamps(tmp_path: Path) -> None:
    stamps = [0]
    for step, number in ((33, 45), (50, 20), (42, 36), (33, 20)):
        stamps += [stamps[-1] + step * k for k in range(1, number + 1)]
    path = write_clip(tmp_path / "a.mkv", len(stamps), Form(), stamps_ms=stamps)
    found = numbers(read_clip(path, fps=6, duration=2))
    start = round(stamps[found[0]] * 6 / 1000)
    assert abs(start / 6 - (stamps[-1] / 1000 - 2) / 2) < 0.2
    times = [1000 * (start + k) / 6 for k in range(12)]
    assert found == [min(range(len(stamps)), key=lambda number: abs(stamps[number] - time)) for time in times]


def test_a_time_without_a_frame_near_it_makes_a_clip_a_skip(tmp_path: Path) -> None:
    stamps = [83 * number + (500 if number >= 50 else 0) for number in range(100)]
    path = write_clip(tmp_path / "a.mkv", 100, Form(), stamps_ms=stamps)
    assert reason(path) == "a gap between its frames"
    early = [83 * number + (500 if number >= 8 else 0) for number in range(100)]
    path = write_clip(tmp_path / "b.mkv", 100, Form(), stamps_ms=early)
    assert numbers(read_clip(path, fps=12, duration=2))[::23] == [35, 58]  # 8.8 s: 3.42 s, 6 steps of the gap before it


@pytest.mark.parametrize(("rate", "fits"), [("23/2", False), ("10", False), ("12000/1001", True)])
def test_a_source_may_be_slower_by_what_half_a_step_hides(tmp_path: Path, rate: str, fits: bool) -> None:
    path = write_clip(tmp_path / "a.mp4", 100, Form(fps=Fraction(rate)))
    if fits:
        assert numbers(read_clip(path, fps=12, duration=7)) == list(range(9, 93))
    else:
        assert reason(path, duration=7) == "source slower than the target fps"


def test_hidden_samples_are_neither_counted_nor_shown(tmp_path: Path) -> None:
    whole = write_clip(tmp_path / "whole.mp4", 100)
    path = shifted(whole, tmp_path / "a.mp4", 29 * 1024)
    with av.open(str(path)) as container:
        assert container.streams.video[0].frames == 100
    assert numbers(read_clip(path, fps=12, duration=4)) == list(range(40, 88))  # of 29 to 99
    content = path.read_bytes()
    path.write_bytes(with_edits(content, [(3000, 31 * 1024)]))  # B frames: the media begin 2 ticks of 1024 late
    assert numbers(read_clip(path, fps=12, duration=2)) == list(range(35, 59))  # of 29 to 64
    path.write_bytes(with_edits(content, [(2000, 2048), (1500, -1), (3000, 62 * 1024)]))
    assert reason(path) == "a gap between its frames"
    path.write_bytes(with_edits(content, [(2000, 2048), (3000, 62 * 1024)]))
    assert numbers(read_clip(path, fps=12, duration=2)) == [*range(18, 24), *range(60, 78)]
    path.write_bytes(with_edits(content, [(1500, -1), (5000, 2048)]))
    assert numbers(read_clip(path, fps=12, duration=2)) == list(range(18, 42))


def test_the_length_is_the_videos_and_not_the_sounds(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        video = container.add_stream("libx264", rate=12)
        video.height, video.width, video.pix_fmt = 64, 96, "yuv420p"
        sound = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frames = [av.VideoFrame.from_ndarray(picture(number)) for number in range(50)]
        for number, frame in enumerate(frames):
            frame.pts = number
        container.mux([packet for frame in [*frames, None] for packet in video.encode(frame)])
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 80000), np.int16), format="s16", layout="mono")
        silence.sample_rate = 8000
        container.mux([packet for frame in (silence, None) for packet in sound.encode(frame)])
    assert numbers(read_clip(tmp_path / "a.mkv", fps=12, duration=2)) == list(range(13, 37))
    assert reason(tmp_path / "a.mkv", duration=6) == "too short"


def test_a_recording_that_begins_between_key_frames_is_read(tmp_path: Path) -> None:
    whole = write_clip(tmp_path / "whole.ts", 100)
    content = whole.read_bytes()
    (tmp_path / "a.ts").write_bytes(content[188 * (len(content) // 188 // 3) :])
    found = numbers(read_clip(tmp_path / "a.ts", fps=12, duration=2))
    assert found == list(range(found[0], found[0] + 24))
    assert found[0] >= 40


def test_a_stream_without_stamps_or_with_stamps_that_run_back_says_so(tmp_path: Path) -> None:
    raw = write_clip(tmp_path / "a.h264", 60, Form(container="h264"))
    assert reason(raw) == "no usable time stamps"
    with pytest.raises(MediaError, match=r"too short \(0 frames"):  # the released rule asks for no stamps, but a length
        read_clip(raw, fps=12, duration=2, frame_choice="released")
    part = write_clip(tmp_path / "part.ts", 60, Form(codec="mpeg2video")).read_bytes()
    (tmp_path / "twice.ts").write_bytes(part * 2)
    assert numbers(read_clip(tmp_path / "twice.ts", fps=12, duration=4)) == list(range(6, 54))
    assert reason(tmp_path / "twice.ts", duration=5) == "no usable time stamps"


def test_frames_whose_size_changes_are_a_skip_within_the_clip_and_no_matter_beside_it(tmp_path: Path) -> None:
    def packets(width: int, first: int) -> list[av.Packet]:
        context = av.CodecContext.create("mpeg2video", "w")
        context.width, context.height, context.pix_fmt = width, 64, "yuv420p"
        context.time_base, context.framerate = Fraction(1, 12), Fraction(12)
        made = []
        for number in range(31):
            frame = (
                av.VideoFrame.from_ndarray(picture(first + number)[:, :1].repeat(width, axis=1))
                if number < 30
                else None
            )
            if frame is not None:
                frame.pts, frame.time_base = first + number, Fraction(1, 12)
            made += context.encode(frame)
        return made

    with av.open(str(tmp_path / "a.ts"), "w") as container:
        stream = container.add_stream("mpeg2video", rate=12)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for packet in [*packets(96, 0), *packets(96, 30), *packets(160, 60)]:
            packet.stream = stream
            container.mux(packet)
    for size in (None, 64):
        assert reason(tmp_path / "a.ts", fps=6, duration=6, size=size) == "frame size changes on the way"
    assert read_clip(tmp_path / "a.ts", fps=12, duration=2).shape == (24, 64, 96, 3)


@pytest.mark.parametrize(
    "name", ["12:30:05.mp4", "http:a.mp4", "pipe:0.mp4", "a%03d.mp4", "-i.mp4", "a b\n.mp4", "é.mp4"]
)
def test_a_name_is_the_name_of_a_file(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write_clip(tmp_path / "x.mp4", 30).rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    for path in (Path(name), name, tmp_path / name):
        assert numbers(read_clip(path, fps=12, duration=2)) == list(range(3, 27))


def test_a_list_of_files_is_no_video(tmp_path: Path) -> None:
    write_clip(tmp_path / "x.ts", 40, Form(codec="mpeg2video"))
    lists = {
        "concat.mp4": "ffconcat version 1.0\nfile x.ts\n",
        "hls.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\nx.ts\n#EXT-X-ENDLIST\n",
    }
    for name, text in lists.items():
        (tmp_path / name).write_text(text)
        assert reason(tmp_path / name) == "undecodable"


def test_a_title_that_is_no_utf_8_does_not_matter(tmp_path: Path) -> None:
    form = Form(container_options={"movflags": "+use_metadata_tags"})
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w", options=form.container_options) as container:
        container.metadata["title"] = "CAFES"
        stream = container.add_stream("libx264", rate=12)
        stream.height, stream.width, stream.pix_fmt = 64, 96, "yuv420p"
        for number in range(30):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(number))))
        container.mux(stream.encode(None))
    content = path.read_bytes()
    assert b"CAFES" in content
    path.write_bytes(content.replace(b"CAFES", b"CAF\xc9S"))
    assert len(read_clip(path, fps=12, duration=2)) == 24


def corners(number: int) -> np.ndarray:
    """uint8 [64, 96, 3] whose four corners differ; every picture alike."""
    pixels = np.zeros((64, 96, 3), np.uint8)
    pixels[:32, :48], pixels[:32, 48:], pixels[32:, :48] = 240, 160, 80
    return pixels


@pytest.mark.parametrize(
    ("matrix", "turned"),
    [
        ((1, 0, 0, 1), lambda pixels: pixels),
        ((0, 1, -1, 0), lambda pixels: np.rot90(pixels, -1)),
        ((-1, 0, 0, -1), lambda pixels: np.rot90(pixels, 2)),
        ((0, -1, 1, 0), lambda pixels: np.rot90(pixels, 1)),
        ((-1, 0, 0, 1), lambda pixels: pixels[:, ::-1]),
        ((1, 0, 0, -1), lambda pixels: pixels[::-1]),
        ((0, 1, 1, 0), lambda pixels: pixels.swapaxes(0, 1)),
        ((0, -1, -1, 0), lambda pixels: np.rot90(pixels, 2).swapaxes(0, 1)),
    ],
)
@pytest.mark.parametrize("aspect", [1, 2])
def test_frames_are_stretched_turned_and_mirrored_as_the_file_says(tmp_path: Path, matrix, turned, aspect: int) -> None:
    def prepare(stream: av.VideoStream) -> None:
        stream.codec_context.sample_aspect_ratio = Fraction(aspect)

    path = write_clip(tmp_path / "a.mp4", 3, Form(fps=Fraction(3)), paint=corners, prepare=prepare)
    content = bytearray(path.read_bytes())
    place = content.index(b"tkhd") + 44
    a, b, c, d = (value * 0x10000 for value in matrix)
    struct.pack_into(">9i", content, place, a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    wanted = turned(corners(0).repeat(aspect, axis=1))
    frame = read_clip(path, fps=3, duration=1)[0]
    assert frame.shape == wanted.shape
    assert np.abs(frame.astype(int) - wanted).mean() < 4


@pytest.mark.parametrize(
    ("aspect", "shape"),
    [(Fraction(2), (64, 192)), (Fraction(16, 11), (64, 140)), (Fraction(1, 2), (128, 96)), (Fraction(8, 9), (72, 96))],
)
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_samples_that_are_not_square_are_stretched(tmp_path: Path, name: str, aspect: Fraction, shape) -> None:
    def prepare(stream: av.VideoStream) -> None:
        stream.codec_context.sample_aspect_ratio = aspect

    path = write_clip(tmp_path / name, 3, Form(fps=Fraction(3)), prepare=prepare)
    assert read_clip(path, fps=3, duration=1).shape == (3, *shape, 3)


def test_a_size_that_would_fill_the_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def prepare(stream: av.VideoStream) -> None:
        stream.codec_context.sample_aspect_ratio = Fraction(60)

    wide = write_clip(tmp_path / "wide.mp4", 3, Form(fps=Fraction(3)), prepare=prepare)
    large = write_clip(tmp_path / "large.mp4", 3, Form(fps=Fraction(3)))
    assert read_clip(wide, fps=3, duration=1).shape == (3, 64, 96 * 60, 3)
    assert len(read_clip(large, fps=3, duration=1)) == 3
    monkeypatch.setattr(module, "MOST_PIXELS", 100_000)
    with pytest.raises(MediaError, match=r"undecodable .a frame is shown as 5760x64"):
        read_clip(wide, fps=3, duration=1)
    monkeypatch.setattr(module, "MOST_PIXELS", 6_000)
    assert reason(large, fps=3, duration=1) == "undecodable"


def half_clear(number: int) -> np.ndarray:
    """uint8 RGBA [64, 96, 4]: red, its left half transparent and its right quarter half so."""
    pixels = np.zeros((64, 96, 4), np.uint8)
    pixels[..., 0], pixels[..., 3] = 255, 255
    pixels[:, :48, 3], pixels[:, 72:, 3] = 0, 128
    return pixels


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("vp9.webm", Form(codec="libvpx-vp9", pix_fmt="yuva420p")),
        ("vp8.webm", Form(codec="libvpx", pix_fmt="yuva420p", options={"auto-alt-ref": "0"})),
        ("prores.mov", Form(codec="prores_ks", pix_fmt="yuva444p10le")),
        ("qtrle.mov", Form(codec="qtrle", pix_fmt="argb")),
        ("a.apng", Form(codec="apng", pix_fmt="rgba", container="apng")),
    ],
)
def test_what_is_transparent_is_shown_on_white(tmp_path: Path, name: str, form: Form) -> None:
    path = write_clip(tmp_path / name, 30, form, paint=half_clear)
    for frame_choice in ("time", "released"):
        if name == "a.apng" and frame_choice == "released":  # it states no length
            continue
        for frame in read_clip(path, fps=12, duration=1, frame_choice=frame_choice):
            for x, wanted in ((20, (255, 255, 255)), (60, (255, 0, 0)), (84, (255, 127, 127))):
                assert np.abs(frame[32, x].astype(int) - wanted).max() <= 8


def test_the_picture_on_a_song_is_no_video(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mka"), "w", format="matroska") as container:
        sound = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), format="s16", layout="mono")
        silence.sample_rate = 8000
        container.mux([packet for frame in (silence, None) for packet in sound.encode(frame)])
    assert reason(tmp_path / "a.mka") == "undecodable"


def test_a_stream_that_appears_on_the_way_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_clip(tmp_path / "a.mp4", 30)
    packets = Video._packets

    class Container:
        """Raises at its end, as PyAV's does where another stream appeared."""

        def __init__(self, container: object) -> None:
            self.container = container

        def __getattr__(self, name: str) -> object:
            return getattr(self.container, name)

        def demux(self, stream: object):
            yield from (packet for packet in self.container.demux(stream) if packet.size)
            raise IndexError("list index out of range")

    def renamed(self: Video):
        self._container = Container(self._container)
        return packets(self)

    monkeypatch.setattr(Video, "_packets", renamed)
    assert numbers(read_clip(path, fps=12, duration=2)) == list(range(3, 27))
    with Video(path) as video:
        assert len(list(video.from_start())) == 30
