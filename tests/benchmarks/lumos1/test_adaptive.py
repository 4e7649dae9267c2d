"""The curve of score against calls: every setting by itself and together, paired losses, the choice for `--fast`."""

from pathlib import Path

import pytest

from benchmarks.lumos1.adaptive import EXACT, asked_for, best, compared, draw, report, variants
from lumos.lumos1.config import SamplerConfig
from lumos.lumos1.sampling.settings import resolve_settings

ROWS = {
    EXACT: {"settings": {}, "overall": 0.5, "calls": 120.0, "seconds": 4.0, "correct": [1, 1, 0, 0]},
    "later_steps=0.5": {
        "settings": {"later_steps": 0.5},
        "overall": 0.495,
        "calls": 60.0,
        "seconds": 2.0,
        "correct": [1, 1, 0, 0],
    },
    "later_steps=0.25": {
        "settings": {"later_steps": 0.25},
        "overall": 0.25,
        "calls": 40.0,
        "seconds": 1.0,
        "correct": [1, 0, 0, 0],
    },
}


def test_every_variant_is_a_setting_of_a_generation() -> None:
    found = variants(16)
    assert found[EXACT] == {}
    assert found["steps=4"] == {"num_inference_steps": 4}
    for settings in found.values():
        assert isinstance(resolve_settings({"num_inference_steps": 16}, settings).sampler, SamplerConfig)
    for name in ("entropy_bound", "guidance_tolerance", "later_steps"):
        assert sum(list(settings) == [name] for settings in found.values()) >= 3


def test_any_settings_may_be_asked_for_beside_exact_sampling() -> None:
    found = asked_for(["steps=4", "steps=5", "entropy_bound=0.1", "temperature=0.3 confidence_temperature=released"])
    assert list(found.values()) == [
        {},
        {"num_inference_steps": 4},
        {"num_inference_steps": 5},
        {"entropy_bound": 0.1},
        {"temperature": 0.3, "confidence_temperature": "released"},
    ]
    known = variants(16)
    assert asked_for(list(known)) == known
    for wrong in ("temprature=0.3", "temperature", "temperature=hot"):
        with pytest.raises(ValueError, match="temp"):
            asked_for([wrong])


def test_loss_is_paired_and_the_fewest_calls_within_it_are_chosen() -> None:
    found = compared(ROWS["later_steps=0.25"], ROWS[EXACT])
    assert found["fewer"] == 3
    assert found["loss"] == 0.25
    assert found["error"] == pytest.approx(0.25)
    assert best(ROWS) == "later_steps=0.5"
    assert report(ROWS).splitlines()[-1] == '"fast": {"later_steps": 0.5}'


def test_curve_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    draw(ROWS, tmp_path / "new" / "curve.png")
    assert (tmp_path / "new" / "curve.png").stat().st_size > 5000
