"""Settings of the network, under the released names (README section 2.1)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from lumos.lumina_video.scale import Scale
from xllmx.settings.argument_types import check_type
from xllmx.settings.config import convert, to_plain
from xllmx.settings.number_range import Range, check_numbers
from xllmx.settings.setting import suggestion

MOST_LAYERS = 1000
"""Blocks of a network; the released ones have 24 and 32."""

_WIDTH, _PATCH = Range(1, 2**20), Range(1, 64)
_MOST_CONDITIONING = 1024
_CHANNELS_OF_A_HEAD = 16
"""Their number must be a multiple of this: eighths of it, in pairs, are what RoPE gives to each axis."""


@dataclass(frozen=True, kw_only=True)
class LuminaVideoConfig:
    """The settings of a `MultiScaleNextDiT`. Defaults are those of the released code; its models are in `PRESETS`.

    `rope_theta`, `t_scale` and `motion_scale` leave no trace in the weights: they have to come with them.

    Raises:
        ValueError: a value that no model can have; the message says which, and the rule.
    """

    all_patch_size: Annotated[Sequence[int], _PATCH] = (2,)
    """Latent pixels of each scale's patch, kept as a tuple; with `all_f_patch_size`, pair i is one scale."""
    all_f_patch_size: Annotated[Sequence[int], _PATCH] = (2,)
    """Latent frames of each scale's patch, kept as a tuple."""
    in_channels: Annotated[int, Range(1, 2**16)] = 4
    """Channels of the latent, and of the velocity."""
    dim: Annotated[int, _WIDTH] = 4096
    """Width of the tokens, D."""
    n_layers: Annotated[int, Range(1, MOST_LAYERS)] = 32
    """Blocks."""
    n_heads: Annotated[int, _WIDTH] = 32
    """Query heads, N."""
    n_kv_heads: Annotated[int, _WIDTH] | None = None
    """Key/value heads, K; None: as many as query heads."""
    multiple_of: Annotated[int, _WIDTH] = 256
    """The feed-forward width is rounded up to a multiple of this."""
    ffn_dim_multiplier: Annotated[float, Range(0, 1000, above=True)] | None = None
    """Factor on the feed-forward width before it is rounded; None: 1."""
    norm_eps: Annotated[float, Range(0, 1, above=True)] = 1e-5
    """Epsilon of the RMS norms, and of no other norm."""
    qk_norm: bool = False
    """Whether queries and keys go through a layer norm."""
    cap_feat_dim: Annotated[int, _WIDTH] = 5120
    """Width of the text features."""
    rope_theta: Annotated[float, Range(0, 1e12, above=True)] = 10000.0
    """Base of RoPE's frequencies."""
    t_scale: Annotated[float, Range(0, 10**6, above=True)] = 1.0
    """Factor on the time before its sinusoids."""
    motion_scale: Annotated[float, Range(0, 10**6, above=True)] = 1.0
    """Factor on the motion score before its sinusoids."""

    def __post_init__(self) -> None:
        for name in ("all_patch_size", "all_f_patch_size"):
            check_type(name, getattr(self, name), Sequence[int])
            object.__setattr__(self, name, tuple(getattr(self, name)))
        check_numbers(self)
        self._check_heads()
        self._check_scales()

    @classmethod
    def named(cls, name: str) -> "LuminaVideoConfig":
        """Return a released architecture, one of `PRESETS`.

        Raises:
            ValueError: there is none of this name.
        """
        if name not in PRESETS:
            raise ValueError(f"model is {name!r}, which is no released architecture; {suggestion(name, PRESETS)}")
        return PRESETS[name]

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "LuminaVideoConfig":
        """Return the config of these fields, as a JSON or YAML file holds them; what is left out is the default.

        Raises:
            ValueError: an unknown field (with the nearest known one), a wrong type, or a rule of this class.
        """
        return convert(cls, fields, "model")

    def to_dict(self) -> dict[str, Any]:
        """Return all fields, tuples as lists: what `from_dict` reads back to an equal config."""
        return to_plain(self)

    @property
    def head_dim(self) -> int:
        """Channels of a head, E."""
        return self.dim // self.n_heads

    @property
    def num_kv_heads(self) -> int:
        """Key/value heads, K."""
        return self.n_heads if self.n_kv_heads is None else self.n_kv_heads

    @property
    def conditioning_width(self) -> int:
        """Width c of the conditioning vector."""
        return min(self.dim, _MOST_CONDITIONING)

    @property
    def ffn_width(self) -> int:
        """Width F of the feed-forward layer."""
        width = 8 * self.dim // 3
        if self.ffn_dim_multiplier is not None:
            width = int(self.ffn_dim_multiplier * width)
        return math.ceil(width / self.multiple_of) * self.multiple_of

    @property
    def scales(self) -> tuple[Scale, ...]:
        """The scales, in the order of the fields."""
        pairs = zip(self.all_f_patch_size, self.all_patch_size, strict=True)
        return tuple(Scale(frames=frames, pixels=pixels) for frames, pixels in pairs)

    def scale(self, wanted: Scale | str) -> Scale:
        """Return the scale of that name ("2x4").

        Raises:
            ValueError: it is no scale, or none of this model; names those there are.
        """
        scale = Scale.parse(wanted) if isinstance(wanted, str) else wanted
        if scale not in self.scales:
            known = ", ".join(map(str, self.scales))
            raise ValueError(f"scale is {scale} (frames x pixels), which this model does not have; choose of {known}")
        return scale

    def _check_heads(self) -> None:
        multiple = self.n_heads * _CHANNELS_OF_A_HEAD
        if self.dim % multiple:
            raise ValueError(
                f"dim is {self.dim} and must be a multiple of {multiple} ({_CHANNELS_OF_A_HEAD} x n_heads = "
                f"{self.n_heads}); {_nearest(self.dim, multiple)} would do"
            )
        if self.n_heads % self.num_kv_heads:
            raise ValueError(
                f"n_kv_heads is {self.n_kv_heads} and must divide n_heads = {self.n_heads}; take one of "
                f"{', '.join(str(n) for n in range(1, self.n_heads + 1) if self.n_heads % n == 0)}"
            )

    def _check_scales(self) -> None:
        pixels, frames = self.all_patch_size, self.all_f_patch_size
        if len(pixels) != len(frames) or not pixels:
            raise ValueError(
                f"all_patch_size has {len(pixels)} entries and all_f_patch_size {len(frames)}: entry i of both is one "
                "scale; give as many of both, and one at least"
            )
        names = [str(scale) for scale in self.scales]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(
                    f"the scale {name} (frames x pixels) is listed twice in all_patch_size and all_f_patch_size; name "
                    "it once"
                )


