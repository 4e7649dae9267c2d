"""The transformer against a plain restatement of lumos/lumos1/README.md, section 5, for every option."""

import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint

from lumos.lumos1.model.attention import frame_causal_mask, layout_of
from lumos.lumos1.model.rope import mm_rope_angles
from lumos.lumos1.model.transformer import HeadNorm, RMSNorm
from lumos.lumos1.rotary import axis_of_channel
from lumos.lumos1.sequence import blocks_of, positions_of

OPTIONS = {
    "released": {},
    "swin_norm": {"swin_norm": True},
    "model_parallel": {"model_parallel_size": 2},
    "biases": {"attention_bias": True, "mlp_bias": True},
    "multi_head": {"num_key_value_heads": 4},
    "wide_heads": {"hidden_size": 64, "num_attention_heads": 2, "rope_theta": 50.0},
}


def plain_forward(model, ids):
    """Return logits computed the slow way: full-size cos and sin, rotate-half, a dense mask, no shared code paths."""
    config, weights, vocab = model.config, model.state_dict(), model.vocab
    cos, sin = mm_rope_angles(positions_of(ids, vocab), head_dim=config.head_dim, theta=config.rope_theta)
    cos, sin = torch.cat([cos, cos], -1)[:, None], torch.cat([sin, sin], -1)[:, None]
    mask = frame_causal_mask(blocks_of(ids, vocab))[:, None]

    def rms(x, name):
        return x / (x.pow(2).mean(-1, keepdim=True) + config.rms_norm_eps).sqrt() * weights[name + ".weight"]

    def linear(x, name):
        return F.linear(x, weights[name + ".weight"], weights.get(name + ".bias"))

    def heads(x, name):
        x = linear(x, name + "_proj").unflatten(-1, (-1, config.head_dim)).transpose(1, 2)
        if name.endswith("v"):
            return x.repeat_interleave(config.num_attention_heads // x.shape[1], 1)
        mean, variance = x.mean(-1, keepdim=True), x.var(-1, keepdim=True, unbiased=False)
        share = x.shape[1] // config.model_parallel_size
        weight, bias = (
            weights[f"{name}_norm.{kind}"].repeat_interleave(share, 0)[:, None] for kind in ("weight", "bias")
        )
        x = (x - mean) / (variance + 1e-5).sqrt() * weight + bias
        first, second = x.chunk(2, -1)
        x = x * cos + torch.cat([-second, first], -1) * sin
        return x.repeat_interleave(config.num_attention_heads // x.shape[1], 1)

    def attend(x, layer):
        q, k, v = (heads(x, f"{layer}.self_attn.{letter}") for letter in "qkv")
        scores = (q @ k.transpose(2, 3) / config.head_dim**0.5).masked_fill(~mask, -torch.inf)
        return linear((scores.softmax(-1) @ v).transpose(1, 2).flatten(2), f"{layer}.self_attn.o_proj")

    def expand(x, layer):
        gate = linear(x, f"{layer}.mlp.gate_proj")
        return linear(gate * gate.sigmoid() * linear(x, f"{layer}.mlp.up_proj"), f"{layer}.mlp.down_proj")

    x = weights["model.embed_tokens.weight"][ids]
    for index in range(config.num_hidden_layers):
        layer = f"model.layers.{index}"
        for sublayer, norm in ((attend, "input_layernorm"), (expand, "post_attention_layernorm")):
            if config.swin_norm:
                x = x + rms(sublayer(x, layer), f"{layer}.{norm}")
            else:
                x = x + sublayer(rms(x, f"{layer}.{norm}"), layer)
    return linear(rms(x, "model.norm"), "lm_head")


@pytest.mark.parametrize("option", OPTIONS)
def test_logits_equal_the_plain_restatement(make_model, option, sample):
    model = make_model(**OPTIONS[option])
    with torch.no_grad():
        for ids in (sample()[None], sample(grid=(1, 8, 4))[None]):
            torch.testing.assert_close(model(ids).logits, plain_forward(model, ids), atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("backend", ["per_frame", "mask"])
def test_gradients_equal_the_plain_restatement(make_model, backend, sample):
    model, ids = make_model(), sample()[None]
    model(ids, backend=backend).logits.sin().sum().backward()
    ours = {name: parameter.grad for name, parameter in model.named_parameters()}
    detached = {name: tensor.detach().requires_grad_() for name, tensor in model.state_dict().items()}
    model.state_dict = lambda: detached  # plain_forward reads the weights there
    gradients = torch.autograd.grad(plain_forward(model, ids).sin().sum(), list(detached.values()))
    for name, gradient in zip(detached, gradients, strict=True):
        assert (ours[name] - gradient).norm() < 1e-5 * gradient.norm(), name


def test_activation_checkpointing_from_outside_gives_the_same_gradients(make_model, sample):
    model, ids = make_model(), sample()[None]
    gradients = []
    for wrapped in (False, True):
        if wrapped:
            for block in model.model.layers:
                inner = block.forward
                block.forward = lambda *args, f=inner, **kwargs: checkpoint(f, *args, use_reentrant=False, **kwargs)
        model.zero_grad()
        model.hidden(ids).sin().sum().backward()
        gradients.append([p.grad.clone() for p in model.model.layers.parameters()])
    torch.testing.assert_close(*gradients)


def test_dropout_acts_in_training_only(make_model, sample):
    model, ids = make_model(dropout=0.5), sample()[None]
    still = make_model()
    torch.testing.assert_close(model.hidden(ids), still.hidden(ids))
    model.train()
    assert not torch.allclose(model.hidden(ids), model.hidden(ids))


def test_axes_of_odd_head_sizes_keep_pairs_together():
    axes = axis_of_channel(12)
    assert torch.equal(axes[:6], axes[6:])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rms_norm_keeps_the_dtype_and_the_equation(dtype):
    norm = RMSNorm(24, eps=1e-5)
    norm.weight.data.uniform_(0.5, 2)
    x = torch.randn(3, 7, 24).to(dtype)
    expected = x.float() / (x.float().pow(2).mean(-1, keepdim=True) + 1e-5).sqrt() * norm.weight
    output = norm(x)
    assert output.dtype == dtype
    torch.testing.assert_close(output.float(), expected, atol=1e-6, rtol=1e-5 if dtype == torch.float32 else 1.5e-2)


def test_rms_norm_of_zeros_is_zero_with_finite_gradients():
    x = torch.zeros(2, 24, requires_grad=True)
    output = RMSNorm(24, eps=1e-5)(x)
    output.sum().backward()
    assert output.eq(0).all()
    assert x.grad.isfinite().all()


def test_rows_of_the_head_norm_serve_neighbouring_heads(make_config):
    norm = HeadNorm(make_config(model_parallel_size=2))
    norm.bias.data[1] = 5.0
    means = norm(torch.randn(1, 3, 4, 12)).mean(-1)[0, 0]
    torch.testing.assert_close(means, torch.tensor([0.0, 0.0, 5.0, 5.0]), atol=1e-5, rtol=0)


def test_hidden_takes_a_layout_made_once(make_model, vocab, sample):
    model, ids = make_model(), sample()[None]
    blocks = blocks_of(ids, vocab)
    torch.testing.assert_close(model.hidden(ids, blocks=layout_of(blocks)), model.hidden(ids))
    torch.testing.assert_close(model.hidden(ids, blocks=blocks), model.hidden(ids))


COMPILED = """
import torch
from torch._dynamo.testing import CompileCounter
from lumos.lumos1.config import LumosConfig
from lumos.lumos1.model.modeling import LumosForCausalLM
from lumos.lumos1.sequence import sequence_of
from lumos.tokenizer.vocab import Vocab

config = LumosConfig(hidden_size=48, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4)
model = LumosForCausalLM(config)
layouts = [(4, (2, 4, 8)), (4, (3, 4, 8)), (7, (1, 8, 4)), (5, (2, 4, 8))]
batches = [
    sequence_of(torch.arange(9, 9 + n), torch.zeros(grid, dtype=torch.int64), vocab=Vocab(), fps=6, duration=2)[None]
    for n, grid in layouts
]
plain = [model.hidden(ids) for ids in batches]
counter = CompileCounter()
for block in model.model.layers:
    block.compile(backend=counter, dynamic=True)
for ids, expected in zip(batches, plain):
    torch.testing.assert_close(model.hidden(ids), expected)
    print(counter.frame_count)
"""


@pytest.mark.slow
def test_blocks_compile_once_for_all_layouts():
    """Attention follows the layout outside the compiled regions, which have the numbers of the plain block.

    In a process of its own: what checks shapes at every call cannot be compiled.
    """
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", COMPILED], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    first, *others = map(int, done.stdout.split())
    assert first > 0
    assert others == [first] * 3
