"""The slow, obvious way to sample with Lumina-Video, which the fast one must equal: from the equations, for one clip.

The two branches run one after the other; each pass makes keys, values and mean of its text anew, and its positions as
complex numbers of float64; grouped heads are repeated, padding of the text is masked; all states of both branches are
kept. Sections are those of lumos/lumina_video/README.md; weights are the network's own, formulas are plain.
"""

import math
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from jaxtyping import Bool, Complex, Float
from torch import Tensor, nn

from lumos.lumina_video.config import LuminaVideoConfig
from lumos.lumina_video.dit import MultiScaleNextDiT
from lumos.lumina_video.preset import FlowPreset
from lumos.lumina_video.sampling.schedule import time_grid, value_at
from lumos.lumina_video.scale import Scale

Text = tuple[Float[Tensor, "L E"], Bool[Tensor, " L"]]
"""Features of a text and the mask of its tokens."""


def literal_latents(
    model: MultiScaleNextDiT, noise: Float[Tensor, "C T H W"], *, preset: FlowPreset, text: Text, negative: Text
) -> tuple[list[Tensor], list[Tensor]]:
    """The states of both branches at all points of the grid; the last of the first are the latents (section 4)."""
    dtype = model.pad_token.dtype
    states, negative_states = [noise.to(dtype).float()], [noise.to(dtype).float()]
    for t, next_t in pairwise(time_grid(preset.num_points, preset.shift)):
        states.append(states[-1] + (next_t - t) * literal_step(model, states[-1], t, preset, text, negative))
        negative_states.append(states[-1].clone())
    return states, negative_states


def literal_step(
    model: MultiScaleNextDiT,
    state: Float[Tensor, "C T H W"],
    t: Float[Tensor, ""],
    preset: FlowPreset,
    text: Text,
    negative: Text,
) -> Float[Tensor, "C T H W"]:
    """The guided velocity at a state: v_pos + s (v_pos - v_neg), its norm held to renorm times that of v_pos."""
    dtype = model.pad_token.dtype
    t = t.to(dtype)
    x, scale = state.to(dtype), str(value_at(preset.scale, t))
    positive = literal_velocity(model, x, t, text, float(value_at(preset.motion, t)), scale).float()
    velocity, strength = positive, float(value_at(preset.guidance, t))
    if strength > 0:
        score = float(value_at(preset.negative_motion, t))
        velocity = positive + strength * (positive - literal_velocity(model, x, t, negative, score, scale).float())
    if preset.renorm > 0 and velocity.norm() > preset.renorm * positive.norm():
        velocity = velocity * (preset.renorm * positive.norm() / velocity.norm())
    return velocity.to(dtype).float()


def literal_velocity(
    model: MultiScaleNextDiT, x: Float[Tensor, "C T H W"], t: Tensor, text: Text, motion: float, scale: str
) -> Float[Tensor, "C T H W"]:
    """The velocity that the network predicts for one clip and one text (section 2)."""
    config, patch = model.config, Scale.parse(scale)
    features, mask = text[0].to(x.dtype), text[1]
    num_frames = x.shape[1]
    clip = x.repeat(1, patch.frames, 1, 1) if num_frames == 1 else x
    sizes = {"f": patch.frames, "p": patch.pixels, "q": patch.pixels}
    patches = rearrange(clip, "c (t f) (h p) (w q) -> t h w (f p q c)", **sizes)
    grid = (patches.shape[0], patches.shape[1], patches.shape[2])
    rotation = _rotation(config, grid, x.device)
    cond = _condition(model, t, features[mask], motion)
    embedder: Any = model.all_x_embedder[patch.parameter_name]
    tokens = F.linear(patches.flatten(0, 2), embedder.weight, embedder.bias)
    for layer in model.layers:
        tokens = _block(layer, tokens, cond, features, mask, rotation)
    head: Any = model.all_final_layer[patch.parameter_name]
    factor = 1 + _modulation(head, cond)
    out = F.linear(F.layer_norm(tokens, tokens.shape[-1:], eps=1e-6) * factor, head.linear.weight, head.linear.bias)
    shape = dict(zip("thw", grid, strict=True))
    return rearrange(out, "(t h w) (f p q c) -> c (t f) (h p) (w q)", **shape, **sizes)[:, :num_frames]


