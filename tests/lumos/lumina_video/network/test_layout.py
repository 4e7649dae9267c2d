"""Vectors and attention of items that are rows, or stand in one row."""

from dataclasses import replace

import pytest
import torch

from lumos.lumina_video.network.layout import Layout
from lumos.lumina_video.network.text_states import KeysValues
from tests import stand_in_flash
from tests.stand_in_flash import explicit_softmax
from xllmx.kernels.attention import spans_of


@pytest.fixture
def packed() -> Layout:
    """Items of 3 and 2 tokens with texts of 4 and 2."""
    return Layout(
        is_packed=True,
        items=spans_of((3, 2), device="cpu"),
        rotation=torch.zeros(5, 4, 2),
        texts=spans_of((4, 2), device="cpu"),
        text_mask=torch.arange(4) < torch.tensor([[4], [2]]),
        backend="sdpa",
    )


def test_a_vector_of_an_item_reaches_each_of_its_tokens(packed: Layout) -> None:
    """Drawn in the docstring: a a a b b; rows of a batch are broadcast."""
    vectors = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert packed.spread(vectors)[0].tolist() == [[1, 2], [1, 2], [1, 2], [3, 4], [3, 4]]
    assert replace(packed, is_packed=False).spread(vectors).shape == (2, 1, 2)


def test_packed_items_gather_from_themselves_and_their_own_text(packed: Layout) -> None:
    q, k, v = torch.randn(1, 5, 4, 8), torch.randn(1, 5, 2, 8), torch.randn(1, 5, 2, 8)
    text = KeysValues(keys=torch.randn(2, 4, 2, 8), values=torch.randn(2, 4, 2, 8))
    own, cross = packed.self_attention(q, k, v), packed.text_attention(q, text)
    assert own.shape == cross.shape == q.shape
    for item, (tokens, length) in enumerate([(slice(0, 3), 4), (slice(3, 5), 2)]):
        alone = [x[:, tokens].transpose(1, 2) for x in (q, k, v)]
        torch.testing.assert_close(own[:, tokens], explicit_softmax(*alone).transpose(1, 2))
        known = [x[item : item + 1, :length].transpose(1, 2) for x in text]
        torch.testing.assert_close(cross[:, tokens], explicit_softmax(alone[0], *known).transpose(1, 2))


@pytest.mark.parametrize("is_packed", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_flash_attends_to_the_same_without_a_mask(
    packed: Layout, is_packed: bool, masked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = stand_in_flash.install(monkeypatch)
    shape = (1, 5) if is_packed else (2, 3)
    q, k, v = torch.randn(*shape, 4, 8), torch.randn(*shape, 2, 8), torch.randn(*shape, 2, 8)
    text = KeysValues(keys=torch.randn(2, 4, 2, 8), values=torch.randn(2, 4, 2, 8))
    layout = replace(packed, is_packed=is_packed, items=spans_of((3, 2) if is_packed else (3, 3), device="cpu"))
    if not masked:
        layout = replace(layout, texts=spans_of((4, 4), device="cpu"), text_mask=None)
    flash = replace(layout, backend="flash")
    torch.testing.assert_close(flash.self_attention(q, k, v), layout.self_attention(q, k, v))
    torch.testing.assert_close(flash.text_attention(q, text), layout.text_attention(q, text))
    of_rows, of_items = "flash_attn_func", "flash_attn_varlen_func"
    assert calls == [of_items if is_packed else of_rows, of_items if is_packed or masked else of_rows]
