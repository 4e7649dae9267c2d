"""The ways of the READMEs from clips in a CSV to a video, with codes and with latents: their commands, fewer steps."""

import csv
import json
import os
import random
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from lumos.cli import main as lumos
from lumos.cli.training.training_run import load_run
from lumos.lumos1.config import LumosConfig
from lumos.media.reading import read_clip
from lumos.media.writing import write_video
from lumos.shapes import render, sample_spec
from lumos.tokenizer.text import TextTokenizer

FEWER = {"train": ["trainer.max_steps=1"], "export": [], "generate": ["--steps", "2", "--out", "clip.mp4"]}
"""Command -> words that make it short."""
CODES = ("README.md", "**Real clips, from the CSV to a video.**")
LATENTS = ("lumos/lumina_video/README.md", "From a CSV with the columns `path,text`")
RAW = ("lumos/lumina_video/README.md", "Without latents on the disk, ")
"""Page and the words before the commands."""


def commands_of(repo: Path, page: str, before: str) -> list[list[str]]:
    """The words of a section's commands."""
    section = (repo / page).read_text(encoding="utf-8").split(before)[1]
    block = re.search(r"```bash\n(.*?)```", section, re.DOTALL)
    assert block is not None
    return [shlex.split(line) for line in block[1].replace("\\\n", " ").splitlines()]


def write_clips(folder: Path, *, num: int) -> None:
    """A CSV of so many videos, two seconds each."""
    rows = []
    for index, caption in enumerate(["one of the captions", *["another one"] * (num - 1)]):
        frames = render(sample_spec(random.Random(index)), width=224, height=128, num_frames=13, fps=6)
        write_video(folder / f"{index}.mp4", frames, fps=6)
        rows.append({"path": f"{index}.mp4", "text": caption})
    with (folder / "videos.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=["path", "text"])
        writer.writeheader()
        writer.writerows(rows)


@pytest.mark.parametrize(("place", "shape"), [(CODES, (13, 128, 224, 3)), (LATENTS, (16, 64, 64, 3))])
def test_the_commands_lead_from_a_csv_to_a_video(
    place: tuple[str, str], shape: tuple[int, int, int, int], repo: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    write_clips(tmp_path, num=1 if place == CODES else 4)  # as many as a step of their configs takes
    (_, script, *words), *others = commands_of(repo, *place)
    environment = {**os.environ, "LUMOS_PYTHON": sys.executable}
    subprocess.run(["bash", str(repo / script), *words], check=True, env=environment)
    assert [words[:2] for words in others] == [["lumos", name] for name in FEWER]
    for _, name, *words in others:
        assert lumos([name, *words, *FEWER[name]]) == 0
    fps, (num_frames, height, width, _) = 6 if place == CODES else 8, shape
    assert read_clip("clip.mp4", fps=fps, duration=num_frames / fps, size=(width, height)).shape == shape


def test_a_list_of_videos_is_trained_on_as_it_is(
    repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    write_clips(tmp_path / "data", num=4)
    rows = [json.dumps({"path": f"{index}.mp4", "prompt": "one of the captions"}) for index in range(4)]
    (tmp_path / "data/my_clips.jsonl").write_text("\n".join(rows) + "\n")
    look, reckon, train = commands_of(repo, *RAW)
    assert lumos(look[1:]) == 0
    assert Path("sheet.png").is_file()
    assert lumos(reckon[1:]) == 0
    assert re.search(r"fine +1x2 +4 +4 +4x\d+x\d+", capsys.readouterr().out)
    assert lumos([*train[1:], "trainer.max_steps=1"]) == 0


def test_the_model_of_the_config_has_the_ids_of_the_tokenizer(repo: Path) -> None:
    model = LumosConfig(**load_run(repo / "configs/train/my_clips.yaml").task.model)
    assert model.vocabulary == TextTokenizer.from_file(repo / "ckpts/tiny-visual/text_tokenizer.json").vocab
