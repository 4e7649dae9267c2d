"""Weights in 8 bits and weights that wait in the host's memory, against the plain model."""

import sys

import pytest
import torch

from lumos.lumos1.model.modeling import LumosForCausalLM
from lumos.lumos1.model.placement import place
from lumos.lumos1.pipeline import LumosPipeline

IDS = torch.arange(10, 42)[None] % 40


def tiny() -> LumosForCausalLM:
    return LumosForCausalLM.from_pretrained("ckpts/lumos-tiny", dtype=torch.float32)


@torch.inference_mode()
def logits(model: LumosForCausalLM) -> torch.Tensor:
    return model(IDS).logits


@pytest.mark.filterwarnings("ignore:.*torchao.*")
def test_int8_is_a_quarter_of_fp32_and_close_to_it() -> None:
    pytest.importorskip("torchao")
    plain, small = tiny(), place(tiny(), torch.device("cpu"), weights="int8")
    expected, found = logits(plain), logits(small)
    assert 0 < (found - expected).norm() / expected.norm() < 0.05
    name = "model.layers.3.mlp.up_proj.weight"
    weight = small.get_parameter(name)
    assert type(weight) is not torch.nn.Parameter
    stored = sum(part.numel() * part.element_size() for part in (weight.qdata, weight.scale))
    assert stored < 0.27 * plain.get_parameter(name).numel() * 4
    assert torch.equal(small.lm_head.weight, plain.lm_head.weight)


def test_offloaded_blocks_compute_the_same_and_hold_nothing_between() -> None:
    plain, waiting = tiny(), place(tiny(), torch.device("cpu"), offload=True)
    blocks = list(waiting.model.layers.parameters())
    assert all(parameter.is_meta for parameter in blocks)
    assert torch.equal(logits(waiting), logits(plain))
    assert all(parameter.is_meta for parameter in waiting.model.layers.parameters())
    assert not waiting.lm_head.weight.is_meta


def test_a_pipeline_generates_from_offloaded_blocks() -> None:
    settings = {"num_frames": 5, "num_inference_steps": 2, "seed": 3}
    waiting = LumosPipeline.from_pretrained(offload=True)
    plain = LumosPipeline.from_pretrained()
    made, expected = (pipeline("a red circle moves left", **settings).codes[0] for pipeline in (waiting, plain))
    assert torch.equal(made, expected)


def test_what_cannot_be_had_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu, model = torch.device("cpu"), tiny()
    with pytest.raises(ValueError, match="choose one of int8, fp8"):
        place(model, cpu, weights="int4")
    with pytest.raises(ValueError, match="choose one of them"):
        place(model, cpu, weights="int8", offload=True)
    pytest.importorskip("torchao")
    with pytest.raises(ValueError, match="fp8, for which cpu has no products"):
        place(model, cpu, weights="fp8")
    monkeypatch.setitem(sys.modules, "torchao", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install -e '\.\[quant\]'"):
        LumosPipeline.from_pretrained("no such model", "cpu", weights="int8")
