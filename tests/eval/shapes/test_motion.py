"""Motion asked for against motion measured: the curve, its files, and prompts that leave motion open."""

import json
import math
from pathlib import Path

import pytest

from eval.shapes.__main__ import main
from eval.shapes.motion import MotionCurve, MotionPoint, unmoved_prompts
from tests.lumos.lumina_video.tiny import tiny_lumina_folder


def test_a_curve_rises_only_if_every_mean_does_and_correlates_over_all_clips() -> None:
    rising = MotionCurve(points=(MotionPoint(asked=0, measured=(0.0, 1.0)), MotionPoint(asked=4, measured=(4.0, 5.0))))
    falling = MotionCurve(points=tuple(reversed(rising.points)))
    assert (rising.rises, falling.rises) == (True, False)
    # x = 0 0 4 4, y = 0 1 4 5: covariance 4, deviations 2 and sqrt(17/4)
    assert rising.correlation == pytest.approx(4 / (2 * math.sqrt(17 / 4)))
    assert math.isnan(MotionCurve(points=(MotionPoint(asked=1, measured=(2.0, 2.0)),)).correlation)


def test_the_rank_correlation_is_of_the_order_of_the_means_alone() -> None:
    def of(*measured: float) -> float:
        points = [MotionPoint(asked=asked, measured=(one,)) for asked, one in enumerate(measured)]
        return MotionCurve(points=tuple(points)).rank_correlation

    assert of(0.0, 0.1, 90.0) == pytest.approx(1)
    assert of(5.0, 4.0, -3.0) == pytest.approx(-1)
    assert of(0.0, 2.0, 1.0, 3.0) == pytest.approx(1 - 6 * 2 / (4 * 15))  # 1 - 6 sum d^2 / (n (n^2 - 1))
    assert of(1.0, 1.0, 2.0) == pytest.approx(math.sqrt(3) / 2)  # ties share their ranks: 0.5 0.5 2
    assert math.isnan(of(1.0, 1.0))


def test_the_prompts_name_one_object_and_no_motion() -> None:
    records = unmoved_prompts(9, seed=4)
    assert len({record.prompt.text for record in records}) == 9
    for record in records:
        (claim,) = record.prompt.include
        assert (claim.count, claim.motion) == (1, None)


def test_the_command_measures_every_score_on_the_same_prompts_and_seeds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tiny_lumina_folder(tmp_path / "lumina")
    words = ["motion", "--model", str(model), "--num", "2", "--out", str(tmp_path / "o"), "--scores", "3,3,9"]
    assert main([*words, "num_inference_steps=1"]) == 0
    assert "correlation over clips" in capsys.readouterr().out
    content = json.loads((tmp_path / "o/motion.json").read_text())
    first, again, other = (point["measured"] for point in content["points"])
    assert first == again != other
    assert (tmp_path / "o/motion.png").read_bytes().startswith(b"\x89PNG")


def test_a_model_without_motion_scores_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["motion", "--model", "lumos-tiny", "--out", str(tmp_path / "o")]) == 2
    error = capsys.readouterr().err
    assert ("motion is a setting of Lumina-Video, and" in error, error.count("\n")) == (True, 1), error
    assert main(["motion", "--model", "lumina-tiny", "--scores", "1,a", "--out", str(tmp_path / "o")]) == 2
    assert "'1,a' is no list of numbers such as 0,4,8" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()
