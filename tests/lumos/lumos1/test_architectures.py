"""The shapes that stand for released models are those of configs/model."""

from pathlib import Path

import pytest

from lumos.hub.models import RELEASED
from lumos.lumos1.architectures import ARCHITECTURES, architecture_of
from lumos.lumos1.config import LumosConfig
from xllmx.safe.yaml_text import read_yaml


@pytest.mark.parametrize("size", ARCHITECTURES)
def test_a_shape_is_that_of_the_file(repo: Path, size: str) -> None:
    assert ARCHITECTURES[size] == read_yaml(repo / "configs" / "model" / f"{size}.yaml")


def test_every_released_model_has_one_by_name_and_by_path() -> None:
    for name in RELEASED:
        fields = architecture_of(name)
        assert fields is not None
        assert LumosConfig(**fields).hidden_size == {"1B": 2048, "3B": 3072}[name[:2]]
        assert architecture_of(f"/data/ckpts/{name}") is fields
    assert architecture_of("models/mine") is None
    assert architecture_of("1B/stage-9") is None
