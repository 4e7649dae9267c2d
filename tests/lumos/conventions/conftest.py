"""Both pipelines on tiny random models, with a call of each that takes a moment."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lumos.lumina_video.pipeline import LuminaVideoPipeline
from lumos.lumos1.pipeline import LumosPipeline
from tests.lumos.lumina_video.tiny import tiny_lumina_folder
from tests.model_folder import make_model_folder


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One of the two pipelines."""

    load: Callable[..., Any]
    folder: Path
    small: dict[str, Any]
    """Settings of the smallest video."""
    num_frames: int
    """Of that video."""
    num_steps: int
    """Steps that it takes."""

    def __call__(self, **options: Any) -> Any:
        return self.load(self.folder, device="cpu", **options)


@pytest.fixture(scope="session")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Kind]:
    root = tmp_path_factory.mktemp("ckpts")
    lumina = {"width": 32, "height": 64, "num_frames": 8, "guidance_scale": 0.5}
    return {
        "lumos1": Kind(
            load=LumosPipeline.from_pretrained, folder=make_model_folder(root / "lumos1"),
            small={"width": 64, "height": 32, "num_frames": 5}, num_frames=5, num_steps=2 * 2,
        ),
        "lumina": Kind(
            load=LuminaVideoPipeline.from_pretrained, folder=tiny_lumina_folder(root / "lumina"),
            small=lumina, num_frames=8, num_steps=4,
        ),
    }  # fmt: skip


@pytest.fixture(scope="session", params=["lumos1", "lumina"])
def kind(request: pytest.FixtureRequest, kinds: dict[str, Kind]) -> Kind:
    return kinds[request.param]


@pytest.fixture(scope="session")
def pipeline(kind: Kind) -> Any:
    """For calls that leave it as it is."""
    return kind()


@pytest.fixture
def adapter(kind: Kind, tmp_path: Path) -> Path:
    """A folder of adapters that change what the model makes."""
    pytest.importorskip("peft")
    import torch

    from lumos.lumina_video.training.lora import LoRAConfig as LuminaLoRA
    from lumos.lumos1.model.lora import LoRAConfig
    from xllmx.lora import adapters_of, add_lora, save_lora

    pipeline = kind()
    config = LuminaLoRA if isinstance(pipeline, LuminaVideoPipeline) else LoRAConfig
    model = add_lora(pipeline.model, config(rank=2, alpha=64.0))
    generator = torch.Generator().manual_seed(5)
    for name, value in adapters_of(model).items():
        parent, _, leaf = name.rpartition(".")
        drawn = torch.randn(value.shape, generator=generator)
        setattr(model.get_submodule(parent), leaf, torch.nn.Parameter(drawn))
    folder = tmp_path / "adapter"
    folder.mkdir()
    save_lora(model, folder)
    return folder
