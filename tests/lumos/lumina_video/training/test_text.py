"""Training of a small text encoder: its loss falls, its folder is read, and features say what came before."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from lumos.lumina_video.text import GemmaTextEncoder
from lumos.lumina_video.training.parts.text_task import (
    Captions,
    TextNetworkConfig,
    TextTask,
    TextTaskConfig,
    small_tokenizer,
)
from lumos.lumina_video.training.text import TextRunConfig, main, run
from xllmx.optimisation.optim import OptimConfig
from xllmx.trainer import TrainerConfig

NETWORK = TextNetworkConfig(
    hidden_size=24, intermediate_size=40, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, head_dim=16
)


def config_of(repo: Path, folder: Path, *, steps: int) -> TextRunConfig:
    task = TextTaskConfig(
        network=NETWORK,
        tokenizer=repo / "ckpts" / "lumos-tiny" / "text_tokenizer.json",
        num_captions=60,
        num_eval_captions=12,
    )
    trainer = TrainerConfig(
        run_dir=folder / "run", max_steps=steps, batch_size={"captions": 6}, precision="fp32", log_every=1,
        save_every=0, eval_batches=2, progress=False, device="cpu",
    )  # fmt: skip
    return TextRunConfig(
        trainer=trainer, optim=OptimConfig(lr=5e-3, weight_decay=0.0), task=task, export_to=folder / "encoder"
    )


@pytest.fixture(scope="module")
def trained(repo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("text")
    run(config_of(repo, folder, steps=20))
    return folder


def losses(run_folder: Path) -> list[float]:
    rows = [json.loads(line) for line in (run_folder / "metrics.jsonl").read_text().splitlines()]
    return [row["loss"] for row in rows if row["kind"] == "train"]


def test_training_lowers_the_loss(trained: Path) -> None:
    found = losses(trained / "run")
    assert sum(found[-4:]) < 0.8 * sum(found[:4])


def test_the_exported_encoder_is_the_trained_one(repo: Path, trained: Path, tmp_path: Path) -> None:
    encoder = GemmaTextEncoder.from_pretrained(trained / "encoder", system_prompt="", dtype=torch.float32)
    assert encoder.width == 24
    red, mask = encoder.encode(["a red circle and a blue square", ""])
    assert mask.sum(1)[1] == 1  # an empty text is its beginning
    other, _ = encoder.encode(["a green circle and a blue square"])
    last = int(mask.sum(1)[0]) - 1
    assert not torch.allclose(red[0, last], other[0, last], atol=1e-3)
    torch.testing.assert_close(red[0, 1], encoder.encode(["a"])[0][0, 1], rtol=0, atol=1e-5)
    run(config_of(repo, tmp_path, steps=1))
    barely = GemmaTextEncoder.from_pretrained(tmp_path / "encoder", system_prompt="", dtype=torch.float32)
    moved = [(a - b).abs().max() for a, b in zip(encoder.model.parameters(), barely.model.parameters(), strict=True)]
    assert min(moved) > 0  # of the same start and the same steps, 19 of them more


def test_a_resumed_run_is_the_uninterrupted_one(repo: Path, trained: Path, tmp_path: Path) -> None:
    for steps in (7, 20):
        config = config_of(repo, tmp_path, steps=steps)
        run(dataclasses.replace(config, optim=dataclasses.replace(config.optim, schedule="constant"), export_to=None))
    assert losses(tmp_path / "run")[:3] == losses(trained / "run")[:3]
    whole = config_of(repo, tmp_path / "whole", steps=20)
    run(dataclasses.replace(whole, optim=dataclasses.replace(whole.optim, schedule="constant"), export_to=None))
    assert losses(tmp_path / "run") == losses(tmp_path / "whole" / "run")


def test_the_tokenizer_gives_any_text_back(repo: Path) -> None:
    tokenizer = small_tokenizer(repo / "ckpts" / "lumos-tiny" / "text_tokenizer.json")
    text = "A red circle, 2 squares; naïve 雨 🙂"
    ids = tokenizer.encode(text).ids
    assert tokenizer.decode(ids) == text
    assert min(ids) >= 4  # none of the special tokens comes out of text
    assert tokenizer.get_vocab_size() == 592


def test_targets_are_the_next_tokens(repo: Path, tmp_path: Path) -> None:
    task = TextTask(config_of(repo, tmp_path, steps=1).task)
    prepared = task.prepare(task.collate([[2, 9, 8, 1], [2, 7, 1]]), torch.Generator())
    assert prepared.inputs["input_ids"].tolist() == [[2, 9, 8], [2, 7, 1]]
    assert prepared.targets.tolist() == [9, 8, 1, 7, 1]
    assert prepared.num_targets == 5
    captions = task.build_dataset("train")["captions"]
    assert isinstance(captions, Captions)
    assert (captions[0][0], captions[0][-1]) == (2, 1)


def test_a_file_that_is_no_tokenizer_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty.json").write_text("{}")
    words = [f"trainer={{run_dir: {tmp_path / 'run'}, max_steps: 1}}", f"task.tokenizer={tmp_path / 'empty.json'}"]
    assert main(words) == 2
    assert capsys.readouterr().err.startswith(
        f"lumos.lumina_video.training.text: error: {tmp_path / 'empty.json'} holds no byte-level BPE"
    )


def test_the_byte_pairs_of_the_bundled_model_are_found_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert TextTask(TextTaskConfig(network=NETWORK)).tokenizer.encode("a red circle").ids
