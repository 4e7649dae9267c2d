"""Latents on disk: what is written is read, of one VAE and finite, and any clip may be asked for."""

import json
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lumos.lumina_video.data.latent_set import LatentSet
from lumos.lumina_video.data.latents import LatentClip, VAEIdentity
from lumos.lumina_video.data.shards import LatentShards, LatentWriter, shard_vae, write_latent_shard
from lumos.lumina_video.training.items.one_vae import OneVAE

VAE = VAEIdentity(channels=3, scale=0.7, spatial=8, temporal=4, sha256="a1")


def make_latent_clip(number: int, shape: tuple[int, int, int, int] = (3, 2, 4, 5), *, lead: int = 0) -> LatentClip:
    generator = torch.Generator().manual_seed(number)
    return LatentClip(
        caption=f"clip {number}, naïve",
        latent=torch.randn(shape, generator=generator).bfloat16(),
        lead=lead,
        motion=-1.0 if number % 2 else 0.5 * number,
        fps=None if number % 3 == 2 else 8.0,
        seconds=1.0 + number,
        source=f"{number}.mp4",
    )


def assert_same(one: LatentClip, other: LatentClip) -> None:
    assert one.latent.equal(other.latent)
    assert one.latent.dtype is torch.bfloat16
    for name in ("caption", "lead", "motion", "fps", "seconds", "source"):
        assert getattr(one, name) == getattr(other, name)


def test_clips_come_back_bit_for_bit(tmp_path: Path) -> None:
    clips = [make_latent_clip(0), make_latent_clip(1, (3, 5, 2, 7), lead=1), make_latent_clip(2, (3, 1, 6, 4))]
    with LatentWriter(tmp_path, vae=VAE, shard_size=2) as writer:
        for clip in clips:
            writer.add(clip)
    shards = LatentShards(sorted(tmp_path.glob("*.parquet")))
    for number in (2, 0, 1, -1):
        assert_same(shards[number], clips[number])
    assert shards.shapes.tolist() == [[3, 2, 4, 5, 0], [3, 5, 2, 7, 1], [3, 1, 6, 4, 0]]
    assert shards.lengths.tolist() == [40, 56, 24]
    assert shards.motion.tolist() == [0, -1, 1]
    assert shards.vae == VAE
    assert json.loads((tmp_path / "index.json").read_text())["vae"] == vars(VAE)


def test_shards_travel_to_workers(tmp_path: Path) -> None:
    write_latent_shard(tmp_path / "a.parquet", [make_latent_clip(0)], vae=VAE)
    shards = LatentShards([tmp_path / "a.parquet"])
    assert_same(pickle.loads(pickle.dumps(shards))[0], shards[0])


def test_a_shard_may_be_empty(tmp_path: Path) -> None:
    write_latent_shard(tmp_path / "a.parquet", [], vae=VAE)
    assert len(LatentShards([tmp_path / "a.parquet"])) == 0
    assert shard_vae(tmp_path / "a.parquet") == VAE


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_latent_that_is_not_finite_is_neither_written_nor_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bad: float
) -> None:
    clip = make_latent_clip(0)
    clip.latent[2, 1, 3, 4] = bad
    with pytest.raises(ValueError, match=r"0\.mp4: its latent is not finite"):
        write_latent_shard(tmp_path / "a.parquet", [clip], vae=VAE)
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr("lumos.lumina_video.data.shards.check_finite", lambda latent: None)
    write_latent_shard(tmp_path / "a.parquet", [clip], vae=VAE)
    monkeypatch.undo()
    with pytest.raises(ValueError, match=r"a\.parquet: not a readable shard of latents"):
        LatentShards([tmp_path / "a.parquet"])[0]


def test_latents_of_other_channels_than_the_vae_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"0\.mp4: its latents are of another VAE \(channels of a latent 4, not 3\)"):
        write_latent_shard(tmp_path / "a.parquet", [make_latent_clip(0, (4, 2, 2, 2))], vae=VAE)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"channels": 4}, "channels of a latent 4, not 3"),
        ({"scale": 1.15}, "scale of the latents 1.15, not 0.7"),
        ({"spatial": 16}, "pixels per latent 16, not 8"),
        ({"temporal": 2}, "frames per latent 2, not 4"),
        ({"sha256": "b2"}, "other weights"),
    ],
)
def test_shards_of_two_vaes_do_not_mix(tmp_path: Path, other: dict, said: str) -> None:
    write_latent_shard(tmp_path / "a.parquet", [], vae=VAE)
    write_latent_shard(tmp_path / "b.parquet", [], vae=VAEIdentity(**{**vars(VAE), **other}))
    with pytest.raises(ValueError, match=rf"b\.parquet: its latents are of another VAE \({said}\)"):
        LatentShards([tmp_path / "a.parquet", tmp_path / "b.parquet"])


def test_weights_that_are_not_known_are_not_compared_and_hide_none_that_are() -> None:
    unknown = VAEIdentity(**{**vars(VAE), "sha256": ""})
    assert VAE.require(unknown, said_by="a") == unknown.require(VAE, said_by="a") == VAE


def test_the_first_weights_that_are_known_count_for_those_behind(tmp_path: Path) -> None:
    for name, sha256 in (("a", ""), ("b", "b2"), ("c", "c3")):
        write_latent_shard(tmp_path / name / "a.parquet", [], vae=VAEIdentity(**{**vars(VAE), "sha256": sha256}))
    files = [tmp_path / name / "a.parquet" for name in "abc"]
    (tmp_path / "all.yaml").write_text("META: [{path: a}, {path: b}, {path: c}]")
    one = OneVAE(None)
    one.require(LatentShards(files[:1]).vae, said_by="a")
    one.require(LatentShards(files[:2]).vae, said_by="b")
    for opened in (
        lambda: LatentShards(files),
        lambda: LatentSet(tmp_path / "all.yaml"),
        lambda: one.require(LatentShards(files[2:]).vae, said_by="c"),
    ):
        with pytest.raises(ValueError, match=r"c.*its latents are of another VAE \(other weights\)"):
            opened()
    assert VAEIdentity.from_dict(vars(VAE)) == VAE


@pytest.mark.parametrize("values", [None, {}, {**vars(VAE), "scale": "1"}, {**vars(VAE), "more": 1}])
def test_what_names_no_vae_is_refused(values: object) -> None:
    with pytest.raises(ValueError, match="does not say which VAE"):
        VAEIdentity.from_dict(values)


@pytest.mark.parametrize(("name", "value"), [("spatial", 0), ("temporal", -4), ("channels", 0), ("scale", 0.0)])
def test_a_vae_that_there_cannot_be_is_refused(name: str, value: float, tmp_path: Path) -> None:
    write_latent_shard(tmp_path / "a.parquet", [], vae=replace(VAE, **{name: value}))
    with pytest.raises(ValueError, match=f"a VAE made the latents which there cannot be .*'{name}': {value}"):
        shard_vae(tmp_path / "a.parquet")
