"""The samples of a page: the first prompts of every tag or dimension, none chosen, as small pictures."""

import base64
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
from PIL import Image

from eval.prompts.official import IMAGES_PER_PROMPT, VideoPrompt

_HEIGHT_PX, _FRAMES = 128, 4


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One sample in small."""

    file: Path
    jpeg: bytes | None
    """None if the file is missing or does not decode."""
    correct: bool | None = None
    reason: str = ""

    @property
    def uri(self) -> str:
        """The picture as an address that holds it."""
        return "data:image/jpeg;base64," + base64.b64encode(self.jpeg or b"").decode()


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """The samples of one prompt."""

    group: str
    """Its tag, or its first dimension."""
    prompt: str
    pictures: list[Picture] = field(default_factory=list)


def geneval_sheets(
    folder: Path, records: Sequence[dict[str, Any]], verdicts: dict[str, tuple[bool, str]], *, num: int
) -> Iterator[Sheet]:
    """Yields the four images of about `num` prompts, the first of every tag, and the scorer's verdicts if given."""
    chosen = first_of_each([(record["tag"], index) for index, record in enumerate(records)], num)
    for tag, index in chosen:
        pictures = []
        for copy in range(IMAGES_PER_PROMPT):
            name = f"{index:05d}/samples/{copy:05d}.png"
            correct, reason = verdicts.get(name, (None, ""))
            pictures.append(Picture(file=folder / name, jpeg=_still(folder / name), correct=correct, reason=reason))
        yield Sheet(group=tag, prompt=records[index]["prompt"], pictures=pictures)


def video_sheets(folder: Path, prompts: Sequence[VideoPrompt], *, num: int) -> Iterator[Sheet]:
    """Yields the first video of about `num` prompts, the first of every dimension, as a strip of frames."""
    by_text = {prompt.text: prompt for prompt in prompts}
    pairs = [(dimension, prompt.text) for prompt in prompts for dimension in prompt.dimensions]
    shown: set[str] = set()
    for dimension, text in first_of_each(pairs, num):
        if text not in shown:
            shown.add(text)
            file = folder / by_text[text].names[0]
            yield Sheet(group=dimension, prompt=text, pictures=[Picture(file=file, jpeg=_strip(file))])


def first_of_each(pairs: Iterable[tuple[str, Any]], num: int) -> list[tuple[str, Any]]:
    """The first pairs of every group in turn, `num` in all or at least one of each, sorted by group of first sight."""
    groups: dict[str, list[Any]] = {}
    for group, item in pairs:
        groups.setdefault(group, []).append(item)
    each = max(1, num // max(1, len(groups)))
    return [(group, item) for group, items in groups.items() for item in items[:each]]


def _still(file: Path) -> bytes | None:
    try:
        with Image.open(file) as image:
            return _jpeg([image.convert("RGB")])
    except (OSError, SyntaxError):
        return None


def _strip(file: Path) -> bytes | None:
    """Frames from first to last, side by side."""
    try:
        with av.open(str(file)) as container:
            frames = [frame.to_image() for frame in container.decode(video=0)]
    except (av.error.FFmpegError, OSError, IndexError):
        return None
    count = min(_FRAMES, len(frames))
    return _jpeg([frames[round(i * (len(frames) - 1) / max(count - 1, 1))] for i in range(count)]) if frames else None


def _jpeg(images: Sequence[Image.Image]) -> bytes:
    small = [image.resize((max(1, round(image.width * _HEIGHT_PX / image.height)), _HEIGHT_PX)) for image in images]
    whole = Image.new("RGB", (sum(image.width for image in small) + 2 * (len(small) - 1), _HEIGHT_PX), "white")
    left = 0
    for image in small:
        whole.paste(image, (left, 0))
        left += image.width + 2
    buffer = io.BytesIO()
    whole.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()
