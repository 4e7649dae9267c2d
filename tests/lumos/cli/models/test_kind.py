"""What is known of a model before it is loaded: its settings, and what every record says of it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from lumos.cli.jobs.pipeline import SettingsFor
from lumos.cli.jobs.record import model_hash
from lumos.cli.jobs.runner import Recipe
from lumos.cli.models.door import find_model
from xllmx.settings.setting import SettingError


def recipe(ckpts: Path, name: str, *, dtype: str | None = None, device: str = "cpu", **how: Any) -> Recipe:
    return find_model(name, ckpts, device=device, dtype=dtype, how=how).recipe({})


@pytest.mark.parametrize("name", ["lumos-tiny", "lumina-tiny"])
def test_a_recipe_says_what_every_record_says_of_the_model(ckpts: Path, name: str) -> None:
    files = find_model(name, ckpts).files
    plain = {"model": name, "model_hash": model_hash(files), "dtype": "float32"}
    assert recipe(ckpts, name).model == plain
    assert recipe(ckpts, name, dtype="bf16").model == plain | {"dtype": "bfloat16"}
    assert recipe(ckpts, name, offload=True, keep_encoders=True).model == plain  # they change nothing that is made


def test_what_changes_the_output_stands_in_the_record(ckpts: Path) -> None:
    assert recipe(ckpts, "lumos-tiny", weights="int8").model["weights"] == "int8"
    assert recipe(ckpts, "lumina-tiny", tiled=True).model["tiled"] is True
    assert "tiled" not in recipe(ckpts, "lumos-tiny", tiled=True).model


@pytest.mark.parametrize(("name", "size"), [("lumos-tiny", (96, 64, 4, 8)), ("lumina-tiny", (64, 96, 4, 8))])
def test_settings_are_the_model_s_own_defaults_under_what_is_given(
    ckpts: Path, name: str, size: tuple[int, ...]
) -> None:
    model = find_model(name, ckpts)
    assert isinstance(model.settings_for, SettingsFor)
    settings = model.settings_for({"num_frames": 8}, image=None)
    assert (settings.width, settings.height, settings.fps, settings.num_output_frames) == size
    other = replace(model.files, defaults={**model.files.defaults, "fps": 6})  # type: ignore[type-var]
    assert replace(model, files=other).settings_for({}, image=None).fps == 6


def test_a_device_that_cannot_be_had_is_found_before_loading(ckpts: Path) -> None:
    with pytest.raises(SettingError, match="device is 'meta'; it must be cpu, cuda, cuda:N, mps or xpu"):
        recipe(ckpts, "lumina-tiny", device="meta")


def test_the_device_of_a_model_is_made_the_one_of_the_process(ckpts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pinned: list[torch.device] = []
    monkeypatch.setattr("lumos.media.inputs.pin", pinned.append)
    model = find_model("lumos-tiny", ckpts, device="cpu")
    loaded = replace(model, kind=replace(model.kind, load=lambda model, todo: "a pipeline")).load([])  # type: ignore[arg-type,return-value]
    assert (loaded, pinned) == ("a pipeline", [torch.device("cpu")])
