"""The VAE: which clips and numbers of frames it takes, its groups, its scale, and what it refuses."""

import json
from collections.abc import Callable
from pathlib import Path
from shutil import copytree

import pytest
import torch

from lumos.lumina_video.encoding.protocols import VideoVAE
from lumos.lumina_video.vae import GROUP_KEY, CogVideoXVAE
from tests.lumos.lumina_video.tiny import LATENT_CHANNELS, tiny_vae_folder

DECODED = {1: 1, 2: 8, 3: 9, 4: 16, 5: 17, 8: 32, 13: 49, 16: 64, 24: 96, 25: 97}
"""Latents -> frames that the library makes of them."""

ENCODED = {
    1: 1,
    4: 1,
    5: 2,
    7: 2,
    8: 2,
    9: 3,
    12: 3,
    13: 4,
    16: 4,
    17: 5,
    20: 5,
    24: 6,
    25: 7,
    32: 8,
    33: 9,
    36: 9,
    41: 11,
}
"""Frames -> latents that the library makes of them, in groups of 8 frames."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_vae_folder(tmp_path_factory.mktemp("vae"))


@pytest.fixture
def vae(folder: Path) -> CogVideoXVAE:
    return CogVideoXVAE.from_pretrained(folder)


def latents_of(num_latents: int, *, height: int = 2, width: int = 3, num_clips: int = 1) -> torch.Tensor:
    return torch.randn(num_clips, LATENT_CHANNELS, num_latents, height, width)


def clip_of(num_frames: int, *, height: int = 16, width: int = 24, num_clips: int = 1) -> torch.Tensor:
    return torch.rand(num_clips, 3, num_frames, height, width) * 2 - 1


# --- frames and latents -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("num_latents", DECODED)
def test_n_latents_decode_to_4n_frames_whatever_the_library_makes_of_them(vae: CogVideoXVAE, num_latents: int) -> None:
    latents = latents_of(num_latents)
    with torch.no_grad():
        assert vae.model.decode(latents).sample.shape[2] == DECODED[num_latents]
    assert vae.decode(latents, 4 * num_latents).shape == (1, 3, 4 * num_latents, 16, 24)


@pytest.mark.parametrize("num_frames", ENCODED)
def test_clips_of_4m_frames_are_m_latents_and_others_are_refused(folder: Path, num_frames: int) -> None:
    vae = CogVideoXVAE.from_pretrained(folder, frames_per_group=8)
    clip = clip_of(num_frames)
    with torch.no_grad():
        assert vae.model.encode(clip).latent_dist.mode().shape[2] == ENCODED[num_frames]
    if num_frames % 4 == 0 or num_frames == 1:
        latents = vae.encode(clip)
        assert latents.shape == (1, LATENT_CHANNELS, max(num_frames // 4, 1), 2, 3)
    else:
        below = num_frames // 4 * 4
        with pytest.raises(ValueError, match=f"{num_frames} frames.* cut it to {below} or {below + 4}"):
            vae.encode(clip)


@pytest.mark.parametrize("num_frames", [2, 3])
def test_the_shortest_clips_are_one_frame_or_four(vae: CogVideoXVAE, num_frames: int) -> None:
    with pytest.raises(ValueError, match="cut it to 1 or 4"):
        vae.encode(clip_of(num_frames))


def test_an_odd_number_of_latents_is_decoded_with_its_last_one_repeated(vae: CogVideoXVAE) -> None:
    latents = latents_of(5)
    repeated = torch.cat([latents, latents[:, :, -1:]], dim=2)
    assert torch.equal(vae.decode(latents, 20), vae.decode(repeated, 24)[:, :, :20])


def test_what_is_appended_touches_only_the_last_frames(vae: CogVideoXVAE) -> None:
    latents = latents_of(5)
    other = torch.cat([latents, latents_of(1)], dim=2)
    ours, theirs = vae.decode(latents, 20), vae.decode(other, 24)
    assert torch.equal(ours[:, :, :16], theirs[:, :, :16])
    assert not torch.equal(ours[:, :, 16:], theirs[:, :, 16:20])


def test_an_image_is_one_latent_of_one_frame(vae: CogVideoXVAE) -> None:
    latents = vae.encode(clip_of(1, num_clips=2))
    assert latents.shape == (2, LATENT_CHANNELS, 1, 2, 3)
    assert vae.decode(latents, 1).shape == (2, 3, 1, 16, 24)


# --- groups, scale, batches, tiles ------------------------------------------------------------------------------------


def test_clips_are_encoded_in_the_groups_of_the_released_weights(vae: CogVideoXVAE, folder: Path) -> None:
    clip, cache, groups = clip_of(64), None, []
    with torch.no_grad():
        for group in clip.split(32, dim=2):
            moments, cache = vae.model.encoder(group, conv_cache=cache)
            groups.append(moments[:, :LATENT_CHANNELS])
    by_groups = torch.cat(groups, dim=2) * vae.scale
    torch.testing.assert_close(vae.encode(clip), by_groups)
    short = CogVideoXVAE.from_pretrained(folder, frames_per_group=8).encode(clip)
    assert (short - by_groups).norm() > 0.01 * by_groups.norm()


def test_latents_are_scaled_and_scaled_back(vae: CogVideoXVAE) -> None:
    clip = clip_of(8)
    with torch.no_grad():
        mode = vae.model.encode(clip).latent_dist.mode()
        frames = vae.model.decode(mode).sample
    latents = vae.encode(clip)
    torch.testing.assert_close(latents, mode * 1.15258426)
    torch.testing.assert_close(vae.decode(latents, 8), frames)


def test_the_scale_is_that_of_its_config(folder: Path, tmp_path: Path) -> None:
    other = copytree(folder, tmp_path / "other")
    edit_json(other / "config.json", scaling_factor=0.5)
    clip = clip_of(4)
    half, usual = CogVideoXVAE.from_pretrained(other), CogVideoXVAE.from_pretrained(folder)
    assert (half.scale, usual.scale) == (0.5, 1.15258426)
    torch.testing.assert_close(half.encode(clip) / 0.5, usual.encode(clip) / 1.15258426)


def test_a_batch_goes_through_one_clip_at_a_time(vae: CogVideoXVAE, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    for half in (vae.model.encoder, vae.model.decoder):
        half.register_forward_pre_hook(lambda _, given: sizes.append(given[0].shape[0]))
    clips = clip_of(8, num_clips=3)
    latents = vae.encode(clips)
    frames = vae.decode(latents, 8)
    assert set(sizes) == {1}
    assert torch.equal(latents[1:2], vae.encode(clips[1:2]))
    assert torch.equal(frames[1:2], vae.decode(latents[1:2], 8))


def test_clips_may_be_encoded_together(vae: CogVideoXVAE, monkeypatch: pytest.MonkeyPatch) -> None:
    clips, sizes = clip_of(8, num_clips=5), []
    alone = vae.encode(clips)
    vae.model.encoder.register_forward_pre_hook(lambda _, given: sizes.append(given[0].shape[0]))
    monkeypatch.setattr(vae, "clips_at_once", 3)
    torch.testing.assert_close(vae.encode(clips), alone)
    assert sizes == [3, 2]


def test_tiles_are_used_for_large_pictures_only(folder: Path, vae: CogVideoXVAE) -> None:
    tiled = CogVideoXVAE.from_pretrained(folder, tiled=True)  # tiles of 6 x 5 latents
    small, large = latents_of(2, height=6, width=5), latents_of(2, height=7, width=9)
    assert torch.equal(tiled.decode(small, 8), vae.decode(small, 8))
    whole, in_tiles = vae.decode(large, 8), tiled.decode(large, 8)
    assert in_tiles.shape == whole.shape == (1, 3, 8, 56, 72)
    assert not torch.allclose(in_tiles, whole, atol=1e-3)
    clip = clip_of(4, height=56, width=72)
    assert tiled.encode(clip).shape == vae.encode(clip).shape
    assert not torch.allclose(tiled.encode(clip), vae.encode(clip), atol=1e-3)


def test_tiles_that_would_not_fit_together_are_refused(folder: Path, tmp_path: Path) -> None:
    """The library rounds their steps in latents and in pixels apart, and the picture comes out wider than it is."""
    other = copytree(folder, tmp_path / "other")
    edit_json(other / "config.json", sample_width=64)
    assert not CogVideoXVAE.from_pretrained(other).model.use_tiling
    with pytest.raises(ValueError, match=r"tiles of 32x48 px.* multiples of 40 and 48.*tiled=False"):
        CogVideoXVAE.from_pretrained(other, tiled=True)


def test_frames_are_fp32_and_latents_in_the_dtype_of_the_vae(folder: Path, vae: CogVideoXVAE) -> None:
    half = CogVideoXVAE.from_pretrained(folder, dtype=torch.bfloat16)
    clip = clip_of(4)
    latents = half.encode(clip)
    assert latents.dtype == torch.bfloat16
    torch.testing.assert_close(latents.float(), vae.encode(clip), atol=0.1, rtol=0.1)
    assert half.decode(latents, 4).dtype == torch.float32


def test_it_is_a_video_vae(vae: CogVideoXVAE) -> None:
    assert isinstance(vae, VideoVAE)
    assert (vae.spatial, vae.temporal, vae.channels) == (8, 4, LATENT_CHANNELS)


# --- what is refused --------------------------------------------------------------------------------------------------


def test_pictures_of_broken_latents_are_refused(vae: CogVideoXVAE) -> None:
    with pytest.raises(ValueError, match="20x16 px: both sides must be multiples of 8"):
        vae.encode(clip_of(4, width=20))


@pytest.mark.parametrize("num_frames", [1, 11, 13, 16])
def test_other_numbers_of_frames_than_the_latents_hold_are_refused(vae: CogVideoXVAE, num_frames: int) -> None:
    with pytest.raises(ValueError, match=f"3 latent frames are 12 frames, asked for {num_frames}; ask for 12"):
        vae.decode(latents_of(3), num_frames)


def test_latents_of_another_vae_are_refused(vae: CogVideoXVAE) -> None:
    with pytest.raises(ValueError, match=f"5 channels: this VAE has {LATENT_CHANNELS}"):
        vae.decode(torch.randn(1, 5, 2, 2, 3), 8)


def test_weights_of_ones_own_say_how_long_their_groups_are(folder: Path, tmp_path: Path) -> None:
    copytree(folder, tmp_path, dirs_exist_ok=True)
    config = json.loads((tmp_path / "config.json").read_text())
    for said, asked, groups in [(None, None, 32), (8, None, 8), (8, 16, 16)]:
        (tmp_path / "config.json").write_text(json.dumps(config | ({} if said is None else {GROUP_KEY: said})))
        vae = CogVideoXVAE.from_pretrained(tmp_path, frames_per_group=asked)
        assert vae.model.num_sample_frames_batch_size == groups
    (tmp_path / "config.json").write_text(json.dumps(config | {GROUP_KEY: "eight"}))
    with pytest.raises(ValueError, match=r"frames_per_group=eight must be a multiple of 4"):
        CogVideoXVAE.from_pretrained(tmp_path)


@pytest.mark.parametrize("frames_per_group", [0, 6])
def test_groups_hold_whole_latents(folder: Path, frames_per_group: int) -> None:
    with pytest.raises(ValueError, match=f"frames_per_group={frames_per_group} must be a multiple of 4; use 32"):
        CogVideoXVAE.from_pretrained(folder, frames_per_group=frames_per_group)


def test_numbers_that_are_not_finite_are_refused(vae: CogVideoXVAE) -> None:
    latents = latents_of(2)
    latents[0, 1, 1, 0, 2] = torch.inf
    with pytest.raises(ValueError, match=r"pixels of the decoder are not finite .*float32.*; run it in float32"):
        vae.decode(latents, 8)
    clip = clip_of(4)
    clip[0, 2, 1, 5, 7] = torch.nan
    with pytest.raises(ValueError, match="latents of the encoder are not finite"):
        vae.encode(clip)


def edit_json(file: Path, **fields: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


WEIGHTS = "diffusion_pytorch_model.safetensors"
FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no config": (lambda f: (f / "config.json").unlink(), "no config.json; run: lumos download THUDM/CogVideoX-2b/vae"),
    "other VAE": (
        lambda f: edit_json(f / "config.json", _class_name="AutoencoderKL"),
        "class 'AutoencoderKL', the VAE",
    ),
    "no weights": (lambda f: (f / WEIGHTS).unlink(), "is missing; copy or download it again"),
    "cut short": (lambda f: (f / WEIGHTS).write_bytes((f / WEIGHTS).read_bytes()[:-8]), "download or copy it again"),
    "other width": (lambda f: edit_json(f / "config.json", latent_channels=6), "of another shape: .*where the config"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_folder_that_cannot_be_used_is_explained_in_one_line(folder: Path, tmp_path: Path, fault: str) -> None:
    broken = copytree(folder, tmp_path / "broken")
    spoil, message = FAULTS[fault]
    spoil(broken)
    with pytest.raises(ValueError, match=message) as caught:
        CogVideoXVAE.from_pretrained(broken)
    assert "\n" not in str(caught.value)
    assert str(broken) in str(caught.value)
