"""A look at generated outputs: a folder that `lumos generate` or a benchmark's driver filled, or one file of it."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from lumos.look.captions import caption_lines
from lumos.look.places import spread_places
from lumos.look.report import LookRequest, Report
from lumos.look.sheet import FRAMES, Card, strip_of
from lumos.look.words import counted, counts_table, line, plural, printable, spread, tail
from lumos.media.decoding.video import Video
from lumos.media.media_error import MediaError
from lumos.media.reading import media_errors, read_image, require_file
from xllmx.safe.json_text import read_object

VIDEOS = frozenset((".mp4", ".gif", ".webm", ".mov", ".mkv", ".avi"))
PICTURES = frozenset((".png", ".jpg", ".jpeg", ".webp"))
_PATTERNS = ("*", "*/samples/*")
"""Where outputs lie in a folder: in itself, or, as GenEval wants it, in one for each prompt."""
_MOST_FILES, _MOST_FRAMES, _MOST_MODELS = 100_000, 2000, 12
_SIDE_PX = 512
_MOST_COUNT = 10**6
"""Pixels or frames, of which a record that says more says nothing."""


@dataclass(frozen=True, kw_only=True)
class Output:
    """A picture or video, and what its record says."""

    file: Path
    name: str
    """Within its folder."""
    record: Mapping[str, Any] = field(default_factory=dict)
    """Nothing where there is none."""
    fault: str = ""
    """Why the record cannot be read."""

    def text(self, name: str) -> str:
        """A text of the record, or an empty one."""
        value = self.record.get(name)
        return value if isinstance(value, str) else ""

    def count(self, name: str) -> int | None:
        """A whole number of the record or its settings, or None."""
        settings = self.record.get("settings")
        value = self.record.get(name, settings.get(name) if isinstance(settings, dict) else None)
        return value if type(value) is int else None

    @property
    def size(self) -> tuple[str, int | str, int | str]:
        """Size, frames and frames per second, as they are recorded."""
        found = map(self.count, ("width", "height", "num_frames", "fps"))
        width, height, frames, fps = (value if value and 0 < value < _MOST_COUNT else None for value in found)
        return f"{width}x{height}" if width and height else "?", frames or "?", (fps or "?") if frames != 1 else "-"


def holds_outputs(folder: Path) -> bool:
    """Whether there is a picture or video in a folder, in places where outputs lie."""
    return next(_media_in(folder), None) is not None


def look_at_outputs(path: Path, request: LookRequest) -> Report:
    """What is in a folder of outputs, or in one of them.

    Raises:
        ValueError: there is none.
    """
    files = [path] if path.is_file() else sorted(islice(_media_in(path), _MOST_FILES))
    folder = path.parent if path.is_file() else path
    if not files:
        raise ValueError(f"{path}: holds no picture or video")
    everything = [_output(file, folder) for file in tqdm(files, desc="records", disable=None, leave=False)]
    recorded = [one for one in everything if one.record or one.fault]
    outputs = recorded or everything
    lines = [f"{printable(path, 300)}: {plural(len(outputs), 'output')}", ""]
    lines += _lines(outputs) if recorded else [line("records", "none: nothing says how these were made")]
    if others := len(everything) - len(outputs):
        lines.append(line("left out", f"{plural(others, 'other file')} without a record"))
    cards, faults, shown = [], [], spread_places(len(outputs), request.num)
    for place in tqdm(shown, desc="reading", disable=None, leave=False):
        card, fault = _card(outputs[place])
        cards.append(card)
        faults += [f"{outputs[place].name}: {fault}"] if fault else []
    if faults:
        lines.append(line("damaged", f"{len(faults):,} of {len(shown):,} looked into: {printable(faults[0], 200)}"))
    lines += ["", *_named([outputs[place] for place in shown])] if shown else []
    title = f"{path}: {plural(len(outputs), 'output')}"
    return Report(lines=lines, cards=cards, title=title, files=[one.file for one in outputs])


def _media_in(folder: Path) -> Iterator[Path]:
    for pattern in _PATTERNS:
        for file in folder.glob(pattern):
            if file.suffix.lower() in VIDEOS | PICTURES and not file.name.startswith(".") and file.is_file():
                yield file


def _output(file: Path, folder: Path) -> Output:
    """A file with its record: beside it, or, of a benchmark's, in the folder of records beside its folder."""
    name = file.relative_to(folder)
    apart = folder.absolute().with_name(f"{folder.absolute().name}_records")
    places = [file, apart / name, apart / name.parent.parent / name.name]
    for place in places:
        record = place.with_name(f"{place.name}.json")
        if record.is_file():
            try:
                return Output(file=file, name=str(name), record=read_object(record))
            except ValueError as error:
                return Output(file=file, name=str(name), fault=str(error))
    return Output(file=file, name=str(name))


