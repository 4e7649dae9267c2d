"""A look at clips of latents: counts, statistics, sources beside what is decoded."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from lumos.look.clips.latent_clips import look_at_latent_clips
from lumos.look.report import LookRequest
from lumos.lumina_video.data.latents import LatentClip, VAEIdentity
from lumos.lumina_video.data.shards import LatentWriter
from lumos.lumina_video.vae import WEIGHTS
from pre_tokenize import concat_record
from tests.lumos.lumina_video.tiny import tiny_vae_folder


def identity() -> VAEIdentity:
    return VAEIdentity(channels=3, scale=0.5, spatial=8, temporal=4)


def clip_of(latent: torch.Tensor, **more: object) -> LatentClip:
    values = {"caption": "a", "lead": 0, "motion": 2.5, "fps": 8.0, "seconds": 2.0, "source": "none.mp4"}
    return LatentClip(latent=latent.bfloat16(), **{**values, **more})


def test_a_set_is_counted_decoded_and_put_beside_its_sources(encoded: Path, ckpts: Path) -> None:
    report = look_at_latent_clips(encoded, LookRequest(ckpts=ckpts))
    said = "\n".join(report.lines)
    assert said.startswith(f"{encoded}: 3 clips of latents, for Lumina-Video (no index yet")
    assert ["64x32", "12", "4x3x4x8", "0", "3"] in [line.split() for line in report.lines]
    assert "fps         4\n" in said
    assert "motion      known of 0 of 3 videos: python -m pre_tokenize.motion gives a list its scores; then" in said
    assert "VAE         lumina-tiny/vae, which made the latents" in said
    assert " dB, mean of 3 clips beside their sources" in said
    assert [[strip.label for strip in card.strips] for card in report.cards] == [["source", "decoded"]] * 3
    assert concat_record.main(["--output_dir", str(encoded)]) == 0
    finished = "\n".join(look_at_latent_clips(encoded, LookRequest(ckpts=ckpts, num=0)).lines)
    assert finished.startswith(f"{encoded}: 3 clips of latents, for Lumina-Video\n")
    assert "skipped     1 row gave no clip: missing file 1" in finished


def test_statistics_are_those_of_the_values(tmp_path: Path, ckpts: Path) -> None:
    latent = torch.stack([torch.full((2, 4, 8), value) for value in (1.0, 2.0, 3.0)])
    latent[0, 0] += torch.tensor([-1.0, 1.0]).repeat(4, 4)
    with LatentWriter(tmp_path / "set", vae=identity()) as writer:
        writer.add(clip_of(latent))
        writer.add(clip_of(latent[:, :1], motion=0.0))
    report = look_at_latent_clips(tmp_path / "set", LookRequest(ckpts=ckpts))
    said = "\n".join(report.lines)
    # channel 0 of both clips: 32 of 0, 32 of 2, 32 of 1: variance 2/3
    assert "latents     mean 2.000, deviation 0.94 (of its 3 channels 0.00 to 0.82); largest magnitude 3.0" in said
    assert "motion      2.5; known of 1 of 1 video\n" in said
    assert "the VAE that made the latents is not in" in said
    assert [line.split()[:4] for line in report.lines if "3x" in line and "x4x8" in line] == [
        ["64x32", "8", "3x2x4x8", "0"], ["64x32", "1", "3x1x4x8", "0"],
    ]  # fmt: skip


def test_a_vae_that_did_not_make_the_latents_is_refused(encoded: Path, ckpts: Path, tmp_path: Path) -> None:
    asked = LookRequest(ckpts=ckpts, model=str(ckpts / "lumina-tiny"))
    assert "as asked" in "\n".join(look_at_latent_clips(encoded, asked).lines)
    other = tiny_vae_folder(tmp_path / "other")
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**config, "scaling_factor": 0.25}))
    with pytest.raises(ValueError, match="its latents are of another VAE"):
        look_at_latent_clips(encoded, LookRequest(ckpts=ckpts, model=str(other)))
    with pytest.raises(ValueError, match="--model nothing: no VAE there; give the folder of one"):
        look_at_latent_clips(encoded, LookRequest(ckpts=ckpts, model="nothing"))


def test_the_vae_of_a_bundled_model_is_found_wherever_the_checkpoints_are(
    encoded: Path, ckpts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(ckpts, tmp_path / "code" / "ckpts")
    monkeypatch.setattr("lumos.hub.bundled.bundled", lambda: tmp_path / "code")
    (tmp_path / "mine" / "damaged").mkdir(parents=True)
    for name in ("config.json", WEIGHTS):
        (tmp_path / "mine" / "damaged" / name).write_text("{")
    said = "\n".join(look_at_latent_clips(encoded, LookRequest(ckpts=tmp_path / "mine")).lines)
    assert "VAE         lumina-tiny/vae, which made the latents" in said


def test_a_clip_of_the_release_has_no_source_to_compare(tmp_path: Path, ckpts: Path) -> None:
    with LatentWriter(tmp_path / "set", vae=identity()) as writer:
        writer.add(clip_of(torch.zeros(3, 3, 4, 8), lead=1, fps=None))
    said = "\n".join(look_at_latent_clips(tmp_path / "set", LookRequest(ckpts=ckpts)).lines)
    assert "fps         not recorded" in said
    assert "[source not compared: no record says which frames were encoded]" in said
