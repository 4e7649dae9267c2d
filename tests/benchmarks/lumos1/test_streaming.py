"""The bench of streaming, small: what it times is the same clip, and how pixels differ is said."""

import json
from pathlib import Path

import pytest
import torch

from benchmarks.lumos1.streaming import decodings, differences, main
from lumos.lumos1.pipeline import LumosPipeline
from tests.model_folder import make_model_folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model_folder(tmp_path_factory.mktemp("ckpts") / "tiny")


def test_all_ways_decode_the_same_clip(folder: Path) -> None:
    codes = torch.randint(0, 60, (1, 5, 8, 12), generator=torch.Generator().manual_seed(1))
    ways = decodings(LumosPipeline.from_pretrained(folder, device="cpu"), codes, 2)
    assert list(ways) == ["at once", "all before again", "2 before again"]  # this pair carries no state
    assert all(decode().equal(ways["at once"]()) for decode in ways.values())  # and looks back at nothing


def test_pixels_that_differ_are_counted() -> None:
    gray = torch.zeros(1, 3, 4, 8, 8)
    other = gray.clone()
    other[:, :, 0] = 1
    said = differences({"whole": lambda: gray, "same": lambda: gray, "other": lambda: other})
    assert said["pixels of 'same' that differ"] == "0.00%, by 0 of 255 at most"
    assert said["pixels of 'other' that differ"] == "25.00%, by 128 of 255 at most, 12.0 dB"


def test_the_report_holds_first_frame_and_rate(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "streaming.json"
    words = ["--model", str(folder), "--device", "cpu", "--num-frames", "5", "--rounds", "1", "--out", str(out)]
    assert main(words) == 0
    report = json.loads(out.read_text())
    assert report["notes"]["frames"] == 5
    assert report["notes"]["frames a second of the stream"] > 0
    assert set(report["results"]["clip"]) >= {"whole clip", "first frame of a stream", "whole stream"}


def test_a_number_of_rounds_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--rounds", "0"]) == 2
    assert "rounds is 0" in capsys.readouterr().err
