"""The VAE as a task: what the streams show, windows, groups that know each other, its loss and the exported folder."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers.models import AutoencoderKLCogVideoX

from lumos.lumina_video.training.parts.vae_task import VAENetworkConfig, VAETask, VAETaskConfig
from lumos.lumina_video.vae import CogVideoXVAE
from xllmx.rng import generator_for
from xllmx.task import EnteredTask, ExportingTask, TrainTask

TINY = VAETaskConfig(
    network=VAENetworkConfig(block_out_channels=(4, 6, 8, 10), norm_num_groups=2, latent_channels=5),
    num_clips=30,
    num_eval_clips=3,
    size_px=24,
    crop_px=16,
)


@pytest.fixture
def task() -> VAETask:
    return VAETask(TINY)


def fresh(task: VAETask, seed: int = 0) -> AutoencoderKLCogVideoX:
    model = task.build_model()
    task.init_weights(model, device=torch.device("cpu"), seed=seed)
    return model


def clip_of(num_frames: int, *, num_clips: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(num_frames)
    return torch.rand(num_clips, 3, num_frames, 16, 24, generator=generator) * 2 - 1


def test_it_is_a_task_of_the_engine(task: VAETask) -> None:
    assert isinstance(task, TrainTask)
    assert isinstance(task, EnteredTask)
    assert isinstance(task, ExportingTask)
    model = task.build_model()
    assert all(weight.is_meta for weight in model.parameters())
    inside = {id(weight) for unit in task.shard_units(model) for weight in unit.parameters()}
    outside = {name for name, weight in model.named_parameters() if id(weight) not in inside}
    assert {name.split(".")[1] for name in outside} == {"conv_in", "norm_out", "conv_out"}


def test_weights_follow_from_the_seed_and_residual_branches_start_at_0(task: VAETask) -> None:
    one, same, other = (fresh(task, seed) for seed in (0, 0, 1))
    assert one.encoder.conv_in.conv.weight.equal(same.encoder.conv_in.conv.weight)
    assert not one.encoder.conv_in.conv.weight.equal(other.encoder.conv_in.conv.weight)
    x = torch.randn(1, 4, 3, 7, 5)
    assert one.encoder.down_blocks[0].resnets[0](x)[0].equal(x)
    z = torch.randn(1, 5, 3, 7, 5)
    assert one.decoder.mid_block.resnets[1](h := torch.randn(1, 10, 3, 7, 5), zq=z)[0].equal(h)


def test_streams_show_a_frame_a_group_and_two_groups(task: VAETask) -> None:
    train, held_out = task.build_dataset("train"), task.build_dataset("eval")
    assert {name: data[0].shape for name, data in train.items()} == {
        "images": (3, 1, 24, 24),
        "clips": (3, 8, 24, 24),
        "chained": (3, 16, 24, 24),
    }
    assert list(held_out) == ["chained"]
    assert [len(train["clips"]), len(held_out["chained"])] == [30, 3]
    assert train["clips"][4].equal(task.build_dataset("train")["clips"][4])
    assert not any(train["chained"][i].equal(held_out["chained"][j]) for i in range(5) for j in range(3))


def test_windows_are_parts_of_the_clips_and_whole_pictures_are_chained(task: VAETask) -> None:
    clips = task.build_dataset("train")["clips"]
    prepared = task.prepare(task.collate([clips[0], clips[1]]), generator_for(0))
    assert prepared.inputs["pixels"].shape == (2, 3, 8, 16, 16)
    assert prepared.inputs["noise"].shape == (2, 5, 2, 2, 2)
    assert prepared.num_targets == prepared.targets.numel()
    pixels = ((prepared.targets[0] + 1) * 127.5).round()
    patches = clips[0].float().unfold(2, 16, 1).unfold(3, 16, 1).permute(2, 3, 0, 1, 4, 5)
    assert (patches == pixels).flatten(2).all(-1).any()
    again = task.prepare(task.collate([clips[0], clips[2]]), generator_for(0))
    assert again.targets[0].equal(prepared.targets[0])
    assert again.inputs["noise"][0].equal(prepared.inputs["noise"][0])
    whole = task.prepare(task.build_dataset("eval")["chained"][0][None], generator_for(0))
    assert whole.targets.shape == (1, 3, 16, 24, 24)
    assert whole.inputs["noise"].shape == (1, 5, 4, 3, 3)


def test_a_second_group_knows_the_first(task: VAETask) -> None:
    """Groups are of 8 frames, as diffusers' encoder called on one after the other with its cache makes them."""
    model, clip = fresh(task).eval(), clip_of(16)
    latents = model.encode(clip).latent_dist.mode()
    first, cache = model.encoder(clip[:, :, :8])
    second, _ = model.encoder(clip[:, :, 8:], conv_cache=cache)
    alone, _ = model.encoder(clip[:, :, 8:])
    torch.testing.assert_close(latents, torch.cat([first, second], dim=2)[:, :5])
    assert not torch.allclose(second, alone, atol=1e-3)


