"""The memory bench of Lumina-Video: a model it writes runs, and both of its ways give the same."""

from pathlib import Path

import torch

from benchmarks.lumina_video.memory import TINY, encoders_paths, states_paths, write_model
from lumos.lumina_video.pipeline import LuminaVideoPipeline


def test_a_model_it_writes_is_whole(tmp_path: Path) -> None:
    assert set(write_model(tmp_path, TINY)) == {"network", "text encoder", "VAE"}
    pipeline = LuminaVideoPipeline.from_pretrained(tmp_path, device="cpu")
    assert len(pipeline("a red circle", seed=1, num_inference_steps=1).frames[0]) == 8
    assert list(encoders_paths(tmp_path)) == ["encoders kept", "encoders given up"]


def test_runs_whose_states_are_weighed_give_the_same() -> None:
    literal, ours = (path() for path in states_paths(3, (2, 4, 8)).values())
    torch.testing.assert_close(literal, ours, atol=1e-4, rtol=1e-4)
