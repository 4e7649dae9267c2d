"""The bench of many requests, small: what it times is the same clips."""

import json
from pathlib import Path

import pytest

from benchmarks.lumos1.together import main, requests_of
from tests.model_folder import make_model_folder


def test_requests_differ() -> None:
    requests = requests_of(8, num_frames=5, steps=16)
    assert {one["num_inference_steps"] for one in requests} == {14, 18}
    assert len({one["guidance_scale"] for one in requests}) == 3
    assert len({one["seed"] for one in requests}) == 8
    assert {one["num_inference_steps"] for one in requests_of(2, num_frames=1, steps=1)} == {1}


def test_the_report_holds_rates_and_whether_frames_are_the_same(tmp_path: Path) -> None:
    folder, out = make_model_folder(tmp_path / "ckpts" / "tiny"), tmp_path / "together.json"
    words = ["--model", str(folder), "--device", "cpu", "--num-frames", "5", "--steps", "2", "--requests", "3"]
    assert main([*words, "--rounds", "1", "--out", str(out)]) == 0
    report = json.loads(out.read_text())
    assert report["notes"]["clips of which every frame is the same"] == "3 of 3"
    assert report["notes"]["frames a second, together"] > 0
    assert len(report["results"]["requests"]) == 3


def test_a_number_of_requests_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--requests", "0"]) == 2
    assert "requests is 0" in capsys.readouterr().err
