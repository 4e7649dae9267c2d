"""The golden numbers of Lumina-Video and the models that go with them."""

import json
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import pytest
from torch import Tensor, nn

from tests.lumos.lumina_video import golden as recipe


@pytest.fixture(scope="session")
def golden_lumina(golden: Path) -> Path:
    """Folder of the golden numbers; its README says how they were made."""
    return golden / "lumina"


@pytest.fixture(scope="session")
def lumina_noise() -> Callable[[str, Sequence[int]], Tensor]:
    """The normal numbers that a name stands for."""
    return recipe.noise


@pytest.fixture(scope="session")
def golden_dit(golden_lumina: Path) -> Callable[[str], nn.Module]:
    """Make the model of a letter of `configs.json` with its golden weights; leave it unchanged."""
    from lumos.lumina_video.config import LuminaVideoConfig
    from lumos.lumina_video.dit import MultiScaleNextDiT

    configs = json.loads((golden_lumina / "configs.json").read_text())

    @cache
    def make(letter: str) -> nn.Module:
        model = MultiScaleNextDiT(LuminaVideoConfig.from_dict(configs[letter]["config"]))
        model.load_state_dict(recipe.weights(configs[letter]), strict=True)
        return model.eval()

    return make