def _condition(model: MultiScaleNextDiT, t: Tensor, valid: Tensor, motion: float) -> Tensor:
    """t_emb + cap_emb + motion_emb (section 2.4); `valid` are the features of the text's own tokens."""
    norm, linear = model.cap_embedder
    assert isinstance(norm, nn.LayerNorm)
    assert isinstance(linear, nn.Linear)
    mean = F.layer_norm(valid.float().mean(dim=0).to(valid.dtype), valid.shape[-1:], norm.weight, norm.bias)
    cond = F.linear(mean, linear.weight, linear.bias) + _embedded(model.t_embedder, t)
    return cond + _embedded(model.motion_embedder, torch.tensor(motion).to(t)) if motion >= 0 else cond


def _embedded(embedder: Any, value: Tensor) -> Tensor:
    angles = (value * embedder.factor).float() * torch.exp(-math.log(10000) * torch.arange(128).to(value.device) / 128)
    return embedder.mlp(torch.cat([angles.cos(), angles.sin()]).to(embedder.mlp[0].weight.dtype))


def _modulation(part: Any, cond: Tensor) -> Tensor:
    linear = part.adaLN_modulation[1]
    return F.linear(F.silu(cond), linear.weight, linear.bias)


def _block(layer: Any, x: Tensor, cond: Tensor, features: Tensor, mask: Tensor, rotation: Tensor) -> Tensor:
    """The tokens after one block (section 2.5)."""
    scale1, gate1, scale2, gate2 = _modulation(layer, cond).chunk(4)
    normed, text = _rms(x, layer.attention_norm1) * (1 + scale1), _rms(features, layer.attention_y_norm)
    x = x + gate1.tanh() * _rms(_attention(layer.attention, normed, text, mask, rotation), layer.attention_norm2)
    normed, ffn = _rms(x, layer.ffn_norm1) * (1 + scale2), layer.feed_forward
    expanded = F.linear(F.silu(F.linear(normed, ffn.w1.weight)) * F.linear(normed, ffn.w3.weight), ffn.w2.weight)
    return x + gate2.tanh() * _rms(expanded, layer.ffn_norm2)


def _attention(part: Any, x: Tensor, text: Tensor, mask: Tensor, rotation: Tensor) -> Tensor:
    """softmax(q k^T) v over the clip and, gated, softmax(q ky^T) vy over the text's own tokens."""
    q, k = _rotated(part.q_norm(part.wq(x)), rotation, part), _rotated(part.k_norm(part.wk(x)), rotation, part)
    v, keys, values = (_heads(y, part) for y in (part.wv(x), part.ky_norm(part.wk_y(text)), part.wv_y(text)))
    k, v, keys, values = (repeat(y, "n l e -> (n r) l e", r=q.shape[0] // y.shape[0]) for y in (k, v, keys, values))
    seen = F.scaled_dot_product_attention(q, k, v)
    read = F.scaled_dot_product_attention(q, keys, values, attn_mask=mask.expand(1, q.shape[1], -1))
    return part.wo(rearrange(seen + part.gate.tanh()[:, None, None] * read, "n l e -> l (n e)"))


def _heads(x: Tensor, part: Any) -> Tensor:
    return rearrange(x, "l (n e) -> n l e", e=part.head_dim)


def _rotated(x: Tensor, rotation: Tensor, part: Any) -> Tensor:
    pairs = torch.view_as_complex(_heads(x, part).float().unflatten(-1, (-1, 2)).contiguous())
    return torch.view_as_real(pairs * rotation).flatten(-2).to(x.dtype)


def _rotation(config: LuminaVideoConfig, grid: tuple[int, int, int], device: torch.device) -> Complex[Tensor, "L E2"]:
    """exp(i index theta^(-2i/d)) of each token and pair of channels: frames, then rows, then columns (section 2.6)."""
    eighth, angles = config.head_dim // 8, []
    indices = torch.meshgrid(*(torch.arange(length, device=device).double() for length in grid), indexing="ij")
    for index, width in zip(indices, (2 * eighth, 3 * eighth, 3 * eighth), strict=True):
        frequencies = config.rope_theta ** (-torch.arange(0, width, 2, device=device).double() / width)
        angles.append(index.flatten()[:, None] * frequencies)
    turned = torch.cat(angles, dim=-1)
    return torch.polar(torch.ones_like(turned), turned).to(torch.complex64)


def _rms(x: Tensor, norm: Any) -> Tensor:
    return F.rms_norm(x, x.shape[-1:], norm.weight, norm.eps)
