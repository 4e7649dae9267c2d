"""Clips of the shapes world as shards: the codes of what is rendered, with the captions of its data set."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from lumos.lumina_video.data.flow_estimators import DISFlow
from lumos.lumina_video.data.motion import score_frames
from lumos.lumina_video.data.shards import LatentShards
from lumos.lumina_video.vae import CogVideoXVAE
from lumos.lumos1.data.clips import ClipDataset
from lumos.media.decoded import psnr
from lumos.shapes import render
from lumos.shapes.dataset import Format, example, frames_of, training_example
from lumos.tokenizer.text import TextTokenizer
from lumos.tokenizer.visual import VisualTokenizer
from pre_tokenize.shapes import main, write_clips
from tests.lumos.lumina_video.tiny import tiny_vae_folder
from tests.model_folder import make_model_folder
from xllmx.run.lock import lock_beside, locked

VIDEO = Format(size_px=32, fps=4, duration_s=2)
IMAGE = Format(size_px=32, fps=1, duration_s=1, moving=False)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both tokenizers."""
    return make_model_folder(tmp_path_factory.mktemp("ckpts") / "model")


@pytest.mark.parametrize(("form", "num_latent"), [(VIDEO, 3), (IMAGE, 1)])
def test_shards_hold_the_codes_of_the_rendered_clips(
    model: Path, tmp_path: Path, form: Format, num_latent: int
) -> None:
    assert write_clips(tmp_path / "clips", num=5, seed=2, form=form, tokenizer=model, batch_size=2) == 5
    text = TextTokenizer.from_file(model / "text_tokenizer.json")
    visual = VisualTokenizer.from_pretrained(model / "visual_tokenizer")
    clips = ClipDataset(tmp_path / "clips", vocab=text.vocab)
    assert len(clips) == 5
    for index in range(5):
        spec, words = training_example(index, seed=2, moving=form.moving)
        frames = render(spec, width=32, height=32, num_frames=form.num_frames, fps=form.fps)
        video = torch.from_numpy(frames).permute(3, 0, 1, 2)[None].float() / 127.5 - 1
        clip = clips[index]
        np.testing.assert_array_equal(clip.codes, visual.encode(video)[0].numpy())
        assert clip.codes.shape == (num_latent, 4, 4)
        assert (clip.caption, clip.fps, clip.duration) == (words, form.fps, form.duration_s)
        assert clip.prompt_ids.tolist() == text.prompt_ids(words, width=32, height=32)
    (sample,) = clips.decoded
    assert list(sample.psnr_db) == [0, 2]
    spec, _ = training_example(2, seed=2, moving=form.moving)
    frames = render(spec, width=32, height=32, num_frames=form.num_frames, fps=form.fps)
    (wanted,) = psnr(frames[None], visual.decode(torch.from_numpy(clips[2].codes.astype(np.int64))[None]))
    assert sample.psnr_db[2] == pytest.approx(wanted, abs=0.006)


def test_the_command_writes_shards(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    size = ["--num", "2", "--size", "32"]
    assert main(["--out", str(tmp_path / "clips"), *size, "--images", "--tokenizer", str(model)]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'clips' / 'index.json'}: 2 clips\n"
    vocab = TextTokenizer.from_file(model / "text_tokenizer.json").vocab
    assert ClipDataset(tmp_path / "clips", vocab=vocab)[1].codes.shape == (1, 4, 4)


def test_the_tokenizers_of_the_bundled_model_are_found_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["--out", "clips", "--num", "1", "--size", "32", "--images"]) == 0
    assert len(ClipDataset(tmp_path / "clips")) == 1


def test_the_command_names_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--out", str(tmp_path / "clips"), "--tokenizer", str(tmp_path / "none")]) == 2
    said = capsys.readouterr().err
    assert said.startswith(
        f"pre_tokenize.shapes: error: text tokenizer {tmp_path / 'none' / 'text_tokenizer.json'} is missing"
    )
    assert said.count("\n") == 1
    assert not (tmp_path / "clips").exists()


def test_a_folder_is_filled_by_one_process(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    vae = tiny_vae_folder(tmp_path / "vae")
    words = ["--out", str(tmp_path / "clips"), "--num", "2", "--size", "32"]
    codes, latents = [*words, "--tokenizer", str(model)], [*words, "--to", "latents", "--vae", str(vae), "--fps", "4"]
    monkeypatch.setattr("pre_tokenize.shapes.example", lambda *_, **__: pytest.fail("a clip is made"))
    with locked(lock_beside(tmp_path / "clips"), what="", remedy=""):
        for asked in (codes, [*latents, "--estimator", "none"]):
            assert main(asked) == 2
            said = f"{tmp_path / 'clips'} is filled by another process (process {os.getpid()} on "
            assert said in capsys.readouterr().err
    monkeypatch.undo()
    assert main(codes) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clips", "vae"]


@pytest.mark.parametrize("images", [False, True])
def test_latents_are_those_of_the_rendered_clips(tmp_path: Path, images: bool) -> None:
    vae = tiny_vae_folder(tmp_path / "model" / "vae")
    words = ["--num", "5", "--size", "32", "--fps", "4", "--seed", "3", "--tags", "motion"]
    words = ["--num", "5", "--size", "32", "--seed", "3", "--images"] if images else words
    latents = ["--to", "latents", "--vae", str(vae.parent), "--vae_dtype", "fp32", "--batch_size", "2"]
    assert main(["--out", str(tmp_path / "clips"), *words, *latents]) == 0
    form = Format(size_px=32, fps=4, tags=("motion",))
    form = Format(size_px=32, fps=1, duration_s=1, moving=False) if images else form
    clips, encoder = LatentShards([tmp_path / "clips" / "shard-00000.parquet"]), CogVideoXVAE.from_pretrained(vae)
    assert len(clips) == 5
    for index, clip in enumerate(clips):
        spec, caption = example(index, seed=3, form=form)
        frames = frames_of(spec, form)
        expected = encoder.encode(torch.from_numpy(frames).permute(3, 0, 1, 2)[None].float() / 127.5 - 1)[0]
        torch.testing.assert_close(clip.latent.float(), expected, atol=0.02, rtol=0.01)
        assert (clip.caption, clip.fps, clip.seconds, clip.is_image) == (caption, form.fps, form.duration_s, images)
        score = 0 if images else score_frames(frames[[0, 2, 4, 6]], DISFlow("dis-fast"))
        assert clip.motion == pytest.approx(score, rel=1e-5)
        if index == 2:
            (wanted,) = psnr(frames[None], encoder.decode(clip.latent[None].float(), len(frames)))
            assert clips.decoded[0].psnr_db == {0: clips.decoded[0].psnr_db[0], 2: pytest.approx(wanted, abs=0.006)}
    assert images == (clips.motion == 0).all()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ([], "latents need --vae"),
        (["--fps", "5", "--vae", "VAE"], "clips of 10 frames; take a multiple of 4, as 16"),
        (["--vae", "VAE", "--batch_size", "0"], "--batch_size is 0"),
        (["--vae", "VAE", "--estimator", "unimatch"], "--estimator unimatch needs --weights"),
    ],
)
def test_what_makes_no_latents_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], message: str
) -> None:
    vae = str(tiny_vae_folder(tmp_path / "vae"))
    words = [vae if word == "VAE" else word for word in more]
    assert main(["--out", str(tmp_path / "clips"), "--to", "latents", *words]) == 2
    error = capsys.readouterr().err
    assert (message in error, error.count("\n")) == (True, 1), error
    assert not (tmp_path / "clips").exists()
