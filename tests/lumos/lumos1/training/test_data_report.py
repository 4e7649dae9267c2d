"""What training says of its clips: blotches, and sizes and rates that are not the model's."""

import json
import logging
from pathlib import Path

import pytest

from lumos.lumos1.data.clips import ClipDataset
from lumos.lumos1.data.released_writing import write_released
from lumos.lumos1.data.writing import ClipWriter
from lumos.lumos1.training.data_report import report_clips
from lumos.lumos1.training.task import LumosTask, LumosTaskConfig
from lumos.tokenizer.vocab import Vocab
from tests.tiny_data import MODEL, VOCAB, make_clip


def written(folder: Path, *, psnr_db: float | None = None, num_latent: int = 3) -> Path:
    """Five clips of 32x64 px at 6 fps."""
    with ClipWriter(folder, shard_size=4) as writer:
        for number in range(5):
            writer.add(make_clip(number, num_latent), psnr_db=psnr_db if number == 1 else None)
    return folder


def model(folder: Path, **said: object) -> str:
    folder.mkdir()
    (folder / "generation_config.json").write_text(json.dumps(said))
    return str(folder)


def test_shards_below_22_db_are_said_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """By the task itself, for what is trained on and what is held out."""
    paths = {"low": str(written(tmp_path / "low", psnr_db=15.0)), "high": str(written(tmp_path / "high", psnr_db=30.0))}
    config = LumosTaskConfig(data=paths, model={**MODEL, "vocab": VOCAB}, eval_data={"held": paths["low"]})
    with caplog.at_level(logging.WARNING):
        LumosTask(config).build_dataset("train")
    (said,) = caplog.messages
    assert said.startswith("stream low: clips that were decoded again are blotches: 15.0 dB PSNR")
    assert "shard-00000.parquet" in said
    assert "--visual_tokenizer tiny-visual" in said
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        LumosTask(config).build_dataset("eval")
    assert caplog.messages == [said.replace("stream low", "stream held")]


@pytest.mark.parametrize(
    ("said", "warned"),
    [
        ({"sizes": [[32, 64]], "fps": 6, "duration": 2}, []),
        ({"sizes": [[32, 64], [64, 64]], "fps": 6}, []),
        ({}, []),
        (
            {"sizes": [[64, 64]], "fps": 6},
            ["5 of 5 clips are 32x64, ", "made for 64x64: pre-tokenise with --size 64x64"],
        ),
        ({"sizes": [[32, 64]], "fps": 8}, ["5 of 5 videos have 6 frames a second", "--target_fps 8"]),
        ({"width": 448, "height": 256}, ["5 of 5 clips are 32x64", "--target_size 352"]),
        ({"sizes": "wide"}, ["cannot be told: sizes is 'wide'"]),
    ],
)
def test_clips_that_are_not_such_as_the_model_makes_are_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, said: dict[str, object], warned: list[str]
) -> None:
    with caplog.at_level(logging.WARNING):
        report_clips("a", ClipDataset(written(tmp_path / "clips")), init_from=model(tmp_path / "model", **said))
    assert len(caplog.messages) == bool(warned)
    assert all(words in caplog.text for words in warned), caplog.text


def test_a_model_that_is_named_is_compared_too(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lumos.hub.models.ckpts_root", lambda root=None: tmp_path)
    model(tmp_path / "mine", sizes=[[64, 64]], fps=6)
    with caplog.at_level(logging.WARNING):
        report_clips("a", ClipDataset(written(tmp_path / "clips")), init_from="mine")
    assert "5 of 5 clips are 32x64, mine is made for 64x64" in caplog.text


def test_pictures_have_no_rate(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    clips = ClipDataset(written(tmp_path / "clips", num_latent=1))
    report_clips("a", clips, init_from=model(tmp_path / "model", sizes=[[32, 64]], fps=8))
    assert caplog.messages == []


def test_a_record_that_says_no_shapes_is_looked_into(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    vocab = Vocab.from_dict(VOCAB)
    write_released(tmp_path / "set.json", [make_clip(number, 3) for number in range(5)], vocab)
    clips = ClipDataset(tmp_path / "set.json", vocab=vocab)
    with caplog.at_level(logging.WARNING):
        report_clips("a", clips, init_from=model(tmp_path / "model", sizes=[[64, 64]], fps=6))
    assert "3 of 3 clips are 32x64" in caplog.text
