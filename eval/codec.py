"""How well a visual tokenizer or a VAE gives real clips back: PSNR of each clip at each size, and both side by side.

`python -m eval.codec CLIPS... --tokenizer tiny-visual --sizes 112x64 224x128 --out outputs/codec.png`. Clips of the
shapes world have a command of their own, `codec` of `eval.shapes`.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from eval.shapes.codec import ThereAndBack, there_and_back_of
from lumos.cli.options.spelling import read_size
from lumos.look.clips.pair import Pair
from lumos.look.sheet import check_sheet, write_sheet
from lumos.media.frames import to_frames
from lumos.media.reading import read_clip
from xllmx.run.exit_status import status_of
from xllmx.run.option_parser import OptionParser

_SIDE_PX = 8
"""Sides of a clip are multiples of it: pixels of a code, each way."""
_MOST_PX = 8192


def pairs(
    paths: Sequence[Path], codec: ThereAndBack, *, sizes: Sequence[tuple[int, int]], fps: float, num_frames: int
) -> Iterator[Pair]:
    """Yield each clip at each size (width, height), beside what a codec leaves of it.

    A clip is `num_frames` frames from the middle of the video, `fps` a second.

    Raises:
        MediaError: a file cannot be read, or is shorter.
    """
    for path in paths:
        for width, height in sizes:
            frames = read_clip(path, fps=fps, duration=num_frames / fps, size=(width, height))
            video = torch.from_numpy(frames).permute(3, 0, 1, 2)[None].float() / 127.5 - 1
            back = to_frames(codec(video)[0].float())[: len(frames)]
            facts = f"{width}x{height}, {num_frames} frames at {fps:g} a second"
            yield Pair(caption=path.name, facts=facts, source_name=str(path), source=frames, decoded=back)


def size_of(text: str) -> tuple[int, int]:
    """Return (width, height) of "112x64".

    Raises:
        ValueError: it is no such size, or a side is no multiple of 8 px from 8 to 8192.

    >>> size_of("112x64")
    (112, 64)
    """
    width, height = read_size(text, setting="--sizes")
    if any(side % _SIDE_PX or not _SIDE_PX <= side <= _MOST_PX for side in (width, height)):
        near = "x".join(
            str(min(_MOST_PX, max(_SIDE_PX, round(side / _SIDE_PX) * _SIDE_PX))) for side in (width, height)
        )
        raise ValueError(
            f"--sizes {text}: each side must be a multiple of {_SIDE_PX} px and at most {_MOST_PX}: take {near}"
        )
    return width, height


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit status (`xllmx.run.exit_status`)."""
    parser = OptionParser(prog="eval.codec", description=__doc__)
    parser.add_argument("clips", nargs="+", type=Path, help="videos")
    parser.add_argument("--tokenizer", required=True, help="a tokenizer, a model or a VAE, by name or folder")
    parser.add_argument("--sizes", nargs="+", default=["112x64", "224x128"], metavar="WxH")
    parser.add_argument("--fps", type=float, default=8.0, help="frames a second (default: 8)")
    parser.add_argument("--frames", type=int, default=13, help="frames of a clip (default: 13)")
    parser.add_argument("--out", type=Path, help="a contact sheet of sources and what is left of them, .png")

    def measure() -> int:
        options = parser.parse_args(arguments)
        sizes = [size_of(text) for text in options.sizes]
        if not 0 < options.fps <= 1000 or not 1 <= options.frames <= 10_000:
            given = f"--fps {options.fps:g} --frames {options.frames}"
            raise ValueError(f"{given}: give a rate of up to 1000 frames a second, and 1 to 10000 frames")
        if options.out is not None:
            check_sheet(options.out, inputs={str(path): path for path in options.clips})
        codec, shown = there_and_back_of(options.tokenizer), []
        for pair in pairs(options.clips, codec, sizes=sizes, fps=options.fps, num_frames=options.frames):
            print(f"{pair.psnr_db:6.2f} dB  {pair.facts}  {pair.caption}", flush=True)
            shown.append(pair)
        values = [pair.psnr_db for pair in shown if pair.psnr_db is not None]
        print(f"{options.tokenizer}: mean {sum(values) / len(values):.2f} dB, lowest {min(values):.2f}")
        if options.out is not None:
            write_sheet(options.out, [pair.card() for pair in shown], title=f"{options.tokenizer}, there and back")
            print(f"side by side: {options.out}")
        return 0

    return status_of("eval.codec", measure, words=arguments)


if __name__ == "__main__":
    sys.exit(main())