def test_loss_is_the_weighted_error_of_the_pixels_and_noise_is_for_training(task: VAETask) -> None:
    model = fresh(task)
    prepared = task.prepare(task.build_dataset("train")["clips"][3][None], generator_for(0))
    loud = replace(prepared, inputs={**prepared.inputs, "noise": 9 * torch.ones_like(prepared.inputs["noise"])})
    calm = task.loss(model.eval(), prepared)
    assert task.loss(model, loud).sum.equal(calm.sum)
    assert not task.loss(model.train(), loud).sum.equal(calm.sum)
    pixels = model.eval().decode(model.encode(prepared.targets).latent_dist.mode()).sample
    error = (pixels - prepared.targets).detach()
    torch.testing.assert_close(calm.sum.detach(), error.square().sum() + error.abs().sum())
    assert calm.count == error.numel()
    psnr, count = calm.metrics["psnr_db"]
    mse = ((pixels.clamp(-1, 1) - prepared.targets) / 2).square().mean()
    assert float(psnr) / float(count) == pytest.approx(float(-10 * mse.log10().detach()), abs=1e-4)


def test_the_exported_folder_is_the_network_in_its_groups_with_latents_of_unit_deviation(
    task: VAETask, tmp_path: Path
) -> None:
    model = fresh(task).eval()
    task.export(model, tmp_path)
    vae = CogVideoXVAE.from_pretrained(tmp_path)
    assert vae.model.num_sample_frames_batch_size == 8
    clips = task.build_dataset("train")["chained"]
    pixels = torch.stack([clips[index] for index in range(6)]).float() / 127.5 - 1
    latents = vae.encode(pixels)
    torch.testing.assert_close(latents, vae.scale * model.encode(pixels).latent_dist.mode())
    torch.testing.assert_close(vae.decode(latents, 16), model.decode(latents / vae.scale).sample)
    centred = latents - latents.mean(dim=(0, 2, 3, 4), keepdim=True)
    assert centred.square().mean().sqrt().item() == pytest.approx(1, abs=0.15)


def test_a_frozen_encoder_gets_no_gradient_and_the_decoder_does(task: VAETask) -> None:
    frozen = VAETask(replace(TINY, freeze_encoder=True))
    model = fresh(frozen)
    prepared = frozen.prepare(frozen.build_dataset("train")["clips"][3][None], generator_for(0))
    frozen.loss(model.train(), prepared).sum.backward()
    assert {weight.grad for weight in model.encoder.parameters()} == {None}
    assert model.decoder.conv_in.conv.weight.grad.abs().sum() > 0
    assert fresh(task).encoder.conv_in.conv.weight.requires_grad


def test_the_exported_folder_is_diffusers_own(task: VAETask, tmp_path: Path) -> None:
    model = fresh(task)
    VAETask(TINY, export_dtype=torch.bfloat16).export(model, tmp_path)
    theirs = AutoencoderKLCogVideoX.from_pretrained(tmp_path)
    assert (
        theirs.num_sample_frames_batch_size == json.loads((tmp_path / "config.json").read_text())["_frames_per_group"]
    )
    weight = model.decoder.conv_in.conv.weight
    assert theirs.decoder.conv_in.conv.weight.equal(weight.bfloat16())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"size_px": 60}, r"task\.size_px is 60; it must be a multiple of 8"),
        ({"crop_px": 12}, r"task\.crop_px is 12; it must be a multiple of 8"),
        ({"crop_px": 72}, r"task\.crop_px is 72; it must lie between 0 and size_px=64"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(wrong: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        VAETaskConfig(**wrong)


def test_weights_to_start_from_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"init_from=.*none does not exist; give the network\.safetensors"):
        fresh(VAETask(replace(TINY, init_from=tmp_path / "none")))
