"""Parts of a pipeline: read when they work, checked before as far as their files tell."""

import json
from pathlib import Path

import pytest
import torch

from lumos.lumina_video.checkpoint.parts import find_parts
from lumos.lumina_video.loading import LuminaVideoParts, open_parts
from lumos.lumina_video.sizes import RELEASED
from tests.lumos.lumina_video.tiny import CONFIG, tiny_lumina_folder

CPU = torch.device("cpu")
READERS = ("load_dit", "GemmaTextEncoder.from_pretrained", "CogVideoXVAE.from_pretrained")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_lumina_folder(tmp_path_factory.mktemp("model") / "tiny")


def opened(folder: Path, *, tiled: bool = False, attention_backend: str = "auto") -> LuminaVideoParts:
    files = find_parts(folder, folder.parent)
    return open_parts(files, device=CPU, dtype=torch.bfloat16, tiled=tiled, attention_backend=attention_backend)


def test_no_weights_are_read_before_there_is_work(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in READERS:
        monkeypatch.setattr(f"lumos.lumina_video.loading.{name}", lambda *_, **__: pytest.fail("weights are read"))
    parts = opened(folder)
    assert (parts.config, parts.compression, parts.device, parts.dtype) == (CONFIG, RELEASED, CPU, torch.bfloat16)


def test_parts_are_as_asked_for(folder: Path) -> None:
    parts = opened(folder, tiled=True, attention_backend="sdpa")
    network = parts.network.keep()
    assert network is parts.network.keep()
    assert (network.attention_backend, network.training, network.pad_token.dtype) == ("sdpa", False, torch.bfloat16)
    assert parts.vae.use(lambda vae: vae.model.use_tiling and vae.model.dtype == torch.bfloat16)
    assert parts.text_encoder.use(lambda encoder: encoder.model.dtype) == torch.bfloat16
    assert not opened(folder).vae.use(lambda vae: vae.model.use_tiling)


def changed(folder: Path, target: Path, part: str, **fields: object) -> Path:
    """A model whose part, a folder in it or "" for itself, has another config."""
    for path in folder.rglob("*"):
        if path.is_file():
            (target / path.relative_to(folder)).parent.mkdir(parents=True, exist_ok=True)
            (target / path.relative_to(folder)).symlink_to(path)
    config = target / part / "config.json"
    content = json.loads(config.read_text()) | fields
    config.unlink()
    config.write_text(json.dumps(content))
    return target


def test_weights_that_do_not_fit_are_found_before_they_are_read(folder: Path, tmp_path: Path) -> None:
    network = changed(folder, tmp_path / "network", "", n_layers=3)
    with pytest.raises(ValueError, match=r"weights in .*network do not fit the model .*missing: layers\.2\."):
        opened(network)
    vae = changed(folder, tmp_path / "vae", "vae", block_out_channels=[4, 6, 8, 12])
    with pytest.raises(ValueError, match=r"weights in .*vae do not fit the model .*of another shape"):
        opened(vae)


def test_tiles_that_do_not_fit_together_are_found_before_there_are_latents(folder: Path, tmp_path: Path) -> None:
    model = changed(folder, tmp_path, "vae", sample_height=100)
    assert opened(model).compression == RELEASED
    with pytest.raises(ValueError, match=r"tiles of .* do not fit together"):
        opened(model, tiled=True)


def test_a_backend_that_cannot_be_had_is_named(folder: Path) -> None:
    with pytest.raises(ValueError, match="attention backend is 'flash'"):
        opened(folder, attention_backend="flash")
