"""The slow, obvious way to sample, which the fast one must equal: written from the equations, for one prompt.

Two branches run one after the other, each over its own cache that grows by concatenation; attention takes a dense mask;
the head makes fp32 logits of the whole vocabulary at every position of the frame; guidance is of those logits, draws
are by Gumbel noise. Norms, rotations and projections are the model's own weights in plain formulas.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lumos.lumos1.ardf import history_pattern
from lumos.lumos1.config import SamplerConfig
from lumos.lumos1.model.attention import frame_causal_mask
from lumos.lumos1.model.modeling import LumosForCausalLM
from lumos.lumos1.model.rope import mm_rope_angles
from lumos.lumos1.model.transformer import Block, HeadNorm, RMSNorm
from lumos.lumos1.sampling.noise import NoiseSource
from lumos.lumos1.sampling.refine import MASKED
from lumos.lumos1.sampling.schedule import Step, confidence_temperature, num_masked
from lumos.lumos1.sequence import blocks_of, content_positions, frame_content, frame_ids, positions_of, video_header
from xllmx.rng import generator_for


@dataclass(frozen=True)
class GumbelNoise:
    """Draws by argmax(logits + Gumbel noise): every number a function of (seed, frame, step, position)."""

    seed: int
    num_positions: int
    """N of a frame; the noise of a step is always made for all of them."""

    def draw(
        self, logits: Float[Tensor, "M V"], *, frame: int, step: int, positions: Int[Tensor, "M"]
    ) -> Int[Tensor, "M"]:
        """Return a code for each of these positions."""
        device, seed = logits.device, generator_for(self.seed, step, rank=frame, stream="draw").initial_seed()
        noise = torch.empty(self.num_positions, logits.shape[-1], device=device)
        noise.exponential_(generator=torch.Generator(device).manual_seed(seed))
        return (logits - noise.log()[positions]).argmax(dim=-1)

    def uniform(self, *, frame: int, step: int, num_positions: int) -> Float[Tensor, "N"]:
        """Return uniforms in (0, 1)."""
        generator = generator_for(self.seed, step, rank=frame, stream="confidence")
        return torch.rand(num_positions, generator=generator).clamp(1e-20, 1 - 2**-24)


class LiteralBranch:
    """One branch of one prompt: its tokens so far, and keys and values of each layer, concatenated as they come."""

    def __init__(self, model: LumosForCausalLM, text: Int[Tensor, "L"]) -> None:
        self._model, self._ids = model, text.to(model.device)[None]
        self._past: list[tuple[Tensor, Tensor]] = [(torch.empty(0), torch.empty(0))] * len(model.model.layers)
        self._hidden(self._ids, keep=True, first=True)

    def logits(self, ids: Int[Tensor, "1 L"]) -> Float[Tensor, "1 L V"]:
        """Return fp32 logits of the whole vocabulary at new tokens, of which the cache keeps nothing."""
        return self._model.lm_head(self._hidden(ids, keep=False)).float()

    def keep(self, ids: Int[Tensor, "1 L"]) -> None:
        """Put the tokens into the cache."""
        self._hidden(ids, keep=True)

    def _hidden(self, ids: Tensor, *, keep: bool, first: bool = False) -> Tensor:
        whole = ids if first else torch.cat([self._ids, ids], dim=1)
        vocab, length = self._model.vocab, ids.shape[1]
        positions = positions_of(whole, vocab)[..., -length:]
        mask = frame_causal_mask(blocks_of(whole, vocab))[:, None, -length:]
        config = self._model.config
        rotation = mm_rope_angles(positions, head_dim=config.head_dim, theta=config.rope_theta)
        x, past = self._model.model.embed_tokens(ids), []
        for block, kept in zip(self._model.model.layers, self._past, strict=True):
            assert isinstance(block, Block)
            x, keys_values = _block(block, x, rotation, mask, past=None if first else kept)
            past.append(keys_values)
        if keep:
            self._ids, self._past = whole, past
        return _norm(x, self._model.model.norm)


class LiteralDecoder:
    """Frames of one prompt after each other."""

    def __init__(self, model: LumosForCausalLM, texts: Sequence[Int[Tensor, "_"]], *, grid: tuple[int, int]) -> None:
        self._model, self._grid = model, grid
        self._branches = [LiteralBranch(model, text) for text in texts]

    def refine(
        self, codes: Int[Tensor, "N"], *, noise: NoiseSource, step: Step, sampler: SamplerConfig
    ) -> Int[Tensor, "N"]:
        """Return the codes of a frame (-1 = undecided) after one refinement."""
        cond, uncond = (branch.logits(self._frame(codes)) for branch in self._branches)
        guided = uncond + sampler.guidance_scale * (cond - uncond)
        vocab, places = self._model.vocab, frame_content(*self._grid).to(codes.device)
        logits = guided[0, places][:, vocab.code_ids(torch.arange(vocab.num_codes, device=codes.device))]
        every = torch.arange(len(codes), device=codes.device)
        drawn = noise.draw(logits, frame=step.frame, step=step.index, positions=every)
        log_prob = logits.softmax(dim=-1).gather(-1, drawn[:, None]).squeeze(-1).log()
        masked = codes == MASKED
        refined = torch.where(masked, drawn, codes)
        if step.index + 1 == sampler.num_steps:
            return refined
        u = noise.uniform(frame=step.frame, step=step.index, num_positions=len(codes)).to(codes.device)
        confidence = log_prob - confidence_temperature(sampler, step) * (-u.log()).log()
        confidence = confidence.masked_fill(~masked, torch.inf)
        unknown = int(masked.sum())
        count = num_masked(step.index, num_steps=sampler.num_steps, unknown=unknown, num_positions=len(codes))
        refined[confidence.argsort(stable=True)[:count]] = MASKED
        return refined

    def keep_frame(self, codes: Int[Tensor, "N"], *, ratio: float) -> None:
        """Put the frame into both caches, `ratio` of its content masked."""
        height, width = self._grid
        ids = self._frame(codes)
        pattern = history_pattern(height * (width + 1), ratio)
        ids[0, content_positions(height, width)[pattern].to(ids.device)] = self._model.vocab.mask
        for branch in self._branches:
            branch.keep(ids)

    def _frame(self, codes: Tensor) -> Tensor:
        vocab = self._model.vocab
        ids = torch.where(codes == MASKED, vocab.mask, vocab.code_ids(codes.clamp(min=0)))
        return frame_ids(ids.view(1, *self._grid), vocab)


@torch.inference_mode()
def literal_codes(
    model: LumosForCausalLM,
    prompt_ids: Int[Tensor, "_"],
    *,
    grid: tuple[int, int],
    num_latent_frames: int,
    clock: tuple[int, int],
    sampler: SamplerConfig,
    noise: NoiseSource,
) -> Int[Tensor, "T H W"]:
    """Return the codes of one clip; `clock` is (fps, duration in seconds)."""
    header = video_header(model.vocab, fps=clock[0], duration=clock[1])
    text = torch.cat([prompt_ids, torch.tensor([model.vocab.separator]), header])
    decoder = LiteralDecoder(model, [text, header], grid=grid)
    clip = []
    for frame in range(num_latent_frames):
        codes = torch.full((grid[0] * grid[1],), MASKED, device=model.device)
        for index in range(sampler.num_steps):
            step = Step(frame=frame, index=index, first=frame == 0)
            codes = decoder.refine(codes, noise=noise, step=step, sampler=sampler)
        decoder.keep_frame(codes, ratio=sampler.mask_history_ratio)
        clip.append(codes)
    return torch.stack(clip).unflatten(-1, grid)


def literal_hidden(
    model: LumosForCausalLM, ids: Int[Tensor, "B L"], positions: Int[Tensor, "B 3 L"], mask: Bool[Tensor, "B L L"]
) -> Float[Tensor, "B L D"]:
    """Return the hidden states of whole sequences after the final norm, under a dense mask (True = may attend)."""
    config, x = model.config, model.model.embed_tokens(ids)
    rotation = mm_rope_angles(positions, head_dim=config.head_dim, theta=config.rope_theta)
    for block in model.model.layers:
        assert isinstance(block, Block)
        x, _ = _block(block, x, rotation, mask[:, None], past=None)
    return _norm(x, model.model.norm)


def _block(
    block: Block, x: Tensor, rotation: tuple[Tensor, Tensor], mask: Tensor, *, past: tuple[Tensor, Tensor] | None
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Return the residual stream after one block, and its keys and values with the past ones before."""
    attention, mlp = block.self_attn, block.mlp
    normed = _norm(x, block.input_layernorm)
    q, k, v = (
        projection(normed).unflatten(-1, (-1, attention.head_dim)).transpose(1, 2)
        for projection in (attention.q_proj, attention.k_proj, attention.v_proj)
    )
    q, k = _rotated(_head_norm(q, attention.q_norm), rotation), _rotated(_head_norm(k, attention.k_norm), rotation)
    if past is not None:
        k, v = torch.cat([past[0], k], dim=2), torch.cat([past[1], v], dim=2)
    groups = q.shape[1] // k.shape[1]
    keys, values = k.repeat_interleave(groups, dim=1), v.repeat_interleave(groups, dim=1)
    gathered = F.scaled_dot_product_attention(q, keys, values, attn_mask=mask)
    x = x + attention.o_proj(gathered.transpose(1, 2).flatten(2))
    normed = _norm(x, block.post_attention_layernorm)
    return x + mlp.down_proj(F.silu(mlp.gate_proj(normed)) * mlp.up_proj(normed)), (k, v)


def _norm(x: Tensor, norm: RMSNorm) -> Tensor:
    wide = x.float()
    return (wide * (wide.square().mean(dim=-1, keepdim=True) + norm.eps).rsqrt()).to(x.dtype) * norm.weight


def _head_norm(x: Tensor, norm: HeadNorm) -> Tensor:
    shares, head_dim = norm.weight.shape
    heads = x.shape[1] // shares
    weight, bias = (p.repeat_interleave(heads, dim=0)[:, None] for p in (norm.weight, norm.bias))
    return F.layer_norm(x, (head_dim,), eps=1e-5) * weight + bias


def _rotated(x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    cos, sin = (torch.cat([part, part], dim=-1)[:, None].to(x.dtype) for part in rotation)
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-second, first], dim=-1) * sin
