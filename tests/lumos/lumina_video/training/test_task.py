"""Training of Lumina-Video: losses as released, what is drawn, streams of one step, and what is refused."""

import json
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lumos.hub.hashes import sha256_of
from lumos.lumina_video.checkpoint.weights import load_dit, save_dit
from lumos.lumina_video.config import LuminaVideoConfig
from lumos.lumina_video.data.latents import VAEIdentity
from lumos.lumina_video.dit import MultiScaleNextDiT
from lumos.lumina_video.encoding.protocols import SYSTEM_PROMPT
from lumos.lumina_video.scale import Scale
from lumos.lumina_video.training.items.prepared_batch import prepare_items
from lumos.lumina_video.training.items.samples import Item, Sample, cut_latent, draw_item
from lumos.lumina_video.training.loss import interpolate
from lumos.lumina_video.training.model_settings import with_parts
from lumos.lumina_video.training.task import LuminaVideoTask, LuminaVideoTaskConfig, ScaleTask
from lumos.lumina_video.vae import WEIGHTS, CogVideoXVAE
from tests.lumos.lumina_video.latents import latent_clip, task_config, write_latents
from tests.lumos.lumina_video.tiny import CONFIG, tiny_dit, tiny_lumina_folder, tiny_vae_folder
from xllmx.data.broken import BrokenSampleError

Noise = Callable[[str, Sequence[int]], Tensor]


def cases(golden_dir: Path, kind: str) -> list[dict[str, Any]]:
    return json.loads((golden_dir / kind).read_text())["dit"]


GOLDEN = json.loads((Path(__file__).parents[3] / "golden/lumina/loss.json").read_text())["dit"]


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: case["name"])
def test_losses_and_gradients_are_the_released_ones(
    tmp_path: Path, golden_dit: Callable[[str], nn.Module], lumina_noise: Noise, case: dict[str, Any]
) -> None:
    """The whole path from drawn items on; a step's gradient is that of the sum over items / their number."""
    model = golden_dit(case["config"])
    assert isinstance(model, MultiScaleNextDiT)
    tag, scale, channels = case["tag"], Scale.parse(case["scale"]), model.config.in_channels
    media = "image" if case["image"] else "video"
    settings = {"data": "x", "media_type": media, "f_patch_size": scale.frames, "patch_size": scale.pixels}
    items = []
    for index, (size, t, motion) in enumerate(zip(case["sizes"], case["t"], case["motion"], strict=True)):
        latents = lumina_noise(f"{tag}/x1_{index}", (channels, *size))
        if case["repeated_to"]:
            latents = latents.expand(-1, case["repeated_to"], -1, -1)
        noise, time = lumina_noise(f"{tag}/x0_{index}", latents.shape), torch.tensor(t)
        noisy = interpolate(noise, latents, t=time)
        items.append(Item(caption="", motion=motion, latents=latents, noise=noise, noisy=noisy, time=time))
    num, padded = len(items), case["text_padded_to"]
    text = lumina_noise(f"{tag}/text", (num, padded, model.config.cap_feat_dim))
    mask = torch.arange(padded) < torch.tensor(case["text_lengths"])[:, None]
    prepared = prepare_items(items, ScaleTask(**settings), text=text, text_mask=mask, model=model.config)
    task = LuminaVideoTask(task_config(tmp_path, cosine_weight=case["vd_weight"]))
    model.zero_grad()
    output = task.loss(model, prepared)
    assert output.count == num
    (output.sum / num).backward()
    assert float(output.sum.detach()) / num == pytest.approx(case["batch_loss"], abs=1e-5)
    for name in ("mse", "cosine"):
        total, count = output.metrics[name]
        wanted = sum(case["cosine_term" if name == "cosine" else name]) / num
        assert float(total) / float(count) == pytest.approx(wanted, abs=1e-5)
    norms = {name: float(p.grad.norm()) for name, p in model.named_parameters() if p.grad is not None}
    assert norms == pytest.approx(case["grad_norms"], rel=1e-4, abs=1e-6)
    model.zero_grad()


ITEMS = json.loads((Path(__file__).parents[3] / "golden/lumina/data.json").read_text())["items"]


