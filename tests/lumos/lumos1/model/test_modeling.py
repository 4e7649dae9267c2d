"""Golden logits, released names, batches, precision, sizes of the model classes."""

import json

import numpy as np
import pytest
import torch

from lumos.lumos1.model.modeling import LumosForCausalLM
from lumos.lumos1.training.model_settings import read_model_config
from lumos.lumos1.training.task import LumosTaskConfig
from lumos.tokenizer.vocab import Vocab


@pytest.mark.parametrize("name", ["S1", "S2"])
@pytest.mark.parametrize("backend", ["per_frame", "mask"])
@torch.no_grad()
def test_golden_logits_and_hidden_states(released, golden, name, backend):
    numbers = np.load(golden / "forward.npz")
    ids = torch.from_numpy(numbers[f"{name}_input_ids"])[None]
    chosen, base = numbers[f"{name}_logit_positions"], Vocab().code_base
    logits = released(ids, backend=backend).logits[0]
    hidden = released.hidden(ids, backend=backend)[0]

    def close(ours, golden_name):
        np.testing.assert_allclose(ours, numbers[f"{name}_A_{golden_name}"], atol=1e-4, rtol=0)

    close(logits[chosen][:, numbers[f"{name}_logit_vocab_ids"]], "logits")
    close(hidden[chosen], "hidden_final_norm")
    close(logits.logsumexp(-1), "lse_full")
    close(logits[:, base:].logsumexp(-1), "lse_vis")
    close(logits[:, base:].max(-1).values, "max_vis")
    close(released.visual_logits(hidden).logsumexp(-1), "lse_vis")
    assert np.array_equal(logits[:, base:].argmax(-1) + base, numbers[f"{name}_A_argmax_vis"])


def test_golden_state_dict_names_and_shapes(released, golden):
    expected = json.loads((golden / "configs.json").read_text())["A"]["state_dict"]
    assert {name: list(tensor.shape) for name, tensor in released.state_dict().items()} == expected


@pytest.mark.parametrize("grids", [[(2, 4, 8)] * 3, [(2, 4, 8), (1, 8, 4), (2, 4, 8)]])
@torch.no_grad()
def test_a_left_padded_batch_gives_each_row_its_own_numbers(make_model, grids, sample, left_padded):
    model = make_model()
    rows = [sample(num_prompt_ids=n, grid=grid) for n, grid in zip((4, 9, 1), grids, strict=True)]
    logits = model(left_padded(rows)).logits
    for row, together in zip(rows, logits, strict=True):
        torch.testing.assert_close(together[-len(row) :], model(row[None]).logits[0], atol=1e-6, rtol=1e-5)


@torch.no_grad()
def test_another_sample_in_the_batch_changes_nothing(make_model, sample, left_padded):
    model, row = make_model(), sample(num_prompt_ids=5)
    outputs = [
        model(left_padded([row, other])).logits[0, -len(row) :]
        for other in (sample(num_prompt_ids=2), sample(grid=(1, 4, 4)))
    ]
    torch.testing.assert_close(*outputs, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("table", [None, "reversed"])
def test_visual_logits_are_the_logits_of_the_codes_in_their_order(make_model, vocab, table, sample):
    fields = vocab.to_dict()
    codes = range(vocab.code_base, vocab.code_base + vocab.num_codes)
    model = make_model(vocab=fields if table is None else {**fields, "code_table": tuple(reversed(codes))})
    ids = sample()[None]
    ids_of_codes = model.vocab.code_ids(torch.arange(vocab.num_codes))
    hidden = model.hidden(ids)[0]
    torch.testing.assert_close(model.visual_logits(hidden), model(ids).logits[0][:, ids_of_codes])
    assert (model.visual_weight._base is model.lm_head.weight) == (table is None)


@torch.no_grad()
def test_bfloat16_is_close_and_logits_stay_float32(make_model, sample):
    model, ids = make_model(), sample()[None]
    exact = model(ids).logits
    with torch.autocast("cpu", torch.bfloat16):
        mixed = model(ids).logits
    pure = model.bfloat16()(ids).logits
    for logits in (mixed, pure):
        assert logits.dtype == torch.float32
        assert (logits - exact).norm() < 0.03 * exact.norm()


def test_mixed_precision_gradients_are_close(make_model, sample):
    model, ids = make_model(), sample()[None]
    norms = []
    for enabled in (False, True):
        model.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            hidden = model.hidden(ids)
        hidden.float().sin().sum().backward()
        norms.append(torch.stack([p.grad.norm() for p in model.model.parameters()]))
    torch.testing.assert_close(*norms, rtol=0.1, atol=0.02)


@pytest.mark.parametrize(
    ("size", "blocks_m", "total_m"),
    [("0.5B", 283, 548), ("1B", 973, 1504), ("3B", 2819, 3615), ("7B", 6476, 7537), ("34B", 33220, 35342)],
)
def test_parameter_counts_of_the_model_classes(repo, size, blocks_m, total_m):
    config = read_model_config(LumosTaskConfig(model_config=str(repo / "configs" / "model" / f"{size}.yaml")))
    with torch.device("meta"):
        model = LumosForCausalLM(config)
    assert {parameter.device.type for parameter in model.parameters()} == {"meta"}
    assert round(sum(p.numel() for p in model.model.layers.parameters()) / 1e6) == blocks_m
    assert round(sum(p.numel() for p in model.parameters()) / 1e6) == total_m


def test_reset_parameters_follows_its_generator_alone(make_config):
    models = [LumosForCausalLM(make_config(attention_bias=True)) for _ in range(2)]
    with torch.device("meta"):
        models.append(LumosForCausalLM(make_config(attention_bias=True)))
    models[2].to_empty(device="cpu")
    for model in models:
        model.reset_parameters(generator=torch.Generator().manual_seed(5))
    for name, parameter in models[0].named_parameters():
        for other in models[1:]:
            assert torch.equal(parameter, other.get_parameter(name)), name
    layer = models[0].model.layers[1]
    assert layer.input_layernorm.weight.eq(1).all()
    assert layer.self_attn.q_norm.bias.eq(0).all()
    assert layer.self_attn.q_proj.bias.eq(0).all()
    assert abs(models[0].lm_head.weight.std().item() - 0.02) < 0.002
