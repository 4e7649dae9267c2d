"""A picture of how Lumos-1 sees a clip: `python -m lumos.lumos1.drawings --out assets/lumos1.png`.

Positions of MM-RoPE, who attends to whom, and what one step of training hides: each made by the code that the model
itself runs, on a sequence small enough to be seen.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from lumos.lumos1.ardf import history_pattern, tube_mask
from lumos.lumos1.model.attention import frame_causal_mask
from lumos.lumos1.rotary import axis_of_channel
from lumos.lumos1.sequence import blocks_of, frame_index_of, positions_of, sequence_of
from lumos.tokenizer.vocab import Vocab
from xllmx.disk.files import atomic_path
from xllmx.disk.place import check_file
from xllmx.rng import generator_for
from xllmx.run.exit_status import status_of
from xllmx.run.option_parser import OptionParser

_PROMPT = 12
"""Tokens of the prompt."""
_GRID = (3, 4, 4)
"""Latent frames, rows and columns of the clip."""
_HIDDEN = 0.7
_HEAD_DIM = 64
_AXIS_NAMES = ("time", "row", "column")
_AXIS_COLOURS = ("#c44e52", "#4c72b0", "#55a868")


def draw(out: Path) -> None:
    """Write the picture; the suffix of `out` says its format.

    Raises:
        ValueError: matplotlib is not installed, or knows no format of that suffix.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ValueError("the picture is drawn by matplotlib; pip install -e '.[plot]'") from error
    ids = _sequence()
    figure: Any = Figure(figsize=(13, 4.4), layout="constrained")
    positions, attention, masks = figure.subfigures(1, 3, width_ratios=[1.3, 1, 1.05])
    _draw_positions(positions, ids)
    _draw_attention(attention, ids)
    _draw_masks(masks)
    suffix = out.suffix.removeprefix(".")
    if suffix not in figure.canvas.get_supported_filetypes():
        raise ValueError(f"--out {out} has no known picture format; let it end in .png, .svg or .pdf")
    with atomic_path(out) as temporary:
        figure.savefig(temporary, format=suffix, dpi=110)


def _sequence() -> torch.Tensor:
    """Return the ids of a sample, [1, L]: any words and codes, for neither is seen."""
    vocab = Vocab()
    words = torch.cat([torch.tensor([vocab.bos]), torch.full((_PROMPT - 1,), vocab.bos + 7)])
    return sequence_of(words, torch.zeros(_GRID, dtype=torch.int64), vocab=vocab, fps=8, duration=1)[None]


def _draw_positions(figure: Any, ids: torch.Tensor) -> None:
    """Text goes along the diagonal, as RoPE has it; the codes of a frame lie in a plane (paper section 3.2)."""
    vocab = Vocab()
    time, row, column = positions_of(ids, vocab)[0].numpy()
    frame = frame_index_of(ids, vocab)[0].numpy()
    space, strip = figure.subplots(2, 1, height_ratios=[12, 1], subplot_kw={})
    space.remove()
    space = figure.add_subplot(space.get_subplotspec(), projection="3d")
    is_text = frame < 0
    space.scatter(time[is_text], column[is_text], row[is_text], color="black", s=10, label="text: t = y = x")
    for index in range(_GRID[0]):
        chosen = frame == index
        label = f"frame {index}: +{4 * index}"
        space.scatter(time[chosen], column[chosen], row[chosen], color=f"C{index}", s=22, label=label)
    space.set(xlabel="t", ylabel="x", zlabel="y", title="MM-RoPE: where tokens stand")
    space.invert_zaxis()
    space.view_init(elev=18, azim=-72)
    space.legend(fontsize="x-small", loc="upper left")
    axes = axis_of_channel(_HEAD_DIM)[: _HEAD_DIM // 2].tolist()
    for pair, axis in enumerate(axes):
        strip.barh(0, 1, left=pair, color=_AXIS_COLOURS[axis], edgecolor="white")
    for axis, name in enumerate(_AXIS_NAMES):
        strip.bar(0, 0, color=_AXIS_COLOURS[axis], label=name)
    strip.set(
        yticks=[], xlim=(0, len(axes)), xlabel=f"channel pair of a head of {_HEAD_DIM} and the axis that turns it"
    )
    strip.legend(fontsize="x-small", ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1))


def _draw_attention(figure: Any, ids: torch.Tensor) -> None:
    """Causal in the text, both ways inside a frame, causal from frame to frame."""
    vocab = Vocab()
    mask = frame_causal_mask(blocks_of(ids, vocab))[0]
    frame = frame_index_of(ids, vocab)[0]
    colours = torch.where(mask, (frame[:, None].expand_as(mask) + 2).clamp(min=1), torch.zeros_like(frame[:, None]))
    axes = figure.subplots()
    from matplotlib.colors import ListedColormap

    axes.imshow(colours.numpy(), cmap=ListedColormap(["white", "#444444", "C0", "C1", "C2"]), interpolation="nearest")
    axes.set(title="who attends to whom", xlabel="key", ylabel="query")


def _draw_masks(figure: Any) -> None:
    """Training: one choice of places through all frames; sampling: a new frame sees part of the past (section 3.3)."""
    frames, rows, columns = _GRID[0], 8, 8
    tube = tube_mask(frames, rows * columns, _HIDDEN, generator=generator_for(0))
    sampling = torch.ones_like(tube)
    sampling[:-1] = False
    sampling[:-1, history_pattern(rows * columns, _HIDDEN)] = True
    above, below = figure.subfigures(2, 1)
    for part, hidden, title in (
        (above, tube, f"AR-DF trains: {_HIDDEN:.0%} hidden, as a tube"),
        (below, sampling, "and samples: the past hidden in part"),
    ):
        part.suptitle(title)
        for index, axes in enumerate(part.subplots(1, frames)):
            frame = hidden[index].view(rows, columns).numpy()
            axes.imshow(frame, cmap="Greys", vmin=0, vmax=1.4, interpolation="nearest")
            axes.set(xticks=[], yticks=[], xlabel=f"frame {index}")
            for side in axes.spines.values():
                side.set(color=f"C{index}", linewidth=3)


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status (`xllmx.run.exit_status`)."""
    parser = OptionParser(prog="lumos.lumos1.drawings", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="picture to write (.png, .svg, .pdf)")

    def work() -> int:
        out = parser.parse_args(arguments).out
        check_file(out, inputs={})
        draw(out)
        sys.stdout.write(f"{out}\n")
        return 0

    return status_of("lumos.lumos1.drawings", work, words=arguments)


if __name__ == "__main__":
    sys.exit(main())
