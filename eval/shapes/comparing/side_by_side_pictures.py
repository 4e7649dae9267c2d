"""What models side by side look like: quality against cost, and clips of the same prompts beneath each other."""

from collections.abc import Mapping
from pathlib import Path
from textwrap import shorten

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from eval.shapes.comparing.compare import Evaluation
from eval.shapes.outputs import frames_of
from eval.shapes.pictures.sheet import mark, shown_frames
from eval.shapes.prompts import TAGS_OF_KIND, Record, load_prompts
from eval.shapes.score import score
from lumos.media.writing import write_image
from lumos.shapes import describe
from xllmx.disk.files import atomic_path

_SIDE_PX, _GAP_PX, _NAME_PX, _TEXT_PX = 64, 2, 120, 18
_FRAMES = 4
_ROW_PX = _SIDE_PX + _GAP_PX
_COLUMNS = 2


def draw_cost(evaluations: Mapping[str, Evaluation], path: Path) -> None:
    """Draw the score of videos from text over the FLOPs and the seconds of one, a line a model, as png.

    Evaluations of one model are those whose names begin alike, up to a comma.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, what, label in zip(panels, ("flops", "seconds"), ("GFLOP a video", "seconds a video"), strict=True):
        for name, points in _lines(evaluations, what).items():
            axes.plot([x for _, x, _ in points], [y for _, _, y in points], "o-", label=name)
            for point, x, y in points:
                axes.annotate(point, (x, y), textcoords="offset points", xytext=(5, 5), fontsize=8)
        axes.set(xlabel=label, xlim=(0, 1.2 * axes.dataLim.xmax), ylim=(0, 1.02))
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("videos from text as asked (mean of tags)")
    panels[0].legend(loc="lower right")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")


def _lines(evaluations: Mapping[str, Evaluation], what: str) -> dict[str, list[tuple[str, float, float]]]:
    """Model -> (name of the point, cost, score), the cheapest first; what was not measured or asked is left out."""
    lines: dict[str, list[tuple[str, float, float]]] = {}
    for name, one in evaluations.items():
        if one.cost is not None and "t2v" in one.reports:
            cost = getattr(one.cost, what) / (1e9 if what == "flops" else 1)
            model, _, way = name.partition(", ")
            lines.setdefault(model, []).append((way or "default", cost, one.reports["t2v"]["overall"]))
    return {model: sorted(points, key=lambda point: point[1]) for model, points in lines.items()}


def draw_clips(folders: Mapping[str, Path], path: Path) -> None:
    """Draw the clips of the first prompt of every tag by every evaluation, none chosen, as png.

    Args:
        folders: name of an evaluation -> its folder of videos from text, `OUT/t2v`; all are of the same prompts.
        path: the file.
    """
    records = load_prompts(next(iter(folders.values())) / "prompts.json")[: len(TAGS_OF_KIND["t2v"])]
    blocks = [_block(record, folders) for record in records]
    width, height = blocks[0].size
    rows = -(-len(blocks) // _COLUMNS)
    whole = Image.new("RGB", (_COLUMNS * width, rows * height), "white")
    for place, block in enumerate(blocks):
        whole.paste(block, (place % _COLUMNS * width, place // _COLUMNS * height))
    write_image(path, np.asarray(whole))


def _block(record: Record, folders: Mapping[str, Path]) -> Image.Image:
    """One prompt: its text, and below it a row of frames of each evaluation, ticked where it is as asked."""
    width = _NAME_PX + _FRAMES * (_SIDE_PX + _GAP_PX) + 4 * _GAP_PX
    block = Image.new("RGB", (width, _TEXT_PX + len(folders) * _ROW_PX + 4 * _GAP_PX), "white")
    draw, font = ImageDraw.Draw(block), ImageFont.load_default(11)
    draw.text((4, 2), shorten(record.prompt.text, 64, placeholder="..."), fill="black", font=font)
    for row, (name, folder) in enumerate(folders.items()):
        top = _TEXT_PX + row * _ROW_PX
        draw.text((24, top + _SIDE_PX // 2 - 7), name, fill="black", font=font)
        frames = frames_of(folder, record)
        right = score(record, None if frames is None else describe(frames)).verdict.correct
        sign = Image.new("RGB", (22, 22), "white")
        mark(ImageDraw.Draw(sign), right=right)
        block.paste(sign, (0, top + _SIDE_PX // 2 - 10))
        for place, index in enumerate([] if frames is None else shown_frames(len(frames), _FRAMES)):
            assert frames is not None
            picture = Image.fromarray(frames[index]).resize((_SIDE_PX, _SIDE_PX), Image.Resampling.NEAREST)
            block.paste(picture, (_NAME_PX + place * (_SIDE_PX + _GAP_PX), top))
    return block
