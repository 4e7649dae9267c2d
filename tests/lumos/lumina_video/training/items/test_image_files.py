"""Images that are no latents yet: listed, cropped, encoded on the way."""

import json
import logging
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from lumos.lumina_video.training.items.decoded_images import DecodedImages
from lumos.lumina_video.training.items.file_lists import is_file_list
from lumos.lumina_video.training.items.image_files import ImageFiles
from lumos.lumina_video.training.task import LuminaVideoTask, ScaleTask
from lumos.lumina_video.vae import CogVideoXVAE
from tests.lumos.lumina_video.latents import task_config
from tests.lumos.lumina_video.tiny import tiny_vae_folder
from xllmx.data.broken import BrokenSampleError
from xllmx.subset import Subset


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    """A list of three images, the last of which is not there."""
    for index, size in enumerate(((80, 70), (40, 130))):
        pixels = np.random.default_rng(index).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{index}.png")
    rows = [{"path": f"{index}.png", "prompt": f"picture {index}"} for index in range(3)]
    (tmp_path / "list.json").write_text(json.dumps(rows))
    (tmp_path / "list.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "list.pkl").write_bytes(pickle.dumps(rows))
    torch.save(rows, tmp_path / "list.pth")
    return tmp_path / "list.json"


def task_of(path: Path, **fields: Any) -> ScaleTask:
    return ScaleTask(**{"data": str(path), "media_type": "image", "image_size": 64, **fields})


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".pkl", ".pth"])
def test_images_are_cropped_to_the_nearest_size(listed: Path, suffix: str) -> None:
    task = task_of(listed.with_suffix(suffix))
    assert is_file_list(task)
    images = ImageFiles(task)
    assert len(images) == 3
    assert [tuple(images[index].pixels.shape) for index in (0, 1)] == [(64, 64, 3), (96, 32, 3)]
    assert images[1].caption == "picture 1"
    with pytest.raises(BrokenSampleError, match=r"2\.png"):
        images[2]


def test_a_batch_of_images_is_encoded_on_the_way(tmp_path: Path, listed: Path) -> None:
    vae = tiny_vae_folder(tmp_path / "vae")
    config = task_config(tmp_path, vae=str(vae))
    task = LuminaVideoTask(replace(config, tasks={"images": task_of(listed, f_patch_size=2)}))
    images = task.build_dataset("train")["images"]
    batch = task.collate([images[0], images[1]])
    prepared = task.prepare(batch, torch.Generator().manual_seed(0))
    assert prepared.num_targets == 2
    pixels = images[0].pixels.permute(2, 0, 1)[None, :, None].float() / 127.5 - 1
    expected = CogVideoXVAE.from_pretrained(vae).encode(pixels)[0]
    latents = prepared.targets["latents"]
    assert [tuple(latent.shape) for latent in latents] == [(4, 2, 8, 8), (4, 2, 12, 4)]
    torch.testing.assert_close(latents[0][:, :1], expected)
    assert torch.equal(latents[0][:, 0], latents[0][:, 1])
    assert prepared.inputs["first_frame_only"]


def test_a_data_yaml_of_lists_is_read(listed: Path) -> None:
    (listed.parent / "both.yaml").write_text("META: [{path: list.json, type: image}, {path: list.jsonl, ratio: 2.0}]")
    task = task_of(listed.parent / "both.yaml")
    assert is_file_list(task)
    images = ImageFiles(task)
    assert list(images.bucket_keys) == ["image"] * 3 + ["default"] * 6
    (listed.parent / "part.yaml").write_text("META: [{path: list.json}, {path: list.jsonl, ratio: 0.5}]")
    part = ImageFiles(task_of(listed.parent / "part.yaml"))
    assert (len(part), part.subsets) == (6, [Subset(start=3, stop=6, share=0.5)])
    (listed.parent / "cache.json").write_text('[{"path": "0.png", "prompt": "a", "pkl": "0.pkl"}]')
    assert not is_file_list(task_of(listed.parent / "cache.json"))


def test_rows_that_are_no_images_are_left_out_and_said(listed: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = listed.with_suffix(".jsonl")
    path.write_text(f'{{"path": "0.png"}}\nbroken\n{path.read_text()}')
    assert len(ImageFiles(task_of(path))) == 3
    assert "list.jsonl: 2 of 5 rows are left out; the first: " in caplog.text


def test_lists_and_settings_that_are_wrong_are_named(tmp_path: Path, listed: Path) -> None:
    with pytest.raises(ValueError, match="set image_size"):
        ImageFiles(task_of(listed, image_size=None))
    config = task_config(tmp_path)
    task = LuminaVideoTask(replace(config, tasks={"images": task_of(listed)}))
    with pytest.raises(ValueError, match=r"task images reads images that are no latents yet; set task\.vae"):
        task.build_dataset("train")
    (tmp_path / "bad.jsonl").write_text('{"path": "0.png"}\n')
    with pytest.raises(ValueError, match=r"bad\.jsonl: .* row 0 has no caption .*; write"):
        ImageFiles(task_of(tmp_path / "bad.jsonl"))
    (tmp_path / "none.json").write_text("[]")
    with pytest.raises(ValueError, match="lists no image"):
        ImageFiles(task_of(tmp_path / "none.json"))


def test_how_near_the_first_images_come_back_is_said_once(
    tmp_path: Path, listed: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = task_config(tmp_path, vae=str(tiny_vae_folder(tmp_path / "vae")))
    task = LuminaVideoTask(replace(config, tasks={"images": task_of(listed, f_patch_size=2)}))
    images = task.build_dataset("train")["images"]
    with caplog.at_level(logging.INFO):
        for _ in range(2):  # an untrained VAE gives noise back
            task.prepare(task.collate([images[0], images[1]]), torch.Generator().manual_seed(0))
    (said,) = [message for message in caplog.messages if "decoded again" in message]
    assert said.startswith("clips that were decoded again are blotches: ")
    assert f"in 1 of 1 lists (such as {listed}); no model of them makes better ones: list larger" in said
    caplog.clear()
    almost = images[0].pixels.permute(2, 0, 1)[None, :, None].float() / 127.5 - 0.9
    monkeypatch.setattr(CogVideoXVAE, "decode", lambda *_: almost)
    decoded, vae = DecodedImages(), CogVideoXVAE.from_pretrained(tmp_path / "vae")
    with caplog.at_level(logging.INFO):
        decoded.see(images[0], torch.zeros(1, 4, 1, 8, 8), vae)
        assert caplog.messages == []
        decoded.see(images[0], torch.zeros(1, 4, 1, 8, 8), vae)
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith(f"{listed}: 2 images decoded again: 26.")
