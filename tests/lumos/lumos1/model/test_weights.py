"""Folders of weights: every layout is read, every fault is named, nothing is loaded by halves."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from lumos.lumos1.config import LumosConfig
from lumos.lumos1.model.modeling import LumosForCausalLM
from lumos.lumos1.model.weights import grow_vocabulary, read_weights


def write_shards(folder, weights, *, name):
    """Write the weights as two shards and their index; `name` is model.safetensors or pytorch_model.bin."""
    stem, suffix = name.split(".")
    write = save_file if suffix == "safetensors" else torch.save
    weight_map, names = {}, sorted(weights)
    for index, part in enumerate([names[::2], names[1::2]], start=1):
        shard = f"{stem}-{index:05d}-of-00002.{suffix}"
        write({key: weights[key] for key in part}, folder / shard)
        weight_map |= dict.fromkeys(part, shard)
    (folder / f"{name}.index.json").write_text(json.dumps({"weight_map": weight_map}))


def write_single(folder, weights, *, name):
    (save_file if name.endswith("safetensors") else torch.save)(weights, folder / name)


@pytest.fixture
def stored(make_model, tmp_path):
    """A model and a folder with its config.json only."""
    model = make_model()
    model.config.save_pretrained(tmp_path)
    return model, tmp_path


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
@pytest.mark.parametrize("write", [write_single, write_shards])
def test_every_layout_of_weights_is_read(stored, name, write):
    model, folder = stored
    weights = dict(model.state_dict())
    write(folder, {**weights, "model.vqmodel.encoder.weight": torch.ones(2, 3)}, name=name)
    loaded = LumosForCausalLM.from_pretrained(folder)
    assert not loaded.training
    assert all(parameter.requires_grad for parameter in loaded.parameters())
    loaded.load_state_dict({**weights, "model.vqmodel.encoder.weight": torch.ones(2, 3)}, strict=True)
    for key, tensor in loaded.state_dict().items():
        assert torch.equal(tensor, weights[key]), key


def test_dtype_is_applied_and_otherwise_kept(stored):
    model, folder = stored
    write_single(folder, {key: value.bfloat16() for key, value in model.state_dict().items()}, name="model.safetensors")
    assert {p.dtype for p in LumosForCausalLM.from_pretrained(folder).parameters()} == {torch.bfloat16}
    loaded = LumosForCausalLM.from_pretrained(folder, dtype=torch.float32)
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}


def test_saved_folders_load_again_sharded_too(stored):
    model, folder = stored
    for shard_size in ("5GB", "20KB"):
        target = folder / shard_size
        model.save_pretrained(target, max_shard_size=shard_size)
        loaded = LumosForCausalLM.from_pretrained(target)
        for name, tensor in model.state_dict().items():
            assert torch.equal(loaded.state_dict()[name], tensor), name
        assert json.loads((target / "config.json").read_text())["model_type"] == "chameleon"
    assert len(list((folder / "20KB").glob("model-*.safetensors"))) > 1
    assert load_file(folder / "5GB" / "model.safetensors").keys() == model.state_dict().keys()


def test_all_faults_of_the_weights_are_listed_at_once(stored):
    model, folder = stored
    weights = dict(model.state_dict())
    del weights["model.norm.weight"], weights["model.layers.1.self_attn.q_norm.bias"]
    weights["model.layers.2.mlp.up_proj.weight"] = torch.ones(3)
    weights["lm_head.weight"] = torch.ones(5, 48)
    write_single(folder, weights, name="model.safetensors")
    with pytest.raises(ValueError, match="4 differences") as error:
        LumosForCausalLM.from_pretrained(folder)
    for line in (
        "missing: model.norm.weight",
        "missing: model.layers.1.self_attn.q_norm.bias",
        "unexpected: model.layers.2.mlp.up_proj.weight",
        r"shape of lm_head.weight: (5, 48), the config says (97, 48)",
    ):
        assert line in str(error.value)


def test_a_missing_shard_is_named(stored):
    model, folder = stored
    write_shards(folder, dict(model.state_dict()), name="model.safetensors")
    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(ValueError, match=r"model-00002-of-00002\.safetensors .*download the model again"):
        LumosForCausalLM.from_pretrained(folder)


def test_a_broken_file_is_named(stored):
    _, folder = stored
    (folder / "model.safetensors").write_bytes(b"not a tensor in here")
    with pytest.raises(ValueError, match=r"model\.safetensors .*download the model again"):
        LumosForCausalLM.from_pretrained(folder)


def test_folders_without_config_or_weights_are_refused(stored, tmp_path):
    with pytest.raises(ValueError, match="holds no weights"):
        LumosForCausalLM.from_pretrained(stored[1])
    with pytest.raises(ValueError, match=r"no config\.json"):
        LumosForCausalLM.from_pretrained(tmp_path / "nowhere")


def test_growing_copies_old_rows_and_draws_new_ones(stored, make_config):
    model, folder = stored
    write_single(folder, dict(model.state_dict()), name="model.safetensors")
    grown = [
        grow_vocabulary(source, vocab_size=1000, std=0.02, generator=torch.Generator().manual_seed(7))
        for source in (folder, dict(model.state_dict()))
    ]
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        old = model.state_dict()[name]
        assert torch.equal(grown[0][name], grown[1][name])
        assert torch.equal(grown[0][name][:97], old)
        assert abs(grown[0][name][97:].std().item() - 0.02) < 1e-3
    config = LumosConfig(**{**make_config().to_dict(), "vocab_size": 1000, "vocab": {"size": 1000, **small_ids()}})
    assert LumosForCausalLM.from_weights(config, grown[0]).lm_head.weight.shape == (1000, 48)
    assert read_weights(folder)["lm_head.weight"].shape == (97, 48)


def small_ids() -> dict:
    return {"frame_end": 4, "frame_start": 5, "separator": 6, "row_end": 7, "number_base": 8, "mask": 900,
            "video_start": 901, "video_end": 902, "digit_base": 210, "code_base": 910, "num_codes": 64}  # fmt: skip


def test_a_vocabulary_does_not_shrink(make_model):
    with pytest.raises(ValueError, match="97 rows; vocab_size 96"):
        grow_vocabulary(make_model().state_dict(), vocab_size=96, std=0.02, generator=torch.Generator())
