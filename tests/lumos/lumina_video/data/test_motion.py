"""The arithmetic of the motion score, against numbers of the released tool (tests/golden/lumina)."""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from lumos.lumina_video.data.flow_estimators import DISFlow
from lumos.lumina_video.data.motion import FlowEstimator, motion_pictures, motion_score, score_clips, score_frames
from lumos.lumina_video.encoding.clip_frames import motion_frames
from tests.lumos.lumina_video.data.texture import expected_score, moving_texture
from tests.lumos.lumina_video.golden import noise


@pytest.fixture(scope="module")
def stored(golden_lumina: Path) -> dict[str, Any]:
    return json.loads((golden_lumina / "data.json").read_text())["motion"]


class GoldenFlow:
    """The flow that was handed to the released tool, whatever the pictures."""

    name = "golden"

    def flow(self, a: Tensor, b: Tensor) -> Tensor:
        assert a.shape == b.shape == (len(a), 3, 320, 576)
        return golden_flow(len(a))


def golden_flow(pairs: int) -> Tensor:
    return noise(f"golden/flow/{pairs}", (pairs, 2, 320, 576)) * torch.tensor([3.0, 0.5])[None, :, None, None]


def fake_frame(k: int, width: int, height: int) -> np.ndarray:
    """Frame k of the golden videos."""
    x, y = np.arange(width)[None], np.arange(height)[:, None]
    channels = np.broadcast_arrays((x * 5 + 3 * k) % 256, (y * 7 + 2 * k) % 256, (x + y + 11 * k) % 256)
    return np.stack(channels, axis=-1).astype(np.uint8)


def test_pictures_are_the_golden_ones(stored: dict[str, Any]) -> None:
    for entry in stored["frames"]:
        if entry["ids"] is None:
            continue
        _, rate, frames, size = entry["video"].split(":")
        width, height = map(int, size.split("x"))
        numbers = motion_frames(int(frames), Fraction(rate))
        pictures = motion_pictures(np.stack([fake_frame(k, width, height) for k in numbers]))
        assert list(pictures.shape) == entry["shape"]
        assert pictures.double().mean().item() == pytest.approx(entry["mean"], abs=1e-3)
        for place, value in entry["pixels"]:
            assert pictures[tuple(place)].item() == pytest.approx(value, abs=1e-3)


def test_scores_are_the_golden_ones(stored: dict[str, Any]) -> None:
    for entry in stored["scores"]:
        assert motion_score(golden_flow(entry["pairs"])) == pytest.approx(entry["score"], abs=1e-5)


def test_records_of_the_golden_runs_have_these_scores(stored: dict[str, Any]) -> None:
    records = [record for run in stored["runs"] for record in run["records"]]
    assert len(records) == 6
    for record in records:
        _, rate, frames, size = record["path"].split(":")
        width, height = map(int, size.split("x"))
        shown = np.stack([fake_frame(k, width, height) for k in motion_frames(int(frames), Fraction(rate))])
        assert score_frames(shown, GoldenFlow()) == pytest.approx(record["unimatch_flow"], abs=1e-5)


def test_each_clip_of_a_batch_has_its_own_score() -> None:
    class Counting:
        name = "counting"

        def flow(self, a: Tensor, b: Tensor) -> Tensor:
            return (b - a)[:, :2]

    clips = torch.zeros(2, 3, 3, 320, 576)
    clips[0, 1:] = 2.0
    clips[1] = torch.arange(3)[:, None, None, None] * 5.0
    estimator = Counting()
    assert isinstance(estimator, FlowEstimator)
    assert score_clips(clips, estimator) == [1.0, 5.0]


@pytest.mark.parametrize("step", [(3.0, 0.0), (-1.5, 2.0), (0.0, -4.0), (7.0, 1.0)])
def test_a_texture_that_moves_by_known_pixels_scores_within_five_percent(step: tuple[float, float]) -> None:
    frames = moving_texture(4, step)
    assert score_frames(frames, DISFlow()) == pytest.approx(expected_score(step, 1), rel=0.05)


def test_what_stands_still_scores_nothing_and_a_tall_clip_as_a_wide_one() -> None:
    frames = moving_texture(3, (2.0, 0.0))
    assert score_frames(frames[[0, 0, 0]], DISFlow()) == 0
    lying = score_frames(frames, DISFlow())
    standing = score_frames(frames.transpose(0, 2, 1, 3), DISFlow())
    assert standing == lying
