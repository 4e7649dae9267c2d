"""Folders of weights of either layout: what comes out is what was put in, or one line says why not."""

import argparse
import errno
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from lumos.lumina_video import config as configs
from lumos.lumina_video.checkpoint import weights as module
from lumos.lumina_video.checkpoint.weights import (
    config_file,
    load_dit,
    open_weights,
    read_config,
    save_dit,
    weight_files,
)
from lumos.lumina_video.dit import MultiScaleNextDiT
from tests.lumos.lumina_video.tiny import CONFIG, tiny_dit

RELEASED = "consolidated.00-of-01"


@pytest.fixture(scope="module")
def model() -> MultiScaleNextDiT:
    return tiny_dit()


@pytest.fixture(scope="module")
def weights(model: MultiScaleNextDiT) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


@pytest.fixture
def ours(model: MultiScaleNextDiT, tmp_path: Path) -> Path:
    save_dit(model, tmp_path / "ours")
    return tmp_path / "ours"


@pytest.fixture
def released(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as the release has it, of an architecture small enough, still without weights."""
    monkeypatch.setitem(configs.PRESETS, "tiny", CONFIG)
    folder = tmp_path / "released"
    folder.mkdir()
    arguments = argparse.Namespace(
        model="tiny",
        patch_sizes=[2, 2, 4],
        f_patch_sizes=[1, 2, 2],
        qk_norm=True,
        rope_theta=256.0,
        t_scale=1000.0,
        motion_scale=20.0,
    )
    torch.save(arguments, folder / "model_args.pth")
    return folder


def write(tensors: dict[str, Tensor], file: Path) -> None:
    if file.suffix == ".safetensors":
        save_file(tensors, file)
    else:
        torch.save(tensors, file)


def same(model: MultiScaleNextDiT, weights: dict[str, Tensor]) -> bool:
    state = model.state_dict()
    return state.keys() == weights.keys() and all(torch.equal(state[name], weights[name]) for name in weights)


# --- ours -------------------------------------------------------------------------------------------------------------


def test_a_network_comes_back_as_it_was_saved(ours: Path, model: MultiScaleNextDiT, weights: dict[str, Tensor]) -> None:
    loaded = load_dit(ours)
    assert loaded.config == CONFIG
    assert not loaded.training
    assert same(loaded, weights)
    x, t, text = torch.randn(2, 4, 2, 4, 8), torch.tensor([0.2, 0.7]), torch.randn(2, 5, 24)
    with torch.no_grad():
        assert torch.equal(loaded(x, t, text, scale="2x4"), model(x, t, text, scale="2x4"))


def test_a_loaded_network_can_be_trained(ours: Path) -> None:
    loaded = load_dit(ours)
    assert all(parameter.requires_grad for parameter in loaded.parameters())
    loaded(torch.randn(1, 4, 1, 2, 4), torch.tensor([0.5]), torch.randn(1, 3, 24)).square().sum().backward()
    gradient = loaded.layers[0].attention.wq.weight.grad
    assert gradient is not None
    assert gradient.abs().sum() > 0


@pytest.mark.parametrize("ending", ["safetensors", "pth"])
def test_a_step_of_training_leaves_the_file_as_it_was(released: Path, weights: dict[str, Tensor], ending: str) -> None:
    """The weights lie in the mapped file until they are written to."""
    write(weights, released / f"{RELEASED}.{ending}")
    loaded = load_dit(released)
    with torch.no_grad():
        for parameter in loaded.parameters():
            parameter.add_(1)
    assert same(load_dit(released), weights)
    torch.testing.assert_close(loaded.pad_token.data, weights["pad_token"] + 1)


def test_weights_have_the_dtype_asked_for(ours: Path, weights: dict[str, Tensor]) -> None:
    assert same(load_dit(ours, dtype=torch.bfloat16), {name: w.bfloat16() for name, w in weights.items()})


def test_shards_named_by_an_index_are_read(ours: Path, weights: dict[str, Tensor]) -> None:
    (ours / "model.safetensors").unlink()
    parts = {
        "model-00001-of-00002.safetensors": list(weights)[::2],
        "model-00002-of-00002.safetensors": list(weights)[1::2],
    }
    for file, names in parts.items():
        save_file({name: weights[name] for name in names}, ours / file)
    index = {"weight_map": {name: file for file, names in parts.items() for name in names}}
    (ours / "model.safetensors.index.json").write_text(json.dumps(index))
    assert same(load_dit(ours), weights)
    assert [file.name for file in weight_files(ours)] == list(parts)
    (ours / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(ValueError, match=r"lacks model-00002-of-00002\.safetensors, a part of its weights"):
        load_dit(ours)


def test_the_config_says_what_it_is_and_is_a_config_again(ours: Path) -> None:
    stored = json.loads((ours / "config.json").read_text())
    assert stored["model_type"] == "lumina_video"
    assert stored["all_patch_size"] == [2, 2, 4]
    assert read_config(ours) == CONFIG


def test_a_save_that_fails_leaves_the_old_folder(
    ours: Path, weights: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: object, file: Path, **__: object) -> None:
        file.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "save_file", full)
    with pytest.raises(
        ValueError, match=r"cannot write .*model\.safetensors: No space left on device; free some space"
    ):
        save_dit(MultiScaleNextDiT(CONFIG), ours)
    assert sorted(file.name for file in ours.iterdir()) == ["config.json", "model.safetensors"]
    assert same(load_dit(ours), weights)


# --- released ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["safetensors", "pth"])
def test_a_released_folder_gives_the_same_network(released: Path, weights: dict[str, Tensor], ending: str) -> None:
    write(weights, released / f"{RELEASED}.{ending}")
    loaded = load_dit(released)
    assert loaded.config == CONFIG
    assert same(loaded, weights)


def test_marks_of_compiled_runs_are_removed_wherever_they_stand(released: Path, weights: dict[str, Tensor]) -> None:
    marked = {f"_orig_mod.{name.replace('attention.', 'attention._orig_mod.')}": w for name, w in weights.items()}
    assert "_orig_mod.layers.0.attention._orig_mod.wq.weight" in marked
    write(marked, released / f"{RELEASED}.safetensors")
    assert same(load_dit(released), weights)


def test_safetensors_are_preferred_and_averaged_weights_left_alone(released: Path, weights: dict[str, Tensor]) -> None:
    other = {name: tensor + 1 for name, tensor in weights.items()}
    write(weights, released / f"{RELEASED}.safetensors")
    write(other, released / f"{RELEASED}.pth")
    write(other, released / "consolidated_ema.00-of-01.safetensors")
    assert [file.name for file in weight_files(released)] == [f"{RELEASED}.safetensors"]
    assert same(load_dit(released), weights)


@pytest.mark.parametrize("ending", ["safetensors", "pth"])
def test_weights_cut_into_files_need_all_of_them(released: Path, weights: dict[str, Tensor], ending: str) -> None:
    names = list(weights)
    for part in range(3):
        write({name: weights[name] for name in names[part::3]}, released / f"consolidated.{part:02d}-of-03.{ending}")
    assert same(load_dit(released), weights)
    (released / f"consolidated.02-of-03.{ending}").unlink()
    (released / f"consolidated.00-of-03.{ending}").unlink()
    expected = rf"lacks consolidated\.00-of-03\.{ending}, consolidated\.02-of-03\.{ending}, a part of its weights"
    with pytest.raises(ValueError, match=expected):
        load_dit(released)


def test_settings_without_weights_are_no_model(released: Path) -> None:
    with pytest.raises(ValueError, match=r"has no weights: a folder holds .*; copy or download them"):
        load_dit(released)


def test_two_sets_of_files_are_refused(released: Path, weights: dict[str, Tensor]) -> None:
    for total in (1, 2):
        write(weights, released / f"consolidated.00-of-{total:02d}.safetensors")
    with pytest.raises(ValueError, match="weights cut into 01 and into 02 files; leave one set"):
        load_dit(released)


def test_factors_that_leave_no_trace_in_the_weights_come_from_the_arguments(
    released: Path, weights: dict[str, Tensor]
) -> None:
    write(weights, released / f"{RELEASED}.safetensors")
    arguments = argparse.Namespace(model="tiny", qk_norm=True, patch_sizes=[2, 2, 4], f_patch_sizes=[1, 2, 2])
    torch.save(arguments, released / "model_args.pth")
    loaded = load_dit(released).config
    assert (loaded.rope_theta, loaded.t_scale, loaded.motion_scale) == (10000.0, 1.0, 1.0)


def test_weights_can_be_looked_at_without_a_network(released: Path, weights: dict[str, Tensor]) -> None:
    write({f"_orig_mod.{name}": tensor for name, tensor in weights.items()}, released / f"{RELEASED}.pth")
    opened = open_weights(released)
    assert opened.shapes == {name: tuple(tensor.shape) for name, tensor in weights.items()}
    assert torch.equal(opened.read("pad_token"), weights["pad_token"])


# --- folders ----------------------------------------------------------------------------------------------------------


def test_the_config_of_a_folder_is_ours_or_the_released_arguments(ours: Path, released: Path) -> None:
    assert config_file(ours) == ours / "config.json"
    assert config_file(released) == released / "model_args.pth"
    (released / "config.json").write_text("{half")  # of another library
    assert config_file(released) == released / "model_args.pth"


def edit_json(file: Path, **fields: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


def edit_weights(folder: Path, change: Callable[[dict[str, Tensor]], object]) -> None:
    tensors = {name: tensor.clone() for name, tensor in load_file(folder / "model.safetensors").items()}
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


WQ = "layers.1.attention.wq.weight"
FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no model": (lambda f: (f / "config.json").unlink(), "no Lumina-Video model: a folder holds config.json and model"),
    "unknown field": (lambda f: edit_json(f / "config.json", n_layer=2), r"config\.json: .*n_layers"),
    "impossible": (
        lambda f: edit_json(f / "config.json", n_heads=5),
        r"config\.json: dim is 96 and must be a multiple",
    ),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "has no weights: a folder holds"),
    "download": (lambda f: (f / "model.safetensors.12.part").touch(), "not finished; run the same `lumos download`"),
    "pointer": (lambda f: (f / "model.safetensors").write_text("version https:" + "//git-lfs"), "git lfs pull"),
    "cut short": (lambda f: (f / "model.safetensors").write_bytes(bytes(9)), "copy it again"),
    "missing": (lambda f: edit_weights(f, lambda w: w.pop(WQ)), r"1 missing: layers\.1\.attention\.wq\.weight"),
    "unexpected": (lambda f: edit_weights(f, lambda w: w.update(x=torch.ones(1))), "1 unexpected: x"),
    "shape": (lambda f: edit_json(f / "config.json", cap_feat_dim=32), r"cap_embedder.* where the config says"),
    "not finite": (lambda f: edit_weights(f, lambda w: w[WQ][3, 4].fill_(torch.inf)), f"{WQ} in .* not finite"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_folder_that_cannot_be_used_is_explained_in_one_line(ours: Path, fault: str) -> None:
    spoil, message = FAULTS[fault]
    spoil(ours)
    with pytest.raises(ValueError, match=message) as caught:
        load_dit(ours)
    assert "\n" not in str(caught.value)
    assert str(ours) in str(caught.value)


def test_a_folder_of_the_other_model_is_said_to_be_one(repo: Path) -> None:
    with pytest.raises(ValueError, match=r"lumos-tiny holds a model of Lumos-1, and this takes one of Lumina-Video"):
        read_config(repo / "ckpts" / "lumos-tiny")
