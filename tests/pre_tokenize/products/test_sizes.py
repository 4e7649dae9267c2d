"""Sizes that items are cut to: given, or the model's; what is refused, and what does not go on."""

import json
from collections.abc import Callable
from pathlib import Path
from shutil import copytree

import pytest

from lumos.lumina_video.data.latent_set import LatentSet
from lumos.lumos1.data.clips import ClipDataset
from pre_tokenize import __main__ as program
from pre_tokenize import concat_record
from pre_tokenize.products.sizes import read_sizes

Command = Callable[..., list[str]]


def without(words: list[str], *options: str) -> list[str]:
    """The words without some options and their values."""
    gone = {index + offset for index, word in enumerate(words) if word in options for offset in (0, 1)}
    return [word for index, word in enumerate(words) if index not in gone]


def model_of(folder: Path, tokenizers: Path, **said: object) -> Path:
    """A folder with tokenizers and settings of generation, no weights."""
    copytree(tokenizers, folder)
    (folder / "config.json").write_text("{}")
    (folder / "generation_config.json").write_text(json.dumps(said))
    return folder


def grids(folder: Path) -> list[tuple[int, ...]]:
    assert concat_record.main(["--output_dir", str(folder)]) == 0
    return [clip.codes.shape for clip in ClipDataset(folder)]


def test_every_item_is_cut_to_the_size_that_is_given(videos, tmp_path: Path, command: Command) -> None:
    words = without(command(videos.file, tmp_path), "--target_size")
    assert program.main([*words, "--size", "32x96"]) == 0
    assert grids(tmp_path) == [(3, 12, 4)] * 9


def test_of_several_sizes_each_item_gets_the_nearest(images, tmp_path: Path, command: Command) -> None:
    words = without(command(images.file, tmp_path, modality="image"), "--target_size")
    assert program.main([*words, "--size", "64x64, 32x96,128X32"]) == 0
    assert grids(tmp_path) == [(1, 8, 8), (1, 8, 8), (1, 8, 8), (1, 8, 8), (1, 4, 16)]
    assert json.loads((tmp_path / "report.json").read_text())["sizes"] == {"64x64": 4, "128x32": 1}


def test_what_is_not_given_is_the_models(
    videos, tokenizers: Path, tmp_path: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    model = model_of(tmp_path / "model", tokenizers, sizes=[[96, 32]], fps=4, duration=2)
    words = command(videos.file, tmp_path / "out", "--visual_tokenizer", str(model))
    words = without(words, "--target_size", "--target_fps", "--target_duration")
    assert program.main([*words, "--visual_tokenizer", str(model)]) == 0
    said = f"as {model} is made for: --size 96x32 --target_fps 4 --target_duration 2"
    assert said in capsys.readouterr().out
    assert grids(tmp_path / "out") == [(3, 4, 12)] * 9
    assert {(clip.fps, clip.duration) for clip in ClipDataset(tmp_path / "out")} == {(4, 2)}


def test_a_tokenizer_inside_a_model_says_its_size_too(
    images, tokenizers: Path, tmp_path: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    model = model_of(tmp_path / "model", tokenizers, sizes=[[32, 64]])
    words = without(command(images.file, tmp_path / "out", modality="image"), "--target_size", "--visual_tokenizer")
    assert program.main([*words, "--visual_tokenizer", str(model / "visual_tokenizer")]) == 0
    assert "--size 32x64\n" in capsys.readouterr().out
    words = command(images.file, tmp_path / "b", modality="image")
    assert program.main([*words, "--visual_tokenizer", str(model)]) == 0  # with --target_size 64
    assert "is made for 32x64; --size 32x64 cuts to these" in capsys.readouterr().err


def test_the_size_of_a_model_of_latents_is_taken(
    images, vae: Path, tmp_path: Path, latents_command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    copytree(vae, tmp_path / "model" / "vae")
    (tmp_path / "model" / "generation_config.json").write_text('{"width": 64, "height": 32, "fps": 5, "num_frames": 8}')
    words = without(latents_command(images.file, tmp_path / "out", modality="image"), "--target_size", "--vae")
    assert program.main([*words, "--vae", str(tmp_path / "model" / "vae")]) == 0
    assert "is made for: --size 64x32\n" in capsys.readouterr().out
    assert concat_record.main(["--output_dir", str(tmp_path / "out")]) == 0
    latents = LatentSet(tmp_path / "out")
    assert {tuple(clip.latent.shape[2:]) for clip in latents} == {(4, 8)}
    assert len(latents) == 5  # each has at least as many pixels as 64x32


@pytest.mark.parametrize(
    ("size", "said"),
    [
        ("64", "--size is '64'; write width x height in pixels, as in 448x256"),
        ("64x", "--size is '64x'"),
        ("", "--size is ''"),
        ("64x64,", "--size is '64x64,'"),
        ("-64x64", "--size is '-64x64'"),
        ("64x50", "--size is 64x50; each side must be a multiple of 32 px and at most 16384: take 64x64"),
        ("0x64", "take 32x64"),
        ("999999x64", "take 16384x64"),
        ("8192x32", "--size: the longest side is 8192, more than the text tokenizer has a token for"),
        ("64x64", "--size 64x64 says the size; leave --target_size 64 out"),
    ],
)
def test_a_size_that_is_none_is_one_clear_line(
    images, tmp_path: Path, command: Command, capsys: pytest.CaptureFixture[str], size: str, said: str
) -> None:
    words = command(images.file, tmp_path / "out", f"--size={size}", modality="image")
    assert program.main(words if size == "64x64" else without(words, "--target_size")) == 2
    error = capsys.readouterr().err
    assert (said in error, error.count("\n")) == (True, 1), error
    assert not (tmp_path / "out").exists()


def test_settings_of_a_model_that_are_none_name_it(
    images, tokenizers: Path, tmp_path: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    model = model_of(tmp_path / "model", tokenizers, sizes="wide")
    words = command(images.file, tmp_path / "out", "--visual_tokenizer", str(model), modality="image")
    assert program.main(words) == 2
    assert f"error: --visual_tokenizer {model}: sizes is 'wide'" in capsys.readouterr().err


def test_sizes_are_read_once_each() -> None:
    assert read_sizes("64x32,32X64, 64x32") == [(64, 32), (32, 64)]


def test_another_size_does_not_go_on(images, tmp_path: Path, command: Command, capsys) -> None:
    words = command(images.file, tmp_path, modality="image")
    assert program.main(words) == 0
    assert program.main([*without(words, "--target_size"), "--size", "64x64"]) == 2
    assert "--size is '64x64', was None" in capsys.readouterr().err
