"""What is known of a model's outputs before it is loaded."""

from dataclasses import replace
from pathlib import Path

import pytest

from lumos.cli.jobs import SettingsFor
from lumos.cli.recipe import recipe_of, settings_of
from lumos.cli.record import model_hash
from lumos.hub.models import resolve
from tests.model_folder import make_model_folder
from xllmx.setting import SettingError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model_folder(tmp_path_factory.mktemp("ckpts") / "tiny")


def test_a_recipe_says_what_every_record_says_of_the_model(folder: Path) -> None:
    files = resolve(folder)
    plain = {"model": files.name, "model_hash": model_hash(files), "dtype": "float32"}
    assert recipe_of(files, {}, device="cpu").model == plain
    assert recipe_of(files, {}, device="cpu", dtype="bf16").model == plain | {"dtype": "bfloat16"}
    assert recipe_of(files, {}, device="cpu", weights="int8").model == plain | {"weights": "int8"}


def test_settings_are_the_model_s_own_defaults_under_what_is_given(folder: Path) -> None:
    files = resolve(folder)
    of = settings_of(files)
    assert isinstance(of, SettingsFor)
    settings = of({"num_frames": 5}, image=None)
    assert (settings.width, settings.height, settings.fps, settings.num_output_frames) == (96, 64, 4, 5)
    assert recipe_of(files, {"num_frames": 5}).settings_for({"num_frames": 5}, image=None) == settings
    other = replace(files, defaults={**files.defaults, "fps": 6})
    assert settings_of(other)({}, image=None).fps == 6


def test_a_device_that_cannot_be_had_is_found_before_loading(folder: Path) -> None:
    with pytest.raises(SettingError, match="device is 'meta'; it must be cpu, cuda or cuda:N"):
        recipe_of(resolve(folder), {}, device="meta")
