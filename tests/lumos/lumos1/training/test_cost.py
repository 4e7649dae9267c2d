"""Arithmetic of cost against what it claims to count: the literal mask, torch's FLOP counter, autograd's memory."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from lumos.lumos1.config import ARDFConfig, LumosConfig
from lumos.lumos1.model.attention import frame_causal_mask, layout_of
from lumos.lumos1.model.modeling import LumosForCausalLM
from lumos.lumos1.model.rope import mm_rotation
from lumos.lumos1.sequence import blocks_of, positions_of, sequence_of
from lumos.lumos1.training.cost import (
    BatchLoad,
    SequenceShape,
    activation_bytes,
    attended_pairs,
    block_activation_bytes,
    expected_masked_share,
    forward_flops,
    loss_bytes,
    training_flops,
)
from tests.tiny_data import VOCAB

SHAPE = SequenceShape(num_prompt_ids=5, grid=(3, 8, 12))


@pytest.fixture
def config() -> LumosConfig:
    return LumosConfig(
        vocab=VOCAB,
        vocab_size=VOCAB["size"],
        hidden_size=64,
        intermediate_size=176,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
    )


def ids_of(shape: SequenceShape, config: LumosConfig) -> torch.Tensor:
    codes = torch.zeros(shape.grid, dtype=torch.long)
    return sequence_of(torch.arange(shape.num_prompt_ids), codes, vocab=config.vocabulary, fps=6, duration=2)[None]


def test_pairs_are_those_of_the_literal_mask(config: LumosConfig) -> None:
    ids = ids_of(SHAPE, config)
    blocks = blocks_of(ids, config.vocabulary)
    expected = int(frame_causal_mask(blocks).sum())
    assert (SHAPE.length, SHAPE.attended_pairs, attended_pairs(blocks)) == (ids.shape[1], expected, expected)
    padded = torch.cat([torch.full((1, 7), config.vocabulary.pad), ids], dim=1)
    assert attended_pairs(blocks_of(padded, config.vocabulary)) == expected


def test_forward_flops_are_those_torch_counts(config: LumosConfig) -> None:
    model = LumosForCausalLM(config)
    load = BatchLoad.of(SHAPE, batch_size=1, masked_share=0.5)
    # the fused CPU kernel is not counted by torch, nor are oneDNN's products without gradients; plain products are
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        hidden = model.hidden(ids_of(SHAPE, config))
        model.visual_logits(hidden[0, : load.num_targets])
    blocks, head = forward_flops(config, load)
    assert blocks + head == pytest.approx(counter.get_total_flops(), rel=0.01)
    assert head == 2 * 144 * 64 * 50
    assert training_flops(config, load) == 3 * (blocks + head)


def test_frozen_weights_need_no_gradient_of_their_own(config: LumosConfig) -> None:
    """Counted by torch: with all weights trained, and with the embedding alone, in which the backward must end."""
    load = BatchLoad.of(SHAPE, batch_size=1, masked_share=0.5)
    counted = []
    for frozen in (False, True):
        model = LumosForCausalLM(config)
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(not frozen or "embed_tokens" in name)
        with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
            hidden = model.hidden(ids_of(SHAPE, config))
            model.visual_logits(hidden[0, : load.num_targets]).sum().backward()
        counted.append(counter.get_total_flops())
    expected = [training_flops(config, load, frozen=frozen) for frozen in (False, True)]
    assert counted == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_activations_are_what_autograd_keeps(
    config: LumosConfig, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def as_on_a_gpu(q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor | None, **_: object) -> Tensor:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True)

    # On a CPU bf16 training attends in fp32, and keeps that.
    monkeypatch.setattr("lumos.lumos1.model.attention.attention", as_on_a_gpu)
    ids = ids_of(SHAPE, config)
    block = LumosForCausalLM(config).train().model.layers[0]
    parameters = {parameter.untyped_storage().data_ptr() for parameter in block.parameters()}
    rotation = mm_rotation(positions_of(ids, config.vocabulary), head_dim=config.head_dim, theta=1e4)
    layout = layout_of(blocks_of(ids, config.vocabulary))
    kept: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.shape[-1] * tensor.shape[0] != tensor.numel() or ids.shape[1] in tensor.shape:  # no cast weight
            kept.setdefault(tensor.untyped_storage().data_ptr(), tensor)
        return tensor

    stream = torch.randn(1, ids.shape[1], config.hidden_size, requires_grad=True)
    with (
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
        torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"),
    ):
        block(stream * 1.0, rotation, layout)
    measured = sum(t.untyped_storage().nbytes() for pointer, t in kept.items() if pointer not in parameters)
    assert block_activation_bytes(config, ids.shape[1], precision=precision) == pytest.approx(measured, rel=0.06)


def test_checkpointing_keeps_the_inputs_and_one_block(config: LumosConfig) -> None:
    load = BatchLoad(num_tokens=1000, attended_pairs=0, num_targets=100)
    block, stream = block_activation_bytes(config, 1000), 4 * 64 * 1000
    ends = 3 * stream + 2 * 4 * 64 * 100
    assert activation_bytes(config, load, checkpointing=True) == 2 * stream + block + ends
    assert activation_bytes(config, load, checkpointing=False) == 2 * block + ends


def test_the_head_costs_a_chunk_of_logits_and_its_gradient(config: LumosConfig) -> None:
    whole = 4 * VOCAB["size"] * 64
    assert loss_bytes(config, chunk=7) == 7 * 50 * 12 + whole + 2 * 50 * 64
    assert loss_bytes(config, chunk=7, precision="fp16") == loss_bytes(config, chunk=7)
    assert loss_bytes(config, chunk=7, precision="fp32") == 7 * 50 * 12 + whole
    assert loss_bytes(config, chunk=7, precision="tf32") == loss_bytes(config, chunk=7, precision="fp32")
    assert loss_bytes(config, chunk=7, head_trained=False) == 7 * 50 * 12


def test_expected_share_is_the_mean_over_many_draws() -> None:
    u = torch.rand(100_000, generator=torch.Generator().manual_seed(0))
    drawn = torch.cos(u * torch.pi / 2).clamp(min=0.7).mean().item()
    assert expected_masked_share(ARDFConfig()) == pytest.approx(drawn, abs=2e-3)
