"""A Lumos model cut over real processes: the same start, losses and weights as in one, and the same after an export."""

import json
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from lumos.cli.training.exported_model import export_run
from lumos.cli.training.training_run import RunConfig, run
from lumos.lumos1.config import LumosConfig
from lumos.lumos1.model.modeling import LumosForCausalLM
from lumos.lumos1.training.task import LumosTask, LumosTaskConfig
from tests.tiny_data import MODEL, VOCAB, write_clips
from xllmx.run.reporting.metrics import read_metrics
from xllmx.settings.config import load_config

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "xllmx"))
import launched_ranks as ranks

pytestmark = pytest.mark.timeout(900)
NUM_TEXT = 311
"""Rows of the text model's vocabulary; it grows to 360, which 3 processes cut elsewhere."""


@pytest.fixture
def text_model(tmp_path: Path) -> Path:
    """A model of a smaller vocabulary, in two files."""
    config = LumosConfig(**{**MODEL, "vocab_size": NUM_TEXT, "num_hidden_layers": 2, "initializer_range": 0.2})
    model = LumosForCausalLM(config)
    model.reset_parameters(generator=torch.Generator().manual_seed(5))
    model.save_pretrained(tmp_path / "text", max_shard_size="30KB")
    assert (tmp_path / "text" / "model.safetensors.index.json").is_file()
    (tmp_path / "text" / "visual_tokenizer").mkdir()
    for name in ("text_tokenizer.json", "visual_tokenizer/encoder.jit", "visual_tokenizer/decoder.jit"):
        (tmp_path / "text" / name).write_text("copied along and not read")
    return tmp_path / "text"


def words_of(folder: Path, name: str, *, num: int, **task: object) -> list[str]:
    """Settings of 3 steps on a global batch of 6, images and videos in turn."""
    data = {kind: str(folder / kind) for kind in ("image", "video")}
    settings = {
        "trainer.run_dir": str(folder / name),
        "trainer.max_steps": 3,
        "trainer.precision": "fp32",
        "trainer.device": "cpu",
        "trainer.progress": False,
        "trainer.log_every": 1,
        "trainer.ema_decay": 0.5,
        "trainer.global_batch_size": {"image": 6, "video": 6},
        "trainer.batch_size": dict.fromkeys(data, {1: 6, 2: 1, 3: 2}[num]),
        "optim.lr": 0.01,
        "parallel.activation_checkpointing": True,
        "task.data": data,
        "task.model": {**MODEL, "num_hidden_layers": 2, "vocab": VOCAB},
        **{f"task.{key}": value for key, value in task.items()},
    }
    return [f"{key}={json.dumps(value)}" for key, value in settings.items()]


def train_in(num: int, words: list[str]) -> None:
    errors, codes = ranks.ended(ranks.start_ranks(["-m", "lumos.train", *words], num=num))
    assert codes == [0] * num, errors


@pytest.mark.slow
def test_two_and_three_processes_train_like_one_from_a_text_model(tmp_path: Path, text_model: Path) -> None:
    for kind, length in (("image", 1), ("video", 3)):
        write_clips(tmp_path / kind, num_latent=length)
    start = {"init_from": str(text_model)}
    run(load_config(RunConfig, None, words_of(tmp_path, "one", num=1, **start)))
    expected = LumosForCausalLM.from_pretrained(export_run(tmp_path / "one", tmp_path / "model1"))
    for num in (2, 3):
        train_in(num, words_of(tmp_path, f"run{num}", num=num, **start))
        rows, wanted = read_metrics(tmp_path / f"run{num}"), read_metrics(tmp_path / "one")
        for name in ("loss", "grad_norm"):
            assert [row[name] for row in rows] == pytest.approx([row[name] for row in wanted], rel=1e-5)
        folder = export_run(tmp_path / f"run{num}", tmp_path / f"model{num}")
        for name, value in LumosForCausalLM.from_pretrained(folder).state_dict().items():
            torch.testing.assert_close(value, expected.state_dict()[name], rtol=1e-3, atol=1e-5)
    _check_import(tmp_path / "model3")


