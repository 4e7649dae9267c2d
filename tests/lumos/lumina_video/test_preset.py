"""The presets: what holds at each step, counts of passes, files, and what is refused."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lumos.lumina_video.preset import PRESETS, FlowPreset, Passes
from lumos.lumina_video.sampling.schedule import time_grid

RELEASED = {
    "f24F96R960": {"P": "1x2", "step": 70, "ts": 24.0, "renorm": 2, "cfg": [20, [0.2, 0]]},
    "f16F64R512-MultiScale": {
        "P": ["2x4", [0.075, "2x2"], [0.3, "1x2"]],
        "step": 70,
        "ts": 8.0,
        "renorm": -1,
        "cfg": [12, [0.4, 0]],
    },
}
PRECISIONS = {"bf16": (torch.bfloat16, ""), "fp32": (torch.float32, "_fp32")}


def values(**changes: Any) -> dict[str, Any]:
    return {**PRESETS["f16F64R512-MultiScale"], **changes}


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", PRESETS)
def test_golden_values_at_each_step(golden_lumina: Path, name: str, precision: str) -> None:
    stored = json.loads((golden_lumina / "sampling.json").read_text())["presets"][name]
    arrays = np.load(golden_lumina / "sampling.npz")
    dtype, suffix = PRECISIONS[precision]
    preset = FlowPreset.named(name)
    moments = preset.moments(dtype)
    times = time_grid(preset.num_points, preset.shift)[:-1].to(dtype).float().numpy()
    negative = [moment.negative_motion if moment.guided_by else math.nan for moment in moments]
    np.testing.assert_array_equal(times, arrays[f"{name}_{precision}_t"])
    np.testing.assert_array_equal([moment.guidance[0] for moment in moments], arrays[f"{name}_{precision}_cfg"])
    np.testing.assert_array_equal(negative, arrays[f"{name}_{precision}_negmotion"])
    assert [moment.scale for moment in moments] == stored[f"P{suffix}"]
    assert [1 + len(moment.guided_by) for moment in moments] == stored[f"branches{suffix}"]
    assert {moment.motion for moment in moments} == {6.0}


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", PRESETS)
def test_golden_counts_of_passes(golden_lumina: Path, name: str, precision: str) -> None:
    counts = json.loads((golden_lumina / "sampling.json").read_text())["presets"][name]["counts"]
    dtype = PRECISIONS[precision][0]
    preset = FlowPreset.named(name)
    passes = preset.passes(dtype)
    assert {scale: passes[scale].steps if scale in passes else 0 for scale in ("2x4", "2x2", "1x2")} == {
        scale: counts[scale] for scale in ("2x4", "2x2", "1x2")
    }
    assert sum(count.guided for count in passes.values()) == counts["guided"]
    assert sum(count.passes for count in passes.values()) == counts["forwards"]
    assert sum(count.steps for count in passes.values()) == preset.num_steps == 69
    guided = [moment for moment in preset.moments(dtype) if moment.guided_by]
    assert sum(moment.negative_motion == 2 for moment in guided) == counts["negmotion2"]


def test_passes_are_counted_by_scale() -> None:
    assert FlowPreset.named("f24F96R960-MultiScale").passes(torch.bfloat16) == {
        "2x4": Passes(steps=30, guided=30, passes=60),
        "2x2": Passes(steps=24, guided=24, passes=48),
        "1x2": Passes(steps=15, guided=6, passes=21),
    }


@pytest.mark.parametrize("name", RELEASED)
def test_released_values_are_what_the_keys_say(name: str) -> None:
    motion = {"motion": 6.0, "negMotion": [2.0, [0.05, 6.0]]}
    preset = FlowPreset.named(name)
    assert preset.to_dict() == {**RELEASED[name], **motion}
    assert FlowPreset.from_dict(json.loads(json.dumps(preset.to_dict()))) == preset


def test_scales_are_those_the_run_can_reach_coarse_first() -> None:
    reached = {name: [str(scale) for scale in FlowPreset.named(name).scales] for name in PRESETS}
    assert reached["f24F96R960"] == ["1x2"]
    assert reached["f24F96R960-MultiScale"] == ["2x4", "2x2", "1x2"]
    assert [str(scale) for scale in FlowPreset.from_dict(values(P=["2x4", [0.0, "2x2"]])).scales] == ["2x2"]


def test_both_spellings_of_a_scale_mean_the_same() -> None:
    assert FlowPreset.from_dict(values(P=["4-2", [0.075, "2-2"], [0.3, "2-1"]])) == FlowPreset.from_dict(values())


def test_no_motion_score_is_an_unspecified_one() -> None:
    preset = FlowPreset.from_dict(values(motion=None, negMotion=None))
    assert (preset.at(0.0).motion, preset.at(0.0).negative_motion) == (-1.0, -1.0)


def test_several_branches_have_a_schedule_each() -> None:
    preset = FlowPreset.from_dict(values(cfg=[[20, [0.2, 0]], [3]]))
    assert preset.branches == ((20, (0.2, 0)), (3,))
    assert [preset.at(t).guided_by for t in (0.0, 0.5)] == [(0, 1), (1,)]
    assert preset.at(0.0).guidance == (20.0, 3.0)
    assert FlowPreset.from_dict(preset.to_dict()) == preset
    assert FlowPreset.from_dict(values(cfg=[[20, [0.2, 0]]])) == FlowPreset.from_dict(values(cfg=[20, [0.2, 0]]))


def test_negative_guidance_guides_as_little_as_none() -> None:
    passes = FlowPreset.from_dict(values(cfg=-2, P="1x2", step=5)).passes(torch.float32)
    assert passes == {"1x2": Passes(steps=4, guided=0, passes=4)}


def test_override_changes_what_is_given_alone() -> None:
    preset = FlowPreset.named("f16F64R512")
    assert preset.override() == preset
    changed = preset.override(num_points=9, guidance=[7, [0.1, 0]], motion=2.5, shift=0.0)
    assert changed == replace(preset, num_points=9, guidance=(7, (0.1, 0)), motion=2.5, shift=0.0)
    assert changed.num_steps == 8
    with pytest.raises(ValueError, match="step is 1"):
        preset.override(num_points=1)


@pytest.mark.parametrize("suffix", ["json", "yaml"])
def test_a_file_of_ones_own_is_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"mine.{suffix}"
    lines = "P: [2x4, [0.1, 1x2]]\nstep: 9\nts: 4.0\nrenorm: 1.5\ncfg: [3, [0.5, 0]]\nmotion: null\nnegMotion: -1\n"
    mine = {"P": ["2x4", [0.1, "1x2"]], "step": 9, "ts": 4.0, "renorm": 1.5, "cfg": [3, [0.5, 0]]}
    mine |= {"motion": None, "negMotion": -1}
    path.write_text(json.dumps(mine) if suffix == "json" else lines)
    assert FlowPreset.from_file(path) == FlowPreset.from_dict(mine)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[1, 2]", "holds no keys"),
        ("{", "neither JSON nor YAML"),
        ('{"P": "1x2"}', "lacks step, ts"),
        ("{}", "lacks P"),
        ("", "neither"),
    ],
)
def test_a_file_that_is_no_preset_is_named(tmp_path: Path, text: str, fault: str) -> None:
    path = tmp_path / "mine.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=rf"mine\.json.*{fault}"):
        FlowPreset.from_file(path)
    with pytest.raises(ValueError, match="no preset file"):
        FlowPreset.from_file(tmp_path / "other.json")


def test_an_unknown_preset_is_answered_with_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"did you mean f24F96R960-MultiScale\? known are f24F96R960,"):
        FlowPreset.named("f24F96R960-Multiscale")
    with pytest.raises(ValueError, match="known are f24F96R960, f24F96R960-MultiScale, f16F64R512"):
        FlowPreset.named("?")


def test_a_time_outside_the_run_is_taken_as_released() -> None:
    preset = FlowPreset.from_dict(values(P=["2x4", [30, "1x2"]], cfg=[1, [-0.5, 7], [0.5, 0]]))
    assert [preset.at(t).scale for t in (0.0, 1.0)] == ["2x4", "2x4"]
    assert list(map(str, preset.scales)) == ["2x4"]  # which sizes must fill; 1x2 is never reached
    assert [preset.at(t).guidance for t in (0.0, 0.5)] == [(7.0,), (0.0,)]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"P": "2by4"}, "P: scale is '2by4'"),
        ({"P": 2}, "P"),
        ({"P": ["2x4", [0.1, "0x2"]]}, "P"),
        ({"P": ["2x4", [True, "1x2"]]}, "P changes at t = True"),
        ({"P": None}, "P: None is no step function"),
        ({"step": 1}, "step is 1; it counts the points"),
        ({"step": 70.0}, "step is 70.0"),
        ({"step": "70"}, "step is '70'"),
        ({"step": True}, "step is True"),
        ({"step": 10**9}, "from 2 to 10000"),
        ({"ts": -8.0}, "ts"),
        ({"ts": math.nan}, "ts is nan"),
        ({"ts": "8"}, "ts is '8'"),
        ({"renorm": math.inf}, "renorm is inf"),
        ({"renorm": None}, "renorm is None"),
        ({"cfg": [1, 0.5]}, "cfg: .*no pair"),
        ({"cfg": [1, [0.5, math.nan]]}, "cfg"),
        ({"cfg": "much"}, "cfg is 'much'"),
        ({"cfg": True}, "cfg is True"),
        ({"cfg": []}, "cfg: "),
        ({"cfg": [[3], [1, 0.5]]}, "cfg: .*no pair"),
        ({"motion": math.nan}, "motion"),
        ({"motion": [None, [0.5, 1]]}, "motion"),
        ({"negMotion": "fast"}, "negMotion is 'fast'"),
        ({"CFG": 3}, "did you mean 'cfg'|no key 'CFG'"),
    ],
)
def test_what_cannot_be_is_refused_by_its_key(change: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        FlowPreset.from_dict(values(**change))
