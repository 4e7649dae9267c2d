"""What a model is made for, by its own settings, and what is said of clips that are not such."""

import json
from pathlib import Path
from typing import Any

import pytest

from lumos.lumina_video import made_for as lumina
from lumos.lumos1 import made_for as lumos1
from lumos.media.crop import crop_sizes
from lumos.media.made_for import MadeFor


def settings(folder: Path, **said: Any) -> Path:
    (folder / "generation_config.json").write_text(json.dumps(said))
    return folder


def test_a_model_says_its_sizes_its_rate_and_its_length(tmp_path: Path) -> None:
    found = lumos1.made_for(settings(tmp_path, sizes=[[64, 96], [96, 64]], fps=6, duration=2), name="mine")
    assert found is not None
    assert (found.sizes, found.target_size) == ([(64, 96), (96, 64)], None)
    assert (found.model, found.fps, found.duration) == ("mine", 6, 2)


def test_a_model_without_sizes_has_those_about_its_own(tmp_path: Path) -> None:
    found = lumos1.made_for(settings(tmp_path, width=448, height=256, num_frames=1))
    assert found is not None
    assert (found.target_size, found.sizes, found.fps) == (352, crop_sizes(352), None)


def test_a_model_of_lumina_video_has_its_width_and_height(tmp_path: Path) -> None:
    found = lumina.made_for(settings(tmp_path, width=64, height=96, num_frames=8, fps=5))
    assert found is not None
    assert (found.sizes, found.target_size, found.fps, found.duration) == ([(64, 96)], None, 5, None)


@pytest.mark.parametrize("module", [lumos1, lumina])
def test_a_model_that_says_nothing_is_made_for_anything(tmp_path: Path, module: Any) -> None:
    assert module.made_for(tmp_path) is None
    assert module.made_for(settings(tmp_path, fps=6)) is None


def test_other_sizes_and_rates_are_counted_and_the_option_is_said() -> None:
    model = MadeFor(model="mine", sizes=[(64, 64)], fps=6)
    assert model.differences({(64, 64): 3}, {6.0: 2}) is None
    said = model.differences({(64, 64): 3, (64, 32): 4, (32, 96): 1}, {6.0: 2, 12.0: 5})
    assert said is not None
    assert "5 of 8 clips are 64x32, 32x96, mine is made for 64x64: pre-tokenise with --size 64x64;" in said
    assert "5 of 7 videos have 12 frames a second, mine is made for 6: pre-tokenise with --target_fps 6" in said
    model = MadeFor(model="mine", sizes=crop_sizes(352), target_size=352)
    said = model.differences({(64, 64): 2}, {24.0: 2})
    assert said is not None
    assert "--target_size 352" in said
    assert "frames a second" not in said