def _nearest(value: int, multiple: int) -> int:
    return max(round(value / multiple), 1) * multiple


def _released(*, dim: int, n_layers: int, n_heads: int, n_kv_heads: int) -> LuminaVideoConfig:
    return LuminaVideoConfig(
        all_patch_size=(2, 2, 4),
        all_f_patch_size=(1, 2, 2),
        in_channels=16,
        dim=dim,
        n_layers=n_layers,
        n_heads=n_heads,
        n_kv_heads=n_kv_heads,
        qk_norm=True,
        cap_feat_dim=2304,
        rope_theta=256.0,
        t_scale=1000.0,
        motion_scale=20.0,
    )


PRESETS = {
    "MultiScaleNextDiT_2B_GQA": _released(dim=2304, n_layers=24, n_heads=16, n_kv_heads=8),
    "MultiScaleNextDiT_2B": _released(dim=2304, n_layers=24, n_heads=16, n_kv_heads=16),
    "MultiScaleNextDiT_4B_GQA": _released(dim=3072, n_layers=32, n_heads=24, n_kv_heads=8),
}
"""The released architectures, with scales, norms and factors of the released training recipe."""

RELEASED_ARCHITECTURE = "MultiScaleNextDiT_2B_GQA"
"""That of the released checkpoint."""
