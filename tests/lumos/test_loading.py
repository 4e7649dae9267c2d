"""One door for both models, by what the folder holds."""

from pathlib import Path

import pytest

from lumos import LuminaVideoPipeline, LumosPipeline, load_pipeline
from tests.lumos.lumina_video.tiny import tiny_lumina_folder
from tests.model_folder import make_model_folder


@pytest.fixture(scope="module")
def ckpts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("ckpts")
    make_model_folder(root / "lumos-tiny")
    tiny_lumina_folder(root / "somebody" / "lumina")
    return root


def test_a_folder_or_a_name_gives_the_pipeline_of_what_it_holds(ckpts: Path) -> None:
    assert type(load_pipeline(ckpts=ckpts)) is LumosPipeline
    lumina = load_pipeline("somebody/lumina", ckpts=ckpts, keep_encoders=True, tiled=True)
    assert type(lumina) is LuminaVideoPipeline
    assert lumina._parts.vae.use(lambda vae: vae.model.use_tiling)
    assert type(load_pipeline(ckpts / "somebody" / "lumina", "cpu", "bf16")) is LuminaVideoPipeline
    assert str(load_pipeline(ckpts / "lumos-tiny", dtype="bf16").dtype) == "torch.bfloat16"


def test_a_folder_of_neither_and_an_absent_name_are_one_line(ckpts: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"holds no model: it has neither a config.json nor a model_args.pth"):
        load_pipeline(tmp_path)
    with pytest.raises(ValueError, match=r"run: lumos download Alpha-VLLM/Lumina-Video-f24R960$"):
        load_pipeline("Alpha-VLLM/Lumina-Video-f24R960", ckpts=ckpts)
