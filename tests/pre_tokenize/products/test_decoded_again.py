"""Clips of each shard are decoded again: which, what is kept of it, and what is said where they are blotches."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from lumos.lumina_video.data.latent_set import LatentSet
from lumos.lumina_video.vae import CogVideoXVAE
from lumos.lumos1.data.clips import ClipDataset
from lumos.media.decoded import psnr
from lumos.media.reading import read_clip, read_image
from lumos.media.writing import write_image
from lumos.tokenizer.text import TextTokenizer
from lumos.tokenizer.visual import VisualTokenizer
from pre_tokenize import __main__ as program
from pre_tokenize import concat_record, motion
from pre_tokenize.products.decoded_again import DecodedAgain, decoded_of, spread
from pre_tokenize.products.pixels import Pixels
from tests.pre_tokenize.conftest import write_csv
from tests.pre_tokenize.products.test_sizes import without
from tests.pre_tokenize.test_main import contents

Command = Callable[..., list[str]]
MEDIA = Path(__file__).resolve().parents[3] / "shared" / "data" / "media"


def decoded_rows(rows: range, num: int, *, skipped: set[int]) -> list[int]:
    """Which rows of a shard are decoded where some give no clip."""
    sample = DecodedAgain(rows, num=num, decode=lambda pixels, output: output)
    there = [row for row in rows if row not in skipped]
    for row in there:
        sample.see(row)
    for row in there:
        pixels = Pixels(frames=np.zeros((1, 2, 4, 3), np.uint8))
        sample.measure(row, pixels, torch.zeros(1, 3, 1, 2, 4))
    return [there[place] for place in sample.by_place(there)]


def test_they_are_spread_over_the_rows_and_a_skipped_one_gives_way_to_the_next() -> None:
    assert decoded_rows(range(10), 3, skipped={3, 4}) == [0, 5, 6]  # the drawing of the module
    assert decoded_rows(range(20, 24), 9, skipped=set()) == [20, 21, 22, 23]
    assert decoded_rows(range(20, 24), 0, skipped=set()) == []
    assert decoded_rows(range(4), 2, skipped={0, 1, 2}) == [3]
    assert spread(range(5, 12), 2) == [5, 8]
    assert decoded_of(512 + 4) == {0, 256, 512, 514}


def test_the_psnr_of_codes_is_that_of_the_clip_and_lies_in_footer_index_and_report(
    videos, tokenizers: Path, tmp_path: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.main(command(videos.file, tmp_path, "--shard_rows", "6", "--batch_size", "2")) == 0
    captured = capsys.readouterr()
    assert captured.err.count("pre_tokenize: warning: clips that were decoded again are blotches") == 1
    assert "--visual_tokenizer tiny-visual where another was used" in captured.err
    assert "Cosmos-Tokenizer-DV4x8x8 (lumos download cosmos)" in captured.err
    assert concat_record.main(["--output_dir", str(tmp_path)]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""  # it was said as they were made; the summary counts the shards
    assert re.search(r"decoded again: [\d.]+ dB, below 22 dB in \d shards?$", captured.out.strip())
    visual = VisualTokenizer.from_pretrained(tokenizers / "visual_tokenizer")
    clips = ClipDataset(tmp_path)
    numbers, first = [], 0
    index, report = (json.loads((tmp_path / name).read_text()) for name in ("index.json", "report.json"))
    for sample, entry in zip(clips.decoded, index["shards"], strict=True):
        assert len(sample.psnr_db) == entry["num_decoded"] == min(2, entry["num_clips"])
        assert entry["psnr_db"] == pytest.approx(sample.mean_db, abs=0.006)
        for place, value in sample.psnr_db.items():
            clip = clips[first + place]
            frames = read_clip(videos.file.parent / clip.source, fps=4, duration=2, size=64)
            (whole,) = psnr(frames[None], visual.decode(torch.from_numpy(clip.codes.astype(np.int64))[None]))
            assert value == pytest.approx(whole, abs=0.006)
            numbers.append(value)
        first += entry["num_clips"]
    assert report["num_decoded"] == index["num_decoded"] == len(numbers)
    assert report["psnr_db"] == index["psnr_db"] == pytest.approx(sum(numbers) / len(numbers), abs=0.006)
    low = [entry["file"] for entry in index["shards"] if entry["psnr_db"] < 22]
    assert [item["file"] for item in report["low_psnr"]] == low
    assert report["sizes"] == index["sizes"] == {"64x32": 6, "32x64": 3}


def test_the_psnr_of_latents_is_that_of_the_clip(
    images, vae: Path, tmp_path: Path, latents_command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    write_image(tmp_path / "a.png", np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8))
    write_csv(tmp_path / "a.csv", [("a.png", "noise")])
    out = tmp_path / "out"
    words = latents_command(tmp_path / "a.csv", out, modality="image")
    assert program.main([*without(words, "--target_size"), "--size", "96x64"]) == 0
    assert "--vae ckpts/THUDM/CogVideoX-2b/vae" in capsys.readouterr().err
    assert concat_record.main(["--output_dir", str(out)]) == 0
    latents = LatentSet(out)
    (sample,) = latents.decoded
    decoded = CogVideoXVAE.from_pretrained(vae).decode(latents[0].latent[None].float(), 1)
    (wanted,) = psnr(read_image(tmp_path / "a.png")[None, None], decoded)
    assert sample.psnr_db == {0: pytest.approx(wanted, abs=0.006)}
    assert json.loads((out / "report.json").read_text())["sizes"] == {"96x64": 1}


def test_none_are_decoded_where_0_are_asked_for(
    images, tmp_path: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.main(command(images.file, tmp_path, "--num_decoded", "0", modality="image")) == 0
    assert concat_record.main(["--output_dir", str(tmp_path)]) == 0
    captured = capsys.readouterr()
    assert "blotches" not in captured.err
    assert "decoded again" not in captured.out
    assert "psnr_db" not in (tmp_path / "index.json").read_text()
    assert program.main(command(images.file, tmp_path / "b", "--num_decoded", "-1", modality="image")) == 2
    assert "--num_decoded is -1" in capsys.readouterr().err


def test_threads_and_batches_change_no_byte(images, tmp_path: Path, command: Command) -> None:
    for name, words in {"a": "--num_workers 1", "b": "--num_workers 5 --batch_size 3"}.items():
        more = ["--shard_rows", "4", *words.split()]
        assert program.main(command(images.file, tmp_path / name, *more, modality="image")) == 0
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_an_output_that_was_begun_without_goes_on(images, tmp_path: Path, command: Command) -> None:
    without = command(images.file, tmp_path, "--num_decoded", "0", modality="image")
    assert program.main(without) == 0
    next(iter(sorted(tmp_path.rglob("rows-*.parquet")))).unlink()
    assert program.main(command(images.file, tmp_path, modality="image")) == 0
    assert concat_record.main(["--output_dir", str(tmp_path)]) == 0
    said = [entry.get("num_decoded", 0) for entry in json.loads((tmp_path / "index.json").read_text())["shards"]]
    assert said == [2, 0, 0]


def test_a_set_in_the_format_of_the_release_keeps_the_psnr(
    images, tokenizers: Path, tmp_path: Path, command: Command
) -> None:
    assert program.main(command(images.file, tmp_path, modality="image")) == 0
    text, record = tokenizers / "text_tokenizer.json", tmp_path / "merge-record.json"
    words = ["--output_dir", str(tmp_path), "--save_path", str(record), "--text_tokenizer", str(text)]
    assert concat_record.main(words) == 0
    ours = [value for sample in ClipDataset(tmp_path / "index.json").decoded for value in sample.psnr_db.values()]
    (theirs,) = ClipDataset(record, vocab=TextTokenizer.from_file(text).vocab).decoded
    assert list(theirs.psnr_db.values()) == ours
    assert theirs.file == record
    said = tmp_path / "merge-record-captions.jsonl"
    said.write_text(said.read_text().replace('"psnr_db": ', '"psnr_db": "x", "was": '))
    with pytest.raises(ValueError, match=r"captions\.jsonl: line \d has psnr_db 'x', no number"):
        ClipDataset(record, vocab=TextTokenizer.from_file(text).vocab)


def test_a_decoder_that_gives_no_pixels_stops_at_once_and_says_how_to_go_on(
    images, tokenizers: Path, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    def fails(self: VisualTokenizer, codes: torch.Tensor) -> torch.Tensor:
        raise ValueError(f"decoder.jit fails on codes {list(codes.shape)}")

    monkeypatch.setattr(VisualTokenizer, "decode", fails)
    assert program.main(command(images.file, tmp_path, modality="image")) == 2
    error = capsys.readouterr().err
    assert "pre_tokenize: error: decoder.jit fails on codes [1, 1, " in error
    assert "(--num_decoded 0 goes on without decoding)" in error
    assert program.main(command(images.file, tmp_path, "--num_decoded", "0", modality="image")) == 0


def test_motion_scores_have_neither_sizes_nor_psnr(videos, tmp_path: Path) -> None:
    words = ["--input_file", str(videos.file), "--output_file", str(tmp_path / "scored.csv"), "--estimator", "dis-fast"]
    assert motion.main(words) == 0
    report = json.loads(next(tmp_path.rglob("report.json")).read_text())
    assert (report["sizes"], "psnr_db" in report) == ({}, False)


@pytest.mark.slow
@pytest.mark.skipif(not MEDIA.is_dir(), reason="the sample videos are not at hand")
def test_real_clips_come_back_from_the_bundled_tokenizer_as_blotches_and_it_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_csv(tmp_path / "a.csv", [(str(MEDIA / "duckling.mp4"), "a duckling"), (str(MEDIA / "hawk.mp4"), "a hawk")])
    assert program.main(["--input_file", str(tmp_path / "a.csv"), "--output_dir", str(tmp_path / "out")]) == 0
    captured = capsys.readouterr()
    assert "lumos-tiny is made for: --size 64x64 --target_fps 6 --target_duration 2" in captured.out
    assert "64x64: 2; 2 decoded again: 1" in captured.out  # 14 to 18 dB
    assert "blotches" in captured.err
