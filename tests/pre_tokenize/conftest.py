"""A tiny pair of tokenizers, made once, and a folder of media whose every item has a known fate."""

import csv
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lumos.media.writing import write_image, write_video
from lumos.tokenizer.text_training import save_text_tokenizer, train_text_tokenizer
from tests.lumos.lumina_video.tiny import tiny_vae_folder

HEIGHT, WIDTH = 64, 96
NUM_CODES = 200


@dataclass(frozen=True, kw_only=True)
class World:
    """A CSV and what must become of it."""

    file: Path
    kept: dict[str, str]
    """Path -> caption of the rows that become clips, in the CSV's order."""
    skipped: dict[str, str]
    """Path -> reason of the others, in the CSV's order."""


class MeanEncoder(nn.Module):
    """Stands for encoder.jit: a code is the mean brightness of its 8x8 pixels in 4 frames (1 for the first)."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(NUM_CODES / 2.0))

    def forward(self, video: Tensor) -> tuple[Tensor, Tensor]:
        grey = F.avg_pool2d(video.mean(1), 8)
        later = F.avg_pool3d(grey[:, None, 1:], [4, 1, 1])[:, 0] if grey.shape[1] > 1 else grey[:, 1:]
        values = torch.cat([grey[:, :1], later], dim=1)
        return ((values + 1) * self.scale).clamp(0, 199).int(), values


class MeanDecoder(nn.Module):
    """Stands for decoder.jit: the brightness that `MeanEncoder` kept, in each of its pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(NUM_CODES / 2.0))

    def forward(self, codes: Tensor) -> Tensor:
        grey = ((codes + 0.5) / self.scale - 1).repeat_interleave(8, dim=2).repeat_interleave(8, dim=3)
        frames = torch.cat([grey[:, :1], grey[:, 1:].repeat_interleave(4, dim=1)], dim=1)
        return frames[:, None].repeat(1, 3, 1, 1, 1)


@pytest.fixture(scope="session")
def tokenizers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizers")
    (folder / "visual_tokenizer").mkdir()
    for name, half in (("encoder.jit", MeanEncoder()), ("decoder.jit", MeanDecoder())):
        torch.jit.script(half).save(str(folder / "visual_tokenizer" / name))
    text = train_text_tokenizer(["a red ball rolls"], num_merges=5, num_codes=NUM_CODES)
    save_text_tokenizer(text, folder / "text_tokenizer.json")
    return folder


def write_csv(file: Path, rows: Sequence[tuple[str, str]]) -> Path:
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["path", "text", "num_frames", "height", "width", "aspect_ratio"])
        writer.writerows([path, text, 12, HEIGHT, WIDTH, 1.5] for path, text in rows)
    return file


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Nine good videos, tall and wide, among five bad ones."""
    folder = tmp_path_factory.mktemp("videos")
    rng = np.random.RandomState(0)
    rows, kept = [], {}
    for number in range(9):
        tall = number % 3 == 2
        frames = rng.randint(0, 256, (9, 8, 8, 3)).astype(np.uint8).repeat(8, axis=1).repeat(12, axis=2)
        write_video(folder / f"good{number}.mp4", frames.transpose(0, 2, 1, 3) if tall else frames, fps=4)
        kept[f"good{number}.mp4"] = f'number {number}, "naïve"\nand more'
        rows.append((f"good{number}.mp4", kept[f"good{number}.mp4"]))
    noise = rng.randint(0, 256, (9, HEIGHT, WIDTH, 3)).astype(np.uint8)
    write_video(folder / "short.mp4", noise[:7], fps=4)
    write_video(folder / "slow.mp4", noise, fps=3)
    (folder / "text.mp4").write_text("no video")
    rows[1:1] = [("none.mp4", "a"), ("short.mp4", "b")]
    rows[5:5] = [("good0.mp4", "  "), ("text.mp4", "c")]
    rows.append(("slow.mp4", "d"))
    skipped = {
        "none.mp4": "missing file",
        "short.mp4": "too short",
        "good0.mp4": "empty caption",
        "text.mp4": "undecodable",
        "slow.mp4": "source slower than the target fps",
    }
    return World(file=write_csv(folder / "videos.csv", rows), kept=kept, skipped=skipped)


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("images")
    sizes = [(40, 60), (64, 64), (70, 50), (41, 61), (90, 30)]
    kept = {}
    for number, (width, height) in enumerate(sizes):
        image = np.random.RandomState(number).randint(0, 256, (height, width, 3)).astype(np.uint8)
        write_image(folder / f"{number}.png", image)
        kept[f"{number}.png"] = f"image {number}"
    (folder / "text.png").write_text("no image")
    rows = [*kept.items(), ("text.png", "a")]
    return World(file=write_csv(folder / "images.csv", rows), kept=kept, skipped={"text.png": "undecodable"})


@pytest.fixture
def command(tokenizers: Path) -> Callable[..., list[str]]:
    """Arguments of `python -m pre_tokenize` for a CSV and an output, at a tiny size."""

    def build(file: Path, output: Path, *more: str, modality: str = "video") -> list[str]:
        fixed = f"--modality {modality} --target_size 64 --target_fps 4 --target_duration 2 --shard_rows 2".split()
        places = ["--input_file", str(file), "--output_dir", str(output)]
        return [*places, *fixed, "--visual_tokenizer", str(tokenizers / "visual_tokenizer"), *more]

    return build


@pytest.fixture(scope="session")
def vae(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny VAE of 4 channels."""
    return tiny_vae_folder(tmp_path_factory.mktemp("vae") / "vae")


@pytest.fixture
def latents_command(vae: Path) -> Callable[..., list[str]]:
    """Arguments of `python -m pre_tokenize --to latents` for a CSV and an output, at a tiny size."""

    def build(file: Path, output: Path, *more: str, modality: str = "video") -> list[str]:
        fixed = f"--to latents --modality {modality} --target_size 64 --target_fps 4 --shard_rows 2".split()
        return ["--input_file", str(file), "--output_dir", str(output), *fixed, "--vae", str(vae), *more]

    return build


@pytest.fixture
def environment(repo: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(repo), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


@pytest.fixture
def start(environment: dict[str, str]) -> Callable[[list[str]], subprocess.Popen[str]]:
    """Starts `python -m pre_tokenize` as a process of its own."""

    def launch(arguments: list[str]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "pre_tokenize", *arguments],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return launch