@pytest.mark.parametrize("case", ITEMS, ids=lambda case: f"{case['tag']}-{case['seed']}")
def test_windows_and_cuts_are_the_released_ones(lumina_noise: Noise, case: dict[str, Any]) -> None:
    whole = lumina_noise(case["tag"], case["latent"]).bfloat16()
    kept = whole[:, 1:]  # of the released cache the first latent is left out
    task = ScaleTask(data="x", max_frames=case["max_frames"])
    places = max(kept.shape[1] - case["max_frames"] // 4, 0) + 1
    cut = cut_latent(kept, task, draw=(case["first_frame"] - 1 + 0.5) / places)
    assert list(cut.shape) == case["shape"]
    assert float(cut.float().sum()) == pytest.approx(case["sum"], abs=1e-3)


def test_draws_are_those_of_their_order(tmp_path: Path) -> None:
    """Text, motion, window; then the noise, then the time."""
    config = task_config(tmp_path)
    task = replace(config.tasks["fine"], snr_type="uniform", time_shift=None, max_frames=8)
    clip = latent_clip(3)
    item = draw_item(
        Sample(task=task, caption="a", latent=clip.latent, motion=3.0),
        config,
        generator=torch.Generator().manual_seed(5),
    )
    again = torch.Generator().manual_seed(5)
    text, motion = torch.rand(2, generator=again).tolist()
    window = int(torch.rand((), generator=again) * 3)
    noise = torch.randn(4, 2, 8, 12, generator=again)
    time = torch.rand(1, generator=again)[0].bfloat16().float()
    assert item.caption == ("" if text >= 0.8 else "a")
    assert item.motion == (-1.0 if motion < 0.3 else 3.0)
    assert torch.equal(item.latents, clip.latent[:, window : window + 2].float())
    assert torch.equal(item.noise, noise)
    assert item.time == time
    torch.testing.assert_close(item.noisy, time * item.latents + (1 - time) * noise)


def test_text_and_motion_are_dropped_as_often_as_they_should(tmp_path: Path) -> None:
    config = task_config(tmp_path)
    video = Sample(task=config.tasks["fine"], caption="a", latent=latent_clip(0).latent, motion=2.0)
    image = replace(video, task=config.tasks["images"], latent=latent_clip(0, shape=(1, 8, 12)).latent, motion=0.0)
    generator = torch.Generator().manual_seed(0)
    items = [draw_item(video, config, generator=generator) for _ in range(1500)]
    images = [draw_item(image, config, generator=generator) for _ in range(1500)]
    assert np.mean([item.caption == "" for item in items]) == pytest.approx(0.2, abs=0.03)
    assert np.mean([item.motion == -1 for item in items]) == pytest.approx(0.3, abs=0.04)
    assert np.mean([item.motion == 0 for item in images]) == pytest.approx(0.4, abs=0.04)
    assert {item.motion for item in images} == {0.0, -1.0}
    held_out = [draw_item(replace(video, held_out=True), config, generator=generator) for _ in range(50)]
    assert {(item.caption, item.motion) for item in held_out} == {("a", 2.0)}


def test_an_image_at_a_patch_of_two_frames_has_noise_of_its_own_in_each(tmp_path: Path) -> None:
    config = task_config(tmp_path)
    image = Sample(task=config.tasks["images"], caption="a", latent=latent_clip(0, shape=(1, 8, 12)).latent, motion=0.0)
    item = draw_item(image, config, generator=torch.Generator().manual_seed(0))
    assert item.latents.shape == (4, 2, 8, 12)
    assert torch.equal(item.latents[:, 0], item.latents[:, 1])
    assert not torch.equal(item.noise[:, 0], item.noise[:, 1])


def test_streams_leave_out_what_no_scale_divides(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    task = LuminaVideoTask(task_config(tmp_path))
    with caplog.at_level(logging.WARNING):
        streams = task.build_dataset("train")
    assert {name: len(stream) for name, stream in streams.items()} == {
        "images": 14, "fine": 30, "middle": 30, "coarse": 30,
    }  # fmt: skip
    assert set(streams["middle"].bucket_keys) == {(2, 8, 12)}  # of a window of 3 frames
    assert streams["coarse"].lengths[0] == 2 * 8 * 12 // 32
    assert task.build_dataset("eval") == {}
    mixed = tmp_path / "mixed"
    with pytest.raises(
        ValueError, match=r"task\.tasks\.fine: media_type is video, and none of the 14 latents of .* is one; correct"
    ):
        LuminaVideoTask(replaced(tmp_path, "fine", data=str(tmp_path / "images"))).build_dataset("train")
    write_latents(mixed, num=4, shape=(1, 8, 12))
    with pytest.raises(ValueError, match="holds no latents"):
        LuminaVideoTask(replaced(tmp_path, "fine", data=str(tmp_path))).build_dataset("train")


def replaced(folder: Path, name: str, **fields: Any) -> Any:
    config = task_config(folder)
    return replace(config, tasks={**config.tasks, name: replace(config.tasks[name], **fields)})


def test_bad_settings_and_data_are_named(tmp_path: Path) -> None:
    for fields, message in (
        ({"data": ""}, r"task\.tasks\.fine names no data"),
        ({"patch_size": 8}, r"scale is 1x8.*choose of 1x2, 2x2, 2x4"),
    ):
        with pytest.raises(ValueError, match=message):
            LuminaVideoTask(replaced(tmp_path, "fine", **fields))
    for fields, message in (
        ({"max_frames": 3}, "divides none of the 30 video latents"),
        ({"media_type": "image"}, "media_type is image, and none of the 30 latents of .* is one; correct task"),
        ({"image_size": 64}, r"a clip has 96x64 px, more than the square of image_size=64"),
        ({"data": str(tmp_path / "nothing")}, "no such file or folder"),
    ):
        with pytest.raises(ValueError, match=message):
            LuminaVideoTask(replaced(tmp_path, "fine", **fields)).build_dataset("train")
    stream = LuminaVideoTask(replaced(tmp_path, "fine", target_fps=12.0)).build_dataset("train")["fine"]
    with pytest.raises(
        BrokenSampleError, match=r"encoded at 8 .*, target_fps is 12; correct task\.tasks\.fine\.target_fps"
    ):
        stream[0]
    with pytest.raises(ValueError, match="tasks is empty"):
        LuminaVideoTask(task_config(tmp_path, tasks={}))
    with pytest.raises(ValueError, match="features of width 24, the model takes cap_feat_dim=40"):
        LuminaVideoTask(task_config(tmp_path, model={**CONFIG.to_dict(), "cap_feat_dim": 40}))
    for field, value in (
        ("sp_size", 2),
        ("micro_bsz", 0),
        ("image_size", 31),
        ("snr_type", "cosine"),
        ("time_shift", -1.0),
    ):
        with pytest.raises(ValueError, match=field.replace("time_", "")):
            ScaleTask(data="x", **{field: value})


def test_held_out_tasks_are_looked_at_beside_those_of_the_same_name(tmp_path: Path) -> None:
    config = task_config(tmp_path)
    fine = config.tasks["fine"]
    for tasks, held_out, message in (
        (fine, replace(fine, data=""), r"task\.eval_tasks\.fine names no data; .* task\.eval_tasks\.fine\.data="),
        (replace(fine, data=""), fine, r"task\.tasks\.fine names no data; .* task\.tasks\.fine\.data="),
        (fine, replace(fine, patch_size=8), "scale is 1x8"),
        (replace(fine, patch_size=8), fine, "scale is 1x8"),
    ):
        with pytest.raises(ValueError, match=message):
            LuminaVideoTask(replace(config, tasks={"fine": tasks}, eval_tasks={"fine": held_out}))


def test_latents_of_another_vae_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="its latents have 4 channels, the model in_channels=6"):
        LuminaVideoTask(task_config(tmp_path, model={**CONFIG.to_dict(), "in_channels": 6})).build_dataset("train")
    from tests.lumos.lumina_video.latents import VAE

    write_latents(tmp_path / "scaled", vae=replace(VAE, scale=0.7))
    with pytest.raises(ValueError, match=r"of another VAE \(scale of the latents 0.7, not 1"):
        LuminaVideoTask(replaced(tmp_path, "middle", data=str(tmp_path / "scaled"))).build_dataset("train")
    vae = tiny_vae_folder(tmp_path / "vae")
    ours = VAEIdentity.of(CogVideoXVAE.without_weights(vae), sha256=sha256_of(vae / WEIGHTS))
    for name, identity in (("ours", ours), ("other", replace(ours, sha256="b2"))):
        config = replaced(tmp_path, "fine", data=str(write_latents(tmp_path / name, vae=identity)))
        task = LuminaVideoTask(replace(config, tasks={"fine": config.tasks["fine"]}, vae=str(vae)))
        if name == "ours":
            assert len(task.build_dataset("train")["fine"]) == 30
            continue
        with pytest.raises(ValueError, match=r"other: its latents are of another VAE \(other weights\)"):
            task.build_dataset("train")


def started(folder: Path, **settings: Any) -> MultiScaleNextDiT:
    task = LuminaVideoTask(task_config(folder, **settings))
    model = task.build_model()
    task.init_weights(model, device=torch.device("cpu"), seed=3)
    return model


def test_a_fresh_model_predicts_nothing(tmp_path: Path) -> None:
    model = started(tmp_path)
    velocity = model(torch.randn(2, 4, 2, 8, 12), torch.rand(2), torch.randn(2, 5, 24), scale="2x4")
    assert float(velocity.detach().abs().max()) == 0
    assert math.isclose(float(model.layers[0].attention.wq.weight.detach().std()), math.sqrt(2 / 192), rel_tol=0.05)


def test_a_scale_is_added_to_a_checkpoint(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    fields = {**CONFIG.to_dict(), "all_patch_size": [2, 2], "all_f_patch_size": [1, 2]}
    small = MultiScaleNextDiT(LuminaVideoConfig.from_dict(fields))
    known = {name: value for name, value in tiny_dit().state_dict().items() if name in small.state_dict()}
    known["all_x_embedder.2-1.bias"] = torch.ones(96)
    small.load_state_dict(known)
    save_dit(small, tmp_path / "small")
    weights = {"all_patch_size": [2, 2, 4], "all_f_patch_size": [1, 2, 2]}
    with caplog.at_level(logging.WARNING):
        model = started(tmp_path, init_from=str(tmp_path / "small"), model=weights)
    assert "6 tensors missing, made of those of the nearest scale: all_x_embedder.4-2.weight" in caplog.text
    grown = model.state_dict()
    assert all(torch.equal(grown[name], value) for name, value in known.items())
    assert torch.equal(grown["all_x_embedder.4-2.bias"], grown["all_x_embedder.2-2.bias"])
    enlarged = known["all_final_layer.2-2.linear.weight"].unflatten(0, (2, 2, 2, -1))
    for axis in (1, 2):
        enlarged = enlarged.repeat_interleave(2, dim=axis)
    assert torch.equal(grown["all_final_layer.4-2.linear.weight"], enlarged.flatten(0, 3))
    with pytest.raises(ValueError, match="no block of the weights in"):
        started(tmp_path, init_from=str(tmp_path / "small"), model={**weights, "dim": 192, "in_channels": 5})


def test_a_model_folder_brings_its_encoders_and_its_system_prompt(tmp_path: Path) -> None:
    folder = tiny_lumina_folder(tmp_path / "model")
    config = LuminaVideoTaskConfig(init_from=str(folder))
    found = with_parts(config)
    assert (found.text_encoder, found.vae) == (str(folder / "text_encoder"), str(folder / "vae"))
    assert found.system_prompt == ""
    assert with_parts(replace(config, text_encoder="x", vae="y", system_prompt="z ")) == replace(
        config, text_encoder="x", vae="y", system_prompt="z "
    )
    assert with_parts(LuminaVideoTaskConfig()).system_prompt == SYSTEM_PROMPT


def test_what_is_exported_loads_again(tmp_path: Path) -> None:
    task, model = LuminaVideoTask(task_config(tmp_path)), tiny_dit()
    task.export(model, tmp_path / "out")
    assert load_dit(tmp_path / "out").config == CONFIG


def test_models_and_encoders_are_found_by_their_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lumos.hub.models.ckpts_root", lambda root=None: tmp_path)
    for name in ("org/mine/text_encoder", "google/gemma", "THUDM/vae"):
        (tmp_path / name).mkdir(parents=True)
    found = with_parts(LuminaVideoTaskConfig(init_from="org/mine", vae="THUDM/vae"))
    assert (found.init_from, found.vae) == (str(tmp_path / "org/mine"), str(tmp_path / "THUDM/vae"))
    assert found.text_encoder == str(tmp_path / "org/mine/text_encoder")
    of_model = with_parts(LuminaVideoTaskConfig(text_encoder="org/mine", vae="org/mine"))
    assert (of_model.text_encoder, of_model.vae) == (found.text_encoder, str(tmp_path / "org/mine"))  # it has no VAE
    assert with_parts(LuminaVideoTaskConfig(text_encoder="google/gemma")).text_encoder == str(tmp_path / "google/gemma")