@pytest.mark.slow
def test_a_fresh_start_is_the_same_in_two_processes(tmp_path: Path) -> None:
    for kind, length in (("image", 1), ("video", 3)):
        write_clips(tmp_path / kind, num_latent=length)
    fresh = {"code_levels": [5, 5, 2]}
    run(load_config(RunConfig, None, words_of(tmp_path, "one", num=1, **fresh)))
    train_in(2, words_of(tmp_path, "two", num=2, **fresh))
    losses = [[row["loss"] for row in read_metrics(tmp_path / name)] for name in ("two", "one")]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


@pytest.mark.parametrize("swin_norm", [False, True])
def test_a_deeper_model_starts_as_the_shallower_one_that_it_grows_from(tmp_path: Path, swin_norm: bool) -> None:
    config = LumosConfig(
        **{**MODEL, "num_hidden_layers": 2, "initializer_range": 0.2, "swin_norm": swin_norm, "vocab": VOCAB}
    )
    shallow = LumosForCausalLM(config)
    shallow.reset_parameters(generator=torch.Generator().manual_seed(5))
    shallow.save_pretrained(tmp_path / "shallow")
    task = LumosTask(LumosTaskConfig(init_from=str(tmp_path / "shallow"), model={"num_hidden_layers": 5}))
    deep = task.build_model()
    task.init_weights(deep, device=torch.device("cpu"), seed=3)
    ids = torch.arange(12)[None]
    torch.testing.assert_close(deep(ids).logits, shallow(ids).logits, rtol=1e-5, atol=1e-5)
    blocks = [{name: value.clone() for name, value in block.state_dict().items()} for block in deep.model.layers]
    silent = [not block["mlp.down_proj.weight"].any() for block in blocks]
    assert silent == [False, True, True, False, True]
    assert torch.equal(blocks[1]["self_attn.q_proj.weight"], blocks[0]["self_attn.q_proj.weight"])
    assert torch.equal(blocks[3]["mlp.down_proj.weight"], shallow.model.layers[1].mlp.down_proj.weight)


def test_a_deeper_checkpoint_than_the_model_is_refused(tmp_path: Path, text_model: Path) -> None:
    task = LumosTask(LumosTaskConfig(init_from=str(text_model), model={"num_hidden_layers": 1}))
    with pytest.raises(ValueError, match=r"unexpected: model\.layers\.1\."):
        task.init_weights(task.build_model(), device=torch.device("cpu"), seed=3)


@pytest.mark.parametrize("lost", [0, 1])
def test_a_checkpoint_that_lacks_a_block_is_damaged_and_does_not_grow(tmp_path: Path, lost: int) -> None:
    config = LumosConfig(**{**MODEL, "num_hidden_layers": 2, "vocab": VOCAB})
    model = LumosForCausalLM(config)
    model.save_pretrained(tmp_path / "model")
    file = tmp_path / "model" / "model.safetensors"
    save_file({name: one for name, one in load_file(file).items() if f"layers.{lost}." not in name}, file)
    task = LumosTask(LumosTaskConfig(init_from=str(tmp_path / "model")))
    with pytest.raises(ValueError, match=rf"missing: model\.layers\.{lost}\."):
        task.init_weights(task.build_model(), device=torch.device("cpu"), seed=3)


def _check_import(folder: Path) -> None:
    """Trained on from an export, a model starts from exactly what was exported."""
    exported = LumosForCausalLM.from_pretrained(folder)
    task = LumosTask(LumosTaskConfig(init_from=str(folder)))
    model = task.build_model()
    task.init_weights(model, device=torch.device("cpu"), seed=3)
    for name, value in model.state_dict().items():
        assert torch.equal(value, exported.state_dict()[name]), name
