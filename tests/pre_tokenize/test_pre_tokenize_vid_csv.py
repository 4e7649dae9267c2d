"""The release's options, under its name of the program."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from pre_tokenize import pre_tokenize_vid_csv as program
from tests.pre_tokenize.conftest import write_csv


@pytest.fixture
def _precision_as_it_was() -> Iterator[None]:
    backends = [torch.backends.cuda.matmul, torch.backends.cudnn.conv]
    before = [backend.fp32_precision for backend in backends]
    yield
    for backend, precision in zip(backends, before, strict=True):
        backend.fp32_precision = precision


@pytest.mark.usefixtures("_precision_as_it_was")
def test_the_options_of_the_release_are_taken(images, tokenizers: Path, tmp_path: Path, capsys) -> None:
    """Its names, its tf32, what has no meaning here, and no --modality: the files' names tell."""
    words = ["--in_filename", str(images.file), "--out_dir", str(tmp_path), "--target_size", "64", "--splits", "1"]
    more = ["--rank", "0", "--cosmos_dtype", "tf32", "--video_frame_batch_size", "8", "--target_fps", "4"]
    assert program.main([*words, *more, "--visual_tokenizer", str(tokenizers / "visual_tokenizer")]) == 0
    assert "--video_frame_batch_size has no meaning" in capsys.readouterr().out
    manifest = json.loads((tmp_path / "1-in-1" / "0-of-1" / "manifest.json").read_text())
    assert (manifest["modality"], manifest["cosmos_dtype"]) == ("image", "tf32")
    assert torch.backends.cuda.matmul.fp32_precision == "tf32"


def test_a_csv_of_both_kinds_asks_for_the_modality(tmp_path: Path, tokenizers: Path, capsys) -> None:
    file = write_csv(tmp_path / "a.csv", [("a.JPG", "one"), ("b.mp4", "two")])
    words = ["--input_file", str(file), "--output_dir", str(tmp_path / "out"), "--visual_tokenizer", str(tokenizers)]
    assert program.main(words) == 2
    assert "lists pictures and videos ('a.JPG', 'b.mp4')" in capsys.readouterr().err
