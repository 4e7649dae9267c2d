"""Latents of the shapes world as shards: those of what is rendered, with its caption and how much moves in it."""

from pathlib import Path

import pytest
import torch

from lumos.lumina_video.data.latent_set import LatentSet
from lumos.lumina_video.vae import CogVideoXVAE
from lumos.shapes.dataset import Format, example, frames_of
from pre_tokenize.shapes_latents import main, write_latents
from tests.lumos.lumina_video.tiny import tiny_vae_folder

VIDEO = Format(size_px=32, fps=4, duration_s=2)
IMAGE = Format(size_px=32, fps=1, duration_s=1, moving=False)


@pytest.mark.parametrize(("form", "num_latents"), [(VIDEO, 2), (IMAGE, 1)])
def test_shards_hold_the_latents_of_the_rendered_clips(tmp_path: Path, form: Format, num_latents: int) -> None:
    folder = tiny_vae_folder(tmp_path / "vae")
    write_latents(tmp_path / "latents", num=3, seed=2, form=form, vae=folder)
    vae, clips = CogVideoXVAE.from_pretrained(folder), LatentSet(tmp_path / "latents")
    assert clips.shapes.tolist() == [[4, num_latents, 4, 4, 0]] * 3
    for index in range(3):
        spec, words = example(index, seed=2, form=form)
        pixels = torch.from_numpy(frames_of(spec, form)).permute(3, 0, 1, 2)[None].float() / 127.5 - 1
        clip = clips[index]
        assert (clip.caption, clip.fps, clip.seconds) == (words, form.fps, form.duration_s)
        assert clip.motion == (-1 if form.moving else 0)
        torch.testing.assert_close(clip.latent, vae.encode(pixels)[0].bfloat16())


def test_clips_that_move_score_more_than_still_ones(tmp_path: Path) -> None:
    pytest.importorskip("cv2")
    vae = str(tiny_vae_folder(tmp_path / "vae"))
    common = ["--num", "4", "--fps", "4", "--size", "64", "--tags", "motion", "--vae", vae]
    assert main(["--out", str(tmp_path / "latents"), *common]) == 0
    assert max(clip.motion for clip in map(LatentSet(tmp_path / "latents").__getitem__, range(4))) > 0.5


def test_clips_that_no_latents_cover_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vae = str(tiny_vae_folder(tmp_path / "vae"))
    assert main(["--out", str(tmp_path / "a"), "--fps", "5", "--vae", vae, "--estimator", "none"]) == 2
    assert "clips of 10 frames; take a multiple of 4" in capsys.readouterr().err
