"""Checkpoints with a tiny model of each kind, and videos of a few flat colours, which its tokenizer gives back."""

from pathlib import Path

import numpy as np
import pytest

from lumos.media.writing import write_video
from pre_tokenize import __main__ as pre_tokenize
from pre_tokenize import concat_record
from tests.lumos.lumina_video.tiny import tiny_vae_folder
from tests.model_folder import make_model_folder
from tests.pre_tokenize.conftest import write_csv


@pytest.fixture(scope="session")
def ckpts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("ckpts")
    make_model_folder(root / "lumos-tiny")
    tiny_vae_folder(root / "lumina-tiny" / "vae")
    return root


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CSV of three videos and one that is missing."""
    folder = tmp_path_factory.mktemp("videos")
    for number, colour in enumerate([(255, 0, 0), (0, 0, 255), (128, 85, 128)]):
        frames = np.full((13, 64, 96, 3), 255, np.uint8)
        frames[:, 16:48, 8 * number : 40] = colour
        write_video(folder / f"{number}.mp4", frames, fps=4)
    rows = [("0.mp4", "a red box"), ("none.mp4", "nothing"), ("1.mp4", "a blue box"), ("2.mp4", "a red box")]
    return write_csv(folder / "videos.csv", rows)


@pytest.fixture
def coded(table: Path, ckpts: Path, tmp_path: Path) -> Path:
    """The folder of three clips of codes."""
    fixed = ["--modality", "video", "--target_size", "64", "--target_fps", "4", "--target_duration", "2"]
    words = ["--input_file", str(table), "--output_dir", str(tmp_path / "coded"), *fixed]
    assert pre_tokenize.main([*words, "--visual_tokenizer", str(ckpts / "lumos-tiny")]) == 0
    assert concat_record.main(["--output_dir", str(tmp_path / "coded")]) == 0
    return tmp_path / "coded"


@pytest.fixture
def encoded(table: Path, ckpts: Path, tmp_path: Path) -> Path:
    """The folder of three clips of latents, without an index."""
    fixed = ["--to", "latents", "--modality", "video", "--target_size", "64", "--target_fps", "4"]
    words = ["--input_file", str(table), "--output_dir", str(tmp_path / "encoded"), *fixed]
    assert pre_tokenize.main([*words, "--vae", str(ckpts / "lumina-tiny" / "vae")]) == 0
    return tmp_path / "encoded"
