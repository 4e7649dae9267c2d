"""The parts of a model: its own before shared ones, all of them there, and of widths that fit."""

import json
from collections.abc import Callable
from pathlib import Path
from shutil import copytree, move, rmtree

import pytest

from lumos.lumina_video.checkpoint.parts import find_parts
from lumos.lumina_video.checkpoint.weights import load_dit
from lumos.lumina_video.text import GemmaTextEncoder
from lumos.lumina_video.vae import CogVideoXVAE
from tests.lumos.lumina_video.tiny import DEFAULTS, TEXT_WIDTH, tiny_lumina_folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_lumina_folder(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture
def ckpts(tmp_path: Path) -> Path:
    return tmp_path / "ckpts"


@pytest.fixture
def model(made: Path, ckpts: Path) -> Path:
    return copytree(made, ckpts / "somebody" / "tiny")


def share(model: Path, ckpts: Path) -> None:
    for own, shared in (("text_encoder", "google/gemma-2-2b"), ("vae", "THUDM/CogVideoX-2b/vae")):
        (ckpts / shared).parent.mkdir(parents=True)
        move(model / own, ckpts / shared)


def test_a_complete_folder_needs_nothing_else(model: Path, ckpts: Path) -> None:
    found = find_parts(model, ckpts)
    assert (found.name, found.model) == ("somebody/tiny", model)
    assert (found.text_encoder, found.vae) == (model / "text_encoder", model / "vae")
    assert found.tokenizer == model / "text_encoder" / "tokenizer.json"
    assert found.defaults == DEFAULTS


def test_what_is_found_can_be_loaded(model: Path, ckpts: Path) -> None:
    found = find_parts(model, ckpts)
    network = load_dit(found.model)
    text_encoder = GemmaTextEncoder.from_pretrained(found.text_encoder, tokenizer=found.tokenizer)
    vae = CogVideoXVAE.from_pretrained(found.vae)
    assert network.config.cap_feat_dim == text_encoder.width == TEXT_WIDTH
    assert network.config.in_channels == vae.channels


def test_absent_parts_are_the_shared_ones(model: Path, ckpts: Path) -> None:
    share(model, ckpts)
    found = find_parts(model, ckpts)
    assert found.text_encoder == ckpts / "google" / "gemma-2-2b"
    assert found.tokenizer == ckpts / "google" / "gemma-2-2b" / "tokenizer.json"
    assert found.vae == ckpts / "THUDM" / "CogVideoX-2b" / "vae"


def test_a_tokenizer_may_have_a_folder_of_its_own(model: Path, ckpts: Path) -> None:
    (model / "tokenizer").mkdir()
    move(model / "text_encoder" / "tokenizer.json", model / "tokenizer" / "tokenizer.json")
    assert find_parts(model, ckpts).tokenizer == model / "tokenizer" / "tokenizer.json"


def test_a_folder_elsewhere_is_named_by_its_whole_path(made: Path, ckpts: Path) -> None:
    assert find_parts(made, ckpts).name == str(made.resolve())


def test_a_model_without_defaults_has_none(model: Path, ckpts: Path) -> None:
    (model / "generation_config.json").unlink()
    assert find_parts(model, ckpts).defaults == {}


def edit_json(file: Path, **fields: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no model": (lambda f: (f / "config.json").unlink(), "holds no Lumina-Video model"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "has no weights"),
    "no text encoder": (
        lambda f: rmtree(f / "text_encoder"),
        "no text encoder: .*run: lumos download google/gemma-2-2b$",
    ),
    "no VAE": (lambda f: rmtree(f / "vae"), "no VAE: neither .*; run: lumos download THUDM/CogVideoX-2b/vae$"),
    "no tokenizer": (
        lambda f: (f / "text_encoder" / "tokenizer.json").unlink(),
        "no text tokenizer: .*tokenizer/tokenizer.json nor .*run: lumos download google/gemma-2-2b$",
    ),
    "text encoder without weights": (lambda f: (f / "text_encoder" / "model.safetensors").unlink(), "has no weights"),
    "text encoder in the making": (lambda f: (f / "text_encoder" / "x.part").touch(), "not finished"),
    "VAE without weights": (
        lambda f: (f / "vae" / "diffusion_pytorch_model.safetensors").unlink(),
        r"vae lacks diffusion_pytorch_model\.safetensors; copy it there, or run: lumos download THUDM",
    ),
    "VAE without a config": (lambda f: (f / "vae" / "config.json").unlink(), r"vae lacks config\.json"),
    "other text width": (
        lambda f: edit_json(f / "text_encoder" / "config.json", hidden_size=2304),
        f"text_encoder has hidden_size 2304 and the model cap_feat_dim {TEXT_WIDTH}: they do not belong together",
    ),
    "other channels": (
        lambda f: edit_json(f / "vae" / "config.json", latent_channels=16),
        "vae has latent_channels 16 and the model in_channels 4",
    ),
    "broken defaults": (lambda f: (f / "generation_config.json").write_text("{"), "is not valid JSON"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_missing_is_named_in_one_line_with_what_brings_it(model: Path, ckpts: Path, fault: str) -> None:
    spoil, message = FAULTS[fault]
    spoil(model)
    with pytest.raises(ValueError, match=message) as caught:
        find_parts(model, ckpts)
    assert "\n" not in str(caught.value)
    assert str(model) in str(caught.value)


def test_a_broken_part_of_its_own_is_not_passed_over_for_a_shared_one(model: Path, ckpts: Path, made: Path) -> None:
    share(model, ckpts)
    copytree(made / "vae", model / "vae")
    (model / "vae" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(ValueError, match=r"tiny/vae lacks diffusion_pytorch_model\.safetensors"):
        find_parts(model, ckpts)
