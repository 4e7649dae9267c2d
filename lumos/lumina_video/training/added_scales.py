"""Layers of a scale that a checkpoint lacks, made of those of its nearest scale (README 2.7).

The added scale does to a latent what the old one does to the latent resized: repeated up to the old patch where the new
one is finer, and the result averaged back; averaged down where it is coarser, and the result repeated.
"""

import math
import re
from collections.abc import Callable, Mapping

from jaxtyping import Float
from torch import Tensor

from lumos.lumina_video.scale import Scale

_LAYER = re.compile(r"(?P<list>all_x_embedder|all_final_layer)\.(?P<scale>\d+-\d+)\.(?P<rest>.+)")
_READS, _WRITES = "all_x_embedder", "linear."


def nearest_scale(scale: Scale, others: list[Scale]) -> Scale | None:
    """Return that of `others` whose patch is nearest to `scale`'s in size, or None where none divides or multiplies."""
    fits = [other for other in others if all(max(a, b) % min(a, b) == 0 for a, b in _axes(scale, other))]
    return min(fits, key=lambda other: sum(abs(math.log(a / b)) for a, b in _axes(scale, other)), default=None)


def sources_of(missing: list[str], stored: Mapping[str, tuple[int, ...]]) -> dict[str, str]:
    """Return, for each missing layer's tensor, the name of the stored one it is made of; others are left out.

    Args:
        missing: names of the model that the checkpoint lacks.
        stored: the checkpoint's names and shapes.
    """
    found = {name: match for name in (*missing, *stored) if (match := _LAYER.fullmatch(name))}
    have = sorted({found[name]["scale"] for name in stored if name in found})
    sources: dict[str, str] = {}
    for name in missing:
        if name not in found or found[name]["scale"] in have:
            continue
        nearest = nearest_scale(Scale.parse(found[name]["scale"]), [Scale.parse(spelt) for spelt in have])
        if nearest is None:
            continue
        source = f"{found[name]['list']}.{nearest.parameter_name}.{found[name]['rest']}"
        if source in stored:
            sources[name] = source
    return sources


def resized(tensor: Float[Tensor, "..."], source: str, name: str) -> Float[Tensor, "..."]:
    """Return tensor `name` of the added scale, made of tensor `source` of another one (both as the weights spell them).

    Sums and means are taken in fp32, whatever dtype the weights are stored in, and returned so, for whoever fills a
    model to round once to its dtype. Weights that know no patch (the modulation, the bias of the tokens) are returned
    as they are.

    Raises:
        ValueError: one of the names is no layer of a scale.
    """
    old, new = (_LAYER.fullmatch(spelt) for spelt in (source, name))
    if old is None or new is None:
        raise ValueError(f"{source} and {name} are no layers of a scale")
    before, after = Scale.parse(old["scale"]), Scale.parse(new["scale"])
    if new["list"] == _READS and new["rest"] == "weight":
        return _resize(tensor.float().T, before, after, finer=Tensor.sum, share=True).T
    if new["rest"].startswith(_WRITES):
        return _resize(tensor.float(), before, after, finer=Tensor.mean, share=False)
    return tensor


def _axes(one: Scale, other: Scale) -> list[tuple[int, int]]:
    return [(one.frames, other.frames), (one.pixels, other.pixels), (one.pixels, other.pixels)]


def _resize(
    rows: Float[Tensor, "rows ..."], before: Scale, after: Scale, *, finer: Callable[..., Tensor], share: bool
) -> Float[Tensor, "resized ..."]:
    """Return rows (f p q c) of a patch as those of another; with `share`, rows made of one are parts of it."""
    grid = rows.unflatten(0, (before.frames, before.pixels, before.pixels, -1))
    for axis, (old, new) in enumerate(_axes(before, after)):
        if new < old:
            grid = finer(grid.unflatten(axis, (new, old // new)), dim=axis + 1)
        elif new > old:
            grid = grid.repeat_interleave(new // old, dim=axis) / (new // old if share else 1)
    return grid.flatten(0, 3)
