"""True clips noised to a time and sampled on: the states given, the ends of the way, and the command."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from eval.shapes.__main__ import main
from eval.shapes.partway import measure_partway, true_states
from lumos.lumina_video.flow import noise_for, time_grid
from lumos.lumina_video.pipeline import LuminaVideoPipeline
from tests.lumos.lumina_video.tiny import tiny_lumina_folder


def test_states_are_noise_and_latents_in_the_shares_of_their_time_and_no_others_are_touched(tmp_path: Path) -> None:
    pipeline = LuminaVideoPipeline.from_pretrained(tiny_lumina_folder(tmp_path / "lumina"))
    settings = pipeline.settings_for({"num_inference_steps": 4})
    latents, seeds = torch.ones(2, 4, 2, 2, 2), [7, 9]
    times = time_grid(settings.preset.num_points, settings.preset.shift).tolist()
    true = true_states(latents, seeds, settings=settings, until=times[2])
    given = [true(pipeline, step, None, {}) for step in range(4)]
    assert [state is None for state in given] == [False, False, True, True]
    noise = torch.stack([noise_for(seed, (4, 2, 2, 2)) for seed in seeds])
    for step in (0, 1):
        state = given[step]
        assert state is not None
        t = times[step + 1]
        torch.testing.assert_close(state["latents"], (1 - t) * noise + t * latents)


@pytest.mark.slow
def test_the_bundled_vae_gives_true_clips_back_as_asked_and_the_start_is_the_model_s_own() -> None:
    settings = {"num_inference_steps": 3}
    own, true = measure_partway("lumina-tiny", [0, 1], num=8, settings=settings)
    assert true.report.overall >= 0.875  # a turning star may come back as a blob
    assert own.report.overall < true.report.overall  # three steps make no clip


def test_the_command_writes_a_row_for_each_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tiny_lumina_folder(tmp_path / "lumina")
    words = ["partway", "--model", str(model), "--num", "2", "--out", str(tmp_path / "o"), "--times", "0,1"]
    assert main([*words, "num_inference_steps=1"]) == 0
    assert len(capsys.readouterr().out.strip().splitlines()) == 4
    points = json.loads((tmp_path / "o/partway.json").read_text())
    assert [point["time"] for point in points] == [0, 1]
    assert all(point["report"]["num"] == 2 and np.isfinite(point["report"]["overall"]) for point in points)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--model", "lumos-tiny"], "is a setting of Lumina-Video, and lumos-tiny is Lumos-1"),
        (["--times", "0,1.5"], "--times is 1.5; it must be a number of at least 0 and at most 1"),
        (["--num", "0"], "--num is 0"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_one_line(
    tmp_path: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["partway", "--out", str(tmp_path / "o"), *words]) == 2
    assert said in capsys.readouterr().err
