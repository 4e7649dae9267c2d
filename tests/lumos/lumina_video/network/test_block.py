"""One block: two softmaxes, gates a head, norms over all heads, and the compiled form."""

import jaxtyping
import pytest
import torch
from torch import Tensor

from lumos.lumina_video.config import LuminaVideoConfig
from lumos.lumina_video.network.block import Attention, Block, RMSNorm
from lumos.lumina_video.network.layout import Layout
from lumos.lumina_video.network.rope import rotation_of
from tests.lumos.lumina_video import golden as recipe
from tests.stand_in_flash import explicit_softmax
from xllmx.kernels.attention import spans_of

CONFIG = LuminaVideoConfig(
    dim=64, n_layers=1, n_heads=4, n_kv_heads=2, multiple_of=40, qk_norm=True, cap_feat_dim=28, rope_theta=64.0
)
GRID = (1, 2, 3)


@pytest.fixture(scope="module")
def block() -> Block:
    module = Block(CONFIG)
    module.load_state_dict({name: recipe.weight(name, tensor.shape) for name, tensor in module.state_dict().items()})
    return module.eval()


@pytest.fixture
def layout() -> Layout:
    """Two items of 6 tokens, and texts of 5 and 3."""
    return Layout(
        is_packed=False,
        items=spans_of((6, 6), device="cpu"),
        rotation=rotation_of([GRID], head_dim=16, theta=64.0),
        texts=spans_of((5, 3), device="cpu"),
        text_mask=torch.arange(5) < torch.tensor([[5], [3]]),
        backend="sdpa",
    )


def turned(x: Tensor, layout: Layout) -> Tensor:
    """RoPE pair by pair, [B N L E]."""
    cos, sin = layout.rotation.unbind(-1)
    result = x.clone()
    for i in range(x.shape[-1] // 2):
        a, b = x[..., 2 * i], x[..., 2 * i + 1]
        result[..., 2 * i] = a * cos[:, i] - b * sin[:, i]
        result[..., 2 * i + 1] = a * sin[:, i] + b * cos[:, i]
    return result


def heads(x: Tensor) -> Tensor:
    return x.unflatten(-1, (-1, 16)).transpose(1, 2)


def explicit(attention: Attention, x: Tensor, text: Tensor, layout: Layout) -> Tensor:
    """The equation of section 2.5 of the README with masks written out."""
    q = turned(heads(attention.q_norm(attention.wq(x))), layout)
    k = turned(heads(attention.k_norm(attention.wk(x))), layout)
    ky = heads(attention.ky_norm(attention.wk_y(text)))
    own = explicit_softmax(q, k, heads(attention.wv(x)))
    cross = explicit_softmax(q, ky, heads(attention.wv_y(text)), mask=layout.text_mask[:, None, None])
    gathered = own + attention.gate.tanh()[:, None, None] * cross
    return attention.wo(gathered.transpose(1, 2).flatten(2))


def test_attention_is_two_masked_softmaxes(block: Block, layout: Layout) -> None:
    x, text = recipe.noise("block/x", (2, 6, 64)), recipe.noise("block/text", (2, 5, 28))
    found = block.attention(x, block.attention.keys_values(text), layout)
    torch.testing.assert_close(found, explicit(block.attention, x, text, layout), atol=1e-5, rtol=1e-5)


def test_a_block_is_its_two_equations(block: Block, layout: Layout) -> None:
    x, text, cond = (recipe.noise(f"block/{i}", shape) for i, shape in enumerate([(2, 6, 64), (2, 5, 28), (2, 64)]))
    part = block.adaLN_modulation(cond)[:, None].unflatten(-1, (4, 64))
    scale1, gate1, scale2, gate2 = part.unbind(-2)
    attended = explicit(block.attention, block.attention_norm1(x) * (1 + scale1), block.attention_y_norm(text), layout)
    middle = x + gate1.tanh() * block.attention_norm2(attended)
    z, forward = block.ffn_norm1(middle) * (1 + scale2), block.feed_forward
    expanded = forward.w2(torch.nn.functional.silu(forward.w1(z)) * forward.w3(z))
    wanted = middle + gate2.tanh() * block.ffn_norm2(expanded)
    torch.testing.assert_close(block(x, cond, text, layout), wanted, atol=1e-5, rtol=1e-5)


def test_text_made_into_keys_and_values_before_gives_the_same(block: Block, layout: Layout) -> None:
    x, text, cond = (recipe.noise(f"block/{i}", shape) for i, shape in enumerate([(2, 6, 64), (2, 5, 28), (2, 64)]))
    assert torch.equal(block(x, cond, block.keys_values(text), layout), block(x, cond, text, layout))


def test_a_block_compiles_whole_and_gives_the_same(
    block: Block, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # the checker itself does not compile
    x, text, cond = (recipe.noise(f"block/{i}", shape) for i, shape in enumerate([(2, 6, 64), (2, 5, 28), (2, 64)]))
    compiled = torch.compile(block, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(x, cond, text, layout), block(x, cond, text, layout), atol=1e-5, rtol=1e-5)


def test_rms_norm_multiplies_factor_and_weight_into_the_normed_values() -> None:
    norm = RMSNorm(3, eps=0.5)
    norm.weight.data = torch.tensor([1.0, 2.0, 3.0])
    x = torch.tensor([[[1.0, 2.0, 4.0]]])
    normed = x / (21 / 3 + 0.5) ** 0.5
    torch.testing.assert_close(norm(x), normed * norm.weight)
    factor = torch.tensor([[[5.0, 7.0, -1.0]]])
    torch.testing.assert_close(norm(x, factor), normed * norm.weight * factor)
    assert norm(x.bfloat16(), factor).dtype == torch.bfloat16
