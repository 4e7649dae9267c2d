"""The network: `MultiScaleNextDiT` predicts the velocity of a latent at any of its scales (README section 2)."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from lumos.lumina_video.config import LuminaVideoConfig
from lumos.lumina_video.network.block import Block, Head, LayerNorm
from lumos.lumina_video.network.conditioning import ScalarEmbedder, motion_embedding
from lumos.lumina_video.network.initial_weights import drawn_weights
from lumos.lumina_video.network.layout import Layout
from lumos.lumina_video.network.patches import grid_of, patchify, size_of, unpatchify
from lumos.lumina_video.network.rope import Grid, rotation_of
from lumos.lumina_video.network.text_states import TextStates, mean_of, valid_tokens
from lumos.lumina_video.scale import Scale
from xllmx.kernels.attention import Spans, resolve_backend, spans_of


class MultiScaleNextDiT(nn.Module):
    """v = dit(x, t, text, motion, scale).

    A scale is a pair of linears: patches come in by `all_x_embedder` and leave by `all_final_layer`; the blocks between
    know none. Parameters have the released names; their values are torch's own until `init_weights` or
    `load_state_dict`.
    """

    def __init__(self, config: LuminaVideoConfig, *, attention_backend: str = "auto") -> None:
        """Make the network; `attention_backend` is one of `xllmx.kernels.attention`, and is checked here."""
        super().__init__()
        self.config = config
        resolve_backend(attention_backend, device=torch.device("cpu"), dtype=torch.float32)
        self.attention_backend = attention_backend
        width = config.conditioning_width
        patch_widths = {scale.parameter_name: scale.token_width(config.in_channels) for scale in config.scales}
        self.all_x_embedder = nn.ModuleDict({name: nn.Linear(w, config.dim) for name, w in patch_widths.items()})
        self.all_final_layer = nn.ModuleDict({name: Head(config, w) for name, w in patch_widths.items()})
        self.t_embedder = ScalarEmbedder(width, factor=config.t_scale)
        self.motion_embedder = ScalarEmbedder(width, factor=config.motion_scale)
        self.cap_embedder = nn.Sequential(LayerNorm(config.cap_feat_dim), nn.Linear(config.cap_feat_dim, width))
        self.layers = nn.ModuleList(Block(config) for _ in range(config.n_layers))
        self.pad_token = nn.Parameter(torch.zeros(config.dim))  # never used, but the released weights have it

    def forward(
        self,
        x: Float[Tensor, "B C T H W"] | Sequence[Float[Tensor, "_ _ _ _"]],
        t: Float[Tensor, " _"],
        text: Float[Tensor, "_ _ _"] | TextStates,
        text_mask: Bool[Tensor, "_ _"] | Spans | None = None,
        motion: Float[Tensor, " _"] | None = None,
        *,
        scale: Scale | str = "1x2",
    ) -> Float[Tensor, "B C T H W"] | list[Tensor]:
        """Return the velocity at `x`, in the same container and sizes.

        Computed in the dtype of the weights, or autocast's; `t` is rounded to it first, as in the released system.

        Args:
            x: noisy latents, [B, C, T, H, W], or a list of [C, T, H, W] of any sizes.
            t: the time of each item, [B]; 0 is noise, 1 is data.
            text: features of the text encoder, [B, S, cap_feat_dim], or what `encode_text` made of them.
            text_mask: [B, S], True where a token is valid; None: everywhere. `encode_text` has looked at its own. Or
                the spans of a text that `valid_tokens` has made on the host, so that nothing is read here.
            motion: the motion score of each item, [B]; negative, or None for all: unspecified.
            scale: frames x pixels of a patch.

        Raises:
            ValueError: an unknown scale, sizes that its patches do not fill, or shapes that do not go together.
        """
        scale = self.config.scale(scale)
        clips = self._clips(x)
        num_items = len(x)
        states = text if isinstance(text, TextStates) else self._features(text, text_mask)
        if motion is None:
            motion = torch.full((num_items,), -1.0, device=t.device)
        for name, count in (("t", len(t)), ("text", len(states.pooled)), ("motion", len(motion))):
            if count != num_items:
                raise ValueError(f"{name} has {count} items and x has {num_items}; give one {name} for each item of x")

        t_emb, motion_emb = self.t_embedder(t.to(self._compute_dtype)), motion_embedding(self.motion_embedder, motion)
        cond = t_emb + states.pooled + motion_emb
        layout = self._layout([grid_of(size_of(clip), scale) for clip in clips], num_items, states)
        tokens = self._embed(clips, scale)
        for layer, layer_text in zip(self.layers, states.layers, strict=True):
            tokens = layer(tokens, cond, layer_text, layout)
        patches = self.all_final_layer[scale.parameter_name](tokens, cond, layout)

        if not layout.is_packed:
            velocity = unpatchify(patches, size_of(clips[0]), scale)
            return velocity if isinstance(x, Tensor) else list(velocity)
        parts = zip(patches.split(layout.items.lengths, dim=1), clips, strict=True)
        return [unpatchify(part, size_of(clip), scale)[0] for part, clip in parts]

    def encode_text(self, text: Float[Tensor, "_ _ _"], text_mask: Bool[Tensor, "_ _"] | None = None) -> TextStates:
        """Return what `forward` takes in place of the text: all that depends on nothing else, for the steps of a run.

        Raises:
            ValueError: as `forward`.
        """
        states = self._features(text, text_mask)
        features = cast(Tensor, states.layers[0])
        return replace(states, layers=[cast(Block, layer).keys_values(features) for layer in self.layers])

    def init_weights(self, generator: torch.Generator) -> None:
        """Draw all weights anew; the network then returns exactly 0 (README section 2.7)."""
        with torch.no_grad():
            for parameter, values in drawn_weights(self, generator=generator):
                parameter.copy_(values)

    @property
    def _autocasts(self) -> bool:
        device = self.pad_token.device.type
        return torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)

    @property
    def _compute_dtype(self) -> torch.dtype:
        """What products are made in; asked within `forward`, where a sharded model's weights have their dtype."""
        device = self.pad_token.device.type
        return torch.get_autocast_dtype(device) if self._autocasts else self.pad_token.dtype

    def _clips(self, x: Tensor | Sequence[Tensor]) -> list[Tensor]:
        """Return the items as one batch where they have one size, otherwise as batches of one."""
        if len(x) == 0:
            raise ValueError("x holds no latent; give at least one")
        if isinstance(x, Tensor):
            clips = [x]
        else:
            clips = [torch.stack(list(x))] if len({item.shape for item in x}) == 1 else [item[None] for item in x]
        for clip in clips:
            if clip.shape[1] != self.config.in_channels:
                raise ValueError(
                    f"a latent of x has {clip.shape[1]} channels, but in_channels of this model is "
                    f"{self.config.in_channels}; give [channels, frames, rows, columns]"
                )
        return clips

    def _features(self, text: Tensor, mask: Tensor | Spans | None) -> TextStates:
        """Return the texts with the features themselves for every block to make its keys and values of."""
        if text.shape[2] != self.config.cap_feat_dim:
            raise ValueError(
                f"text features are {text.shape[2]} wide, but cap_feat_dim of this model is "
                f"{self.config.cap_feat_dim}; encode the text with the encoder that the model was trained with"
            )
        if isinstance(mask, Tensor) and mask.shape != text.shape[:2]:
            raise ValueError(
                f"text_mask is {list(mask.shape)}; it must be {list(text.shape[:2])}, one entry for each token of text"
            )
        if isinstance(mask, Spans):
            valid, spans = text, mask
        else:
            valid, found = valid_tokens(text, mask)
            spans = spans_of(found, device=text.device)
        valid, lengths = valid if self._autocasts else valid.to(self.pad_token.dtype), spans.lengths
        padded = None
        if min(lengths) < max(lengths):
            padded = torch.arange(max(lengths), device=text.device) < torch.diff(spans.bounds)[:, None]
        pooled = self.cap_embedder(mean_of(valid, lengths).to(valid.dtype))
        return TextStates(pooled=pooled, layers=(valid,) * len(self.layers), spans=spans, mask=padded)

    def _layout(self, grids: Sequence[Grid], num_items: int, states: TextStates) -> Layout:
        """Return where the tokens stand; `grids` has one grid for each item, or one that all share."""
        device = states.pooled.device
        lengths = [math.prod(grid) for grid in grids]
        packed = len(grids) > 1
        return Layout(
            is_packed=packed,
            items=spans_of(lengths if packed else lengths * num_items, device=device),
            rotation=rotation_of(grids, head_dim=self.config.head_dim, theta=self.config.rope_theta, device=device),
            texts=states.spans,
            text_mask=states.mask,
            backend=resolve_backend(self.attention_backend, device=device, dtype=self._compute_dtype),
        )

    def _embed(self, clips: Sequence[Tensor], scale: Scale) -> Tensor:
        patches = torch.cat([patchify(clip, scale) for clip in clips], dim=1)
        tokens = self.all_x_embedder[scale.parameter_name](patches.to(self.pad_token.dtype))
        return tokens.float() if self._autocasts else tokens  # the residual stream of training is fp32
