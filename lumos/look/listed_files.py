"""A look at lists of files, {path, prompt}, which Lumina-Video trains on as they are."""

from collections import Counter
from pathlib import Path

from tqdm import tqdm

from lumos.look.captions import caption_lines
from lumos.look.clips.set_lines import damaged_lines, read_line
from lumos.look.left_out import ASK, Training
from lumos.look.outputs import PICTURES, frames_of
from lumos.look.places import spread_places
from lumos.look.report import LookRequest, Report
from lumos.look.sheet import Card, strip_of
from lumos.look.words import counted, counts_table, line, plural, printable, spread, tail
from lumos.lumina_video.training.items.file_lists import ListedFile, read_file_lists
from lumos.media.decoding.video_facts import VideoFacts, video_facts
from lumos.media.media_error import MediaError
from lumos.media.reading import read_image


def look_at_listed_files(path: Path, request: LookRequest) -> Report:
    """What is in a list of images or videos, or in those that a data YAML names.

    Args:
        path: the list (.json, .jsonl, .pkl, .pth), or the YAML.
        request: how closely; files are opened for their sizes, nothing is encoded.

    Raises:
        ValueError: it is damaged; or the model says no size, or is none of Lumina-Video.
    """
    training = Training.of(request, str(path))
    lists = read_file_lists(path, media_type="video")
    rows = [lists.rows[row] for row in lists.taken.tolist()]
    places = spread_places(len(rows), request.read)
    known: list[VideoFacts] = []
    faults: list[MediaError] = []
    for place in tqdm(places, desc="reading", unit="file", disable=None, leave=False):
        try:
            known.append(_facts(rows[place].path))
        except MediaError as error:
            faults.append(error)
    lines = [f"{printable(path, 300)}: {plural(len(rows), 'file')} as they are, for Lumina-Video with task.vae", ""]
    sizes = Counter((f"{facts.width}x{facts.height}", f"{facts.fps:.4g}" if facts.fps else "-") for facts in known)
    lines += counts_table(("size", "fps", "files"), [(*size, count) for size, count in sizes.most_common()])
    lines += ["", *read_line(len(rows), len(places))]
    if lengths := [facts.seconds for facts in known if facts.fps]:
        lines.append(line("seconds", spread(lengths)))
    lines += caption_lines([row.caption for row in rows])
    scores = [row.motion for row in rows if row.motion >= 0]
    lines += [line("motion", f"{spread(scores)}; known of {len(scores):,} of {plural(len(rows), 'file')}")]
    if videos := [facts for facts in known if facts.fps]:
        lines.append(ASK if training is None else training.left_out_line(videos))
    lines += damaged_lines([str(error) for error in faults])
    if faults:
        reasons = counted(Counter(error.reason for error in faults))
        lines.append(line("", f"{reasons}; broken samples of a training (trainer.max_broken)"))
    cards = [_card(rows[place]) for place in spread_places(len(rows), request.num)]
    title = f"{path}: {plural(len(rows), 'file')}"
    return Report(lines=lines, cards=cards, title=title, files=[row.path for row in rows])


def _facts(path: Path) -> VideoFacts:
    """What is known of a file, of an image a rate of 0."""
    if path.suffix.lower() not in PICTURES:
        return video_facts(path)
    height, width = read_image(path).shape[:2]
    return VideoFacts(seconds=0.0, fps=0.0, width=width, height=height)


def _card(row: ListedFile) -> Card:
    try:
        frames, num = frames_of(row.path)
    except MediaError as error:
        return Card(strips=[], text=row.caption, note=f"{tail(row.path, 60)} · {error.reason}")
    facts = [tail(row.path, 60), plural(num, "frame") if num > 1 else "picture"]
    facts += [f"motion {row.motion:.1f}"] if row.motion >= 0 else []
    return Card(strips=[strip_of(frames)], text=row.caption, note=" · ".join(facts))
