"""Trainings of the parts of a model in two processes: they end, and their files are those that one process writes."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.xllmx import launched_ranks as ranks
from xllmx.run.whole_training import NETWORK_FILE

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

TRAINER = {
    "max_steps": 2, "precision": "fp32", "device": "cpu", "progress": False, "eval_batches": 1, "save_every": 0,
}  # fmt: skip
TOKENIZER = {
    "network": {"channels": 8, "multipliers": [1, 2], "num_res_blocks": 1, "z_channels": 6, "levels": [7, 5, 5]},
    "num_clips": 8, "num_eval_clips": 4, "size_px": 16, "num_frames": 5, "crop_px": 0, "crop_frames": 5,
}  # fmt: skip
VAE = {
    "network": {"block_out_channels": [4, 6, 8, 10], "norm_num_groups": 2, "latent_channels": 5},
    "num_clips": 30, "num_eval_clips": 3, "size_px": 24, "crop_px": 16,
}  # fmt: skip


def words_of(folder: Path, **groups: dict) -> list[str]:
    settings = {f"{group}.{name}": value for group, fields in groups.items() for name, value in fields.items()}
    return [*(f"{name}={json.dumps(value)}" for name, value in settings.items()), f"export_to={folder / 'export'}"]


def train_in(num: int, module: str, folder: Path, **groups: dict) -> Path:
    groups["trainer"] = {**TRAINER, **groups.get("trainer", {}), "run_dir": str(folder / "run")}
    errors, codes = ranks.ended(ranks.start_ranks(["-m", module, *words_of(folder, **groups)], num=num))
    assert codes == [0] * num, errors
    return folder / "run" / NETWORK_FILE


def test_a_tokenizer_is_trained_by_two_processes_as_by_one(tmp_path: Path) -> None:
    module = "lumos.tokenizer.training"
    sizes = {"global_batch_size": {"clips": 4}}
    one = train_in(1, module, tmp_path / "one", task=TOKENIZER, trainer=sizes | {"batch_size": {"clips": 4}})
    two = train_in(2, module, tmp_path / "two", task=TOKENIZER, trainer=sizes | {"batch_size": {"clips": 2}})
    for name, weight in load_file(one).items():
        torch.testing.assert_close(load_file(two)[name], weight, rtol=1e-3, atol=1e-4)


def test_a_text_encoder_is_trained_by_two_processes(tmp_path: Path, repo: Path) -> None:
    network = {
        "hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "head_dim": 16,
    }  # fmt: skip
    task = {
        "network": network, "tokenizer": str(repo / "ckpts/lumos-tiny/text_tokenizer.json"), "num_captions": 24,
        "num_eval_captions": 8,
    }  # fmt: skip
    sizes = {"batch_size": {"captions": 4}}
    train_in(2, "lumos.lumina_video.training.text", tmp_path, task=task, trainer=sizes)
    assert (tmp_path / "export" / "model.safetensors").is_file()


def test_a_vae_is_trained_by_two_processes(tmp_path: Path) -> None:
    sizes = {"batch_size": {"images": 2, "clips": 1}, "schedule": {"images": 1, "clips": 1}}
    assert load_file(train_in(2, "lumos.lumina_video.training.vae", tmp_path, task=VAE, trainer=sizes))