def _lines(outputs: Sequence[Output]) -> list[str]:
    sizes = Counter(one.size for one in outputs).most_common()
    lines = counts_table(("size", "frames", "fps", "outputs"), [(*size, count) for size, count in sizes])
    lines += ["", *caption_lines([one.text("prompt") for one in outputs], name="prompts")]
    models = Counter(printable(one.text("model") or "not recorded", 80) for one in outputs)
    lines.append(line("models", counted(dict(models.most_common(_MOST_MODELS)))))
    seeds = [seed for one in outputs if (seed := one.count("seed")) is not None]
    lines.append(line("seeds", str(seeds[0]) if len(set(seeds)) == 1 else f"{len(set(seeds)):,} different"))
    seconds = [value for one in outputs if isinstance(value := one.record.get("seconds"), float) and value > 0]
    lines += [line("seconds", f"{spread(seconds)}, to make one")] if seconds else []
    if faults := [one.fault for one in outputs if one.fault]:
        lines.append(line("records", f"{len(faults):,} cannot be read: {printable(faults[0], 200)}"))
    return lines


def _named(outputs: Sequence[Output]) -> list[str]:
    names = [tail(one.name, 40) for one in outputs]
    width = max(map(len, names))
    return [
        f"  {name:<{width}}  {printable(one.text('prompt'), 110)}".rstrip()
        for name, one in zip(names, outputs, strict=True)
    ]


def _card(output: Output) -> tuple[Card, str]:
    """An output as it is shown, and why it cannot be, if it cannot."""
    try:
        frames, num, fault = *frames_of(output.file), ""
    except MediaError as error:
        frames, num, fault = None, 0, error.reason
    seed = output.count("seed")
    facts = [tail(output.name, 60)]
    if frames is not None:
        size = f"{frames.shape[2]}x{frames.shape[1]}"
        facts += [output.size[0] if output.record else size, plural(num, "frame") if num > 1 else "picture"]
    facts += [f"seed {seed}"] if seed is not None else []
    facts += [fault] if fault else []
    strips = [strip_of(frames)] if frames is not None else []
    return Card(strips=strips, text=output.text("prompt"), note=" · ".join(facts)), fault


def frames_of(path: Path) -> tuple[np.ndarray, int]:
    """A few frames of a picture or video, [n, H, W, 3], spread over it and made small; and how many it has.

    Raises:
        MediaError: it cannot be read.
    """
    if path.suffix.lower() in PICTURES:
        return _small(read_image(path))[None], 1
    with media_errors(path):
        require_file(path)
        kept, last, num = [], None, 0
        with Video(path) as video:
            stated = min(video.stated_number() or _MOST_FRAMES, _MOST_FRAMES)
            wanted = set(spread_places(stated, FRAMES))
            for num, shown in enumerate(islice(video.from_start(), _MOST_FRAMES), 1):
                last = shown
                if num - 1 in wanted:
                    kept.append(_small(video.pixels(shown.frame)))
            if last is not None and num < stated:
                kept.append(_small(video.pixels(last.frame)))
        return np.stack(kept), num


def _small(pixels: np.ndarray) -> np.ndarray:
    picture = Image.fromarray(pixels)
    picture.thumbnail((_SIDE_PX, _SIDE_PX))
    return np.asarray(picture)
