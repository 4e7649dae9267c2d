"""The training task: golden losses and gradients, weights, streams, released recipes."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from lumos.cli.training.training_run import RunConfig, main
from lumos.lumos1.config import LumosConfig, SamplerConfig
from lumos.lumos1.model.modeling import LumosForCausalLM
from lumos.lumos1.sequence import content_index_of, frame_index_of
from lumos.lumos1.training.items.masked_batch import masked_batch, planned
from lumos.lumos1.training.items.samples import MaskedSample
from lumos.lumos1.training.model_settings import read_model_config
from lumos.lumos1.training.task import LumosTask, LumosTaskConfig, frame_losses
from tests import stand_in_flash
from tests.tiny_data import MODEL, VOCAB, write_clips
from xllmx.loss import LossOutput
from xllmx.settings.config import load_config, save_config
from xllmx.task import Prepared


@pytest.fixture
def data(tmp_path: Path) -> dict[str, str]:
    lengths = {"image": 1, "video": 4}
    return {name: str(write_clips(tmp_path / name, num_latent=length)) for name, length in lengths.items()}


@pytest.fixture
def tiny_fields() -> dict[str, object]:
    return {**MODEL, "vocab": VOCAB}


@pytest.fixture
def overrides(data: dict[str, str], tiny_fields: dict[str, object], tmp_path: Path) -> list[str]:
    """Words that make a run of any training config small."""
    words = {
        "trainer.run_dir": str(tmp_path / "run"),
        "trainer.epochs": None,
        "trainer.max_steps": 3,
        "trainer.device": "cpu",
        "trainer.progress": False,
        "trainer.log_every": 1,
        "task.model": tiny_fields,
        "task.model_config": None,
        "task.init_from": None,
    }
    return [f"{key}={json.dumps(value)}" for key, value in words.items()]


def golden_batch(model: LumosForCausalLM, stored: dict[str, np.ndarray], case: str) -> Prepared:
    """The stored sample with the stored mask; checks that masking it gives the stored input."""
    ids = torch.from_numpy(stored["b1_2frames_tokens0"]).long()[None]
    masked_ids = torch.from_numpy(stored[f"{case}_masked_input_ids"]).long()
    frame, content = frame_index_of(ids, model.vocab), content_index_of(ids, model.vocab)
    masks, inside = torch.zeros(1, 2, 36, dtype=torch.bool), content >= 0
    masks[0, frame[inside], content[inside]] = (masked_ids == model.vocab.mask)[inside]
    prepared = masked_batch(MaskedSample(ids=ids, masked=masks), vocab=model.vocab)
    assert prepared.inputs["input_ids"].equal(masked_ids)
    return planned(prepared)


CASES = {
    "b1_2frames_A_tube": 0.0,
    "b1_2frames_A_DiffForcing": 0.0,
    "b1_2frames_A_random": 0.0,
    "b1_2frames_A_tube_CE_sameMask": 0.0,
    "b1_2frames_A_tube_Focal_sameMask": 2.0,
}


@pytest.mark.parametrize("case", CASES)
def test_golden_loss_and_gradients(golden: Path, golden_model: LumosForCausalLM, case: str) -> None:
    numbers = json.loads((golden / "loss.json").read_text())[case]
    stored = dict(np.load(golden / "loss.npz"))
    task = LumosTask(LumosTaskConfig(model={"num_hidden_layers": 1}, focal_gamma=CASES[case]))
    prepared = golden_batch(golden_model, stored, case)
    parameters = dict(golden_model.named_parameters())
    output = task.loss(golden_model, prepared)
    gradients = torch.autograd.grad(output.sum / output.count, list(parameters.values()))
    assert prepared.num_targets == output.count == numbers["n_loss_terms"]
    assert output.sum.item() / output.count == pytest.approx(numbers["closs"], abs=1e-5)
    if CASES[case] == 0:
        losses = torch.from_numpy(stored[f"{case}_mar_loss"])
        torch.testing.assert_close(output.target_losses, losses, atol=1e-5, rtol=0)
    for name, gradient in zip(parameters, gradients, strict=True):
        if name in numbers.get("grad_norms", {}):
            assert gradient.double().norm().item() == pytest.approx(numbers["grad_norms"][name], rel=1e-4), name


def test_golden_losses_of_frames(golden: Path, golden_model: LumosForCausalLM) -> None:
    """For a tube, as many codes in each frame; the release cuts every mask's losses into equal parts, we by frame."""
    case = "b1_2frames_A_tube"
    expected = json.loads((golden / "loss.json").read_text())[case]["frame_closs"]
    task = LumosTask(LumosTaskConfig(model={"num_hidden_layers": 1}))
    with torch.no_grad():
        metrics = task.loss(golden_model, golden_batch(golden_model, dict(np.load(golden / "loss.npz")), case)).metrics
    for frame in range(2):
        total, count = metrics[f"frame_{frame}"]
        assert float(total / count) == pytest.approx(expected[f"tmp_closs_CE_frame{frame}"], abs=1e-5)


def test_frame_losses_by_hand() -> None:
    metrics = frame_losses(torch.tensor([1.0, 2.0, 4.0, 8.0]), torch.tensor([2, 0, 2, 0]), (2, 0, 2))
    assert {name: (float(total), int(count)) for name, (total, count) in metrics.items()} == {
        "frame_0": (10.0, 2),
        "frame_1": (0.0, 0),
        "frame_2": (5.0, 2),
    }


def test_frame_decay_and_z_loss(tiny_model: LumosForCausalLM, tiny_config: LumosConfig, data: dict[str, str]) -> None:
    def loss(**changes: object) -> tuple[Tensor, Tensor, Prepared]:
        model = {**tiny_config.to_dict(), **({"z_loss_weight": 0.02} if "z_loss_weight" in changes else {})}
        task = LumosTask(LumosTaskConfig(model=model, data=data, **changes))
        stream = task.build_dataset("train")["video"]
        prepared = task.prepare([stream[0], stream[1]], torch.Generator().manual_seed(0))
        output = task.loss(tiny_model, prepared)
        assert output.target_losses is not None
        return output.sum, output.target_losses, prepared

    with torch.no_grad():
        plain, rows, prepared = loss()
        torch.testing.assert_close(plain, rows.sum())
        torch.testing.assert_close(loss(frame_decay=0.5)[0], (rows * 0.5 ** prepared.inputs["frames"]).sum())
        hidden = tiny_model.hidden(prepared.inputs["input_ids"]).flatten(0, 1)[prepared.inputs["scored"]]
        squares = tiny_model.visual_logits(hidden).logsumexp(-1).square().sum()
        torch.testing.assert_close(loss(z_loss_weight=0.01)[0], plain + 0.01 * squares)
        torch.testing.assert_close(loss(z_loss_weight=None)[0], plain + 0.02 * squares)  # the model's


@pytest.mark.parametrize("packing", [0, 400])
def test_flash_trains_by_the_loss_and_gradients_of_per_frame(
    packing: int,
    tiny_model: LumosForCausalLM,
    tiny_config: LumosConfig,
    data: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls, results = stand_in_flash.install(monkeypatch), []
    weights = list(tiny_model.parameters())
    for attention in ("flash", "per_frame"):
        config = LumosTaskConfig(model=tiny_config.to_dict(), data=data, packing=packing, attention=attention)
        task = LumosTask(config)
        task.build_model()
        streams = task.build_dataset("train")
        batch = [streams["video"][0], streams["image"][1], streams["image"][0]]
        prepared = task.prepare(batch, torch.Generator().manual_seed(0))
        output = task.loss(tiny_model, prepared)
        results.append([output.sum, *torch.autograd.grad(output.sum, weights, allow_unused=True)])
    for found, wanted in zip(*results, strict=True):  # the gradient of a token is a sum over its places: it cancels
        torch.testing.assert_close(found, wanted, atol=1e-4 * max(1.0, float(wanted.detach().abs().max())), rtol=1e-4)
    assert set(calls) == {"flash_attn_varlen_func"}
    stand_in_flash.uninstall(monkeypatch)
    with pytest.raises(ValueError, match=r"task.attention is 'flash', .*take task.attention=per_frame"):
        LumosTask(dataclasses.replace(config, attention="flash")).build_model()


def test_the_next_token_loss_is_that_of_the_prompt_among_all_ids(
    tiny_model: LumosForCausalLM, tiny_config: LumosConfig, data: dict[str, str]
) -> None:
    def output(weight: float) -> tuple[LossOutput, Prepared]:
        task = LumosTask(LumosTaskConfig(model=tiny_config.to_dict(), data=data, next_token_weight=weight))
        stream = task.build_dataset("train")["video"]
        batch = [dataclasses.replace(stream[0], cfg_drop=1.0), dataclasses.replace(stream[2], cfg_drop=0.0)]
        prepared = task.prepare(batch, torch.Generator().manual_seed(0))
        return task.loss(tiny_model, prepared), prepared

    with torch.no_grad():
        (plain, _), (both, prepared) = output(0.0), output(0.25)
        ids = prepared.inputs["input_ids"]
        logits = tiny_model(ids).logits[1]
    end = int((ids[1] == tiny_config.vocabulary.video_start).int().argmax())
    begin = int((ids[1] != tiny_config.vocabulary.pad).int().argmax())
    text = ids[1, begin:end]
    expected = torch.nn.functional.cross_entropy(logits[begin : end - 1].float(), text[1:], reduction="sum")
    assert "text" not in plain.metrics
    assert both.metrics["text"][1] == len(text) - 1 == prepared.num_targets - int(plain.count)
    assert both.count == prepared.num_targets
    torch.testing.assert_close(both.sum, plain.sum + 0.25 * expected)
    torch.testing.assert_close(torch.as_tensor(both.metrics["text"][0]), expected)


def test_fresh_weights_follow_from_the_seed(tiny_fields: dict[str, object]) -> None:
    task = LumosTask(LumosTaskConfig(model=tiny_fields))
    weights = []
    for seed in (0, 0, 1):
        model = task.build_model()
        assert all(parameter.is_meta for parameter in model.parameters())
        task.init_weights(model, device=torch.device("cpu"), seed=seed)
        weights.append(model.lm_head.weight)
    assert weights[0].equal(weights[1])
    assert not weights[0].equal(weights[2])
    assert weights[0].std().item() == pytest.approx(0.02, rel=0.05)
    assert list(task.shard_units(model)) == list(model.model.layers)


def test_a_checkpoint_is_continued_and_exported(tiny_model: LumosForCausalLM, tmp_path: Path) -> None:
    start, end = tmp_path / "start", tmp_path / "end"
    tiny_model.save_pretrained(start)
    task = LumosTask(LumosTaskConfig(init_from=str(start)))
    model = task.build_model()
    task.init_weights(model, device=torch.device("cpu"), seed=0)
    task.export(model, end)
    exported = LumosForCausalLM.from_pretrained(end)
    assert exported.config.vocabulary == tiny_model.vocab
    for name, tensor in tiny_model.state_dict().items():
        assert exported.state_dict()[name].equal(tensor), name


def test_a_text_model_grows_when_training_starts_from_it(tiny_fields: dict[str, object], tmp_path: Path) -> None:
    text = LumosForCausalLM(LumosConfig(**{**MODEL, "vocab_size": 310}))
    save_file({name: tensor.contiguous() for name, tensor in text.state_dict().items()}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({**MODEL, "vocab_size": 310, "model_type": "chameleon"}))
    fields = {"vocab": tiny_fields["vocab"], "vocab_size": 360}
    task = LumosTask(LumosTaskConfig(init_from=str(tmp_path), model=fields))
    model = task.build_model()
    task.init_weights(model, device=torch.device("cpu"), seed=0)
    assert model.lm_head.weight.shape == (360, 16)
    assert model.lm_head.weight[:310].equal(text.lm_head.weight)
    assert model.model.embed_tokens.weight[310:].std().item() == pytest.approx(0.02, rel=0.2)


def test_a_text_model_of_released_size_gets_the_released_vocabulary(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({**MODEL, "vocab_size": 65536}))
    assert read_model_config(LumosTaskConfig(init_from=str(tmp_path))).vocab_size == 129536


def test_evaluation_has_a_stream_for_every_mode_and_keeps_the_text(
    data: dict[str, str], tiny_fields: dict[str, object]
) -> None:
    modes = ("text_to_video", "video_prediction_0.5")
    task = LumosTask(
        LumosTaskConfig(model=tiny_fields, data=data, eval_data={"held_out": data["video"]}, eval_modes=modes)
    )
    streams = task.build_dataset("eval")
    assert set(streams) == {f"held_out/{mode}" for mode in modes}
    sample = streams["held_out/video_prediction_0.5"][0]
    assert sample.cfg_drop == 0
    one_mode = LumosTask(LumosTaskConfig(model=tiny_fields, data=data, eval_data={"held_out": data["video"]}))
    assert set(one_mode.build_dataset("eval")) == {"held_out"}
    prepared = task.prepare([sample], torch.Generator().manual_seed(0))
    assert set(prepared.inputs["frames"].tolist()) == {2, 3}


def test_clips_over_the_longest_sequence_are_refused(data: dict[str, str], tiny_fields: dict[str, object]) -> None:
    config = LumosTaskConfig(model=tiny_fields, data=data, max_length=150)
    with pytest.raises(ValueError, match=r"clips are over task\.max_length=150, up to 18\d tokens long"):
        LumosTask(config).build_dataset("train")
    shorter = LumosTask(dataclasses.replace(config, duration_s=1)).build_dataset("train")["video"]
    assert shorter[0].clip.codes.shape == (3, 8, 4)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"duration_s": 0}, "duration_s is 0"),
        ({"frame_decay": 0.0}, "frame_decay is 0.0"),
        ({"eval_modes": ("text_to_vide",)}, "text_to_vide"),
    ],
)
def test_settings_are_checked(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LumosTaskConfig(**fields)


def test_no_model_and_a_missing_one_are_clear_errors(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no model to train"):
        LumosTask(LumosTaskConfig())
    with pytest.raises(ValueError, match=r"config\.json do not exist; correct task\.init_from"):
        LumosTask(LumosTaskConfig(init_from=str(tmp_path)))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("README.md", "# Title\n\n- [a]\ntext: [\n", r"README\.md is neither JSON nor YAML .* task\.model_config"),
        ("weights.bin", b"\xff\xfe\x00", r"weights\.bin is neither JSON nor YAML"),
        ("list.json", "[1, 2]", r"list\.json holds no settings of a model; correct task\.init_from or"),
        ("text.yaml", "hello", r"text\.yaml holds no settings of a model"),
        ("run.yaml", "trainer: {max_steps: 3}", r"run\.yaml holds no settings of a model"),
        ("typo.yaml", "hidden_size: 64\nhiden_size: 64", r"typo\.yaml: unknown model setting hiden_size; did you mean"),
        (
            "typed.json",
            '{"hidden_size": "abc"}',
            r"typed\.json: setting hidden_size is 'abc'; it must be a whole number",
        ),
        (
            "vocab.json",
            '{"hidden_size": 64, "vocab_size": "x"}',
            r"vocab\.json: setting vocab_size is 'x'; it must be a whole number",
        ),
    ],
)
def test_a_file_that_is_no_model_config_is_named(tmp_path: Path, name: str, content: str | bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=message):
        read_model_config(LumosTaskConfig(model_config=str(tmp_path / name)))


def test_a_missing_model_that_has_a_name_comes_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ckpts" / "mine").mkdir(parents=True)
    for start in ("ckpts/3B/stage-1-image", "3B/stage-1-image"):
        with pytest.raises(ValueError, match=r"run: lumos download 3B/stage-1-image \(lumos train --dry-run needs no"):
            LumosTask(LumosTaskConfig(init_from=start))
    with pytest.raises(ValueError, match=r"mine/config\.json do not exist; correct task\.init_from"):
        LumosTask(LumosTaskConfig(init_from="mine"))


def test_a_model_to_start_from_is_found_by_its_name(
    tiny_model: LumosForCausalLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lumos.hub.models.ckpts_root", lambda root=None: tmp_path / "models")
    tiny_model.save_pretrained(tmp_path / "models" / "org" / "mine")
    model = (task := LumosTask(LumosTaskConfig(init_from="org/mine"))).build_model()
    task.init_weights(model, device=torch.device("cpu"), seed=0)
    assert all(tensor.equal(tiny_model.state_dict()[name]) for name, tensor in model.state_dict().items())
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    (tmp_path / "run" / "config.yaml").write_text("")
    with pytest.raises(ValueError, match=r"run is a training run, .* make one of it: lumos export .*run FOLDER"):
        LumosTask(LumosTaskConfig(init_from=str(tmp_path / "run")))


def test_clips_longer_than_the_model_is_made_for_are_said(
    data: dict[str, str], tiny_fields: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    task = LumosTask(LumosTaskConfig(data=data, model=tiny_fields))
    longest = max(task.build_dataset("train")["video"].lengths)
    assert caplog.messages == []
    for most in (longest, longest - 1):
        fields = {**tiny_fields, "max_position_embeddings": most}
        LumosTask(LumosTaskConfig(data=data, model=fields)).build_dataset("train")
    (said,) = caplog.messages
    assert said.startswith(f"stream video: clips of up to {longest} tokens, the model is made for {longest - 1}; ")


@pytest.mark.parametrize(
    ("config", "start", "lr", "save_every", "max_length"),
    [
        ("1B_stage_1_image", "ckpts/1B/stage-1-image", 5e-5, 3000, 32768),
        ("3B_stage_1_image", "ckpts/3B/stage-1-image", 1e-4, 1000, 32768),
        ("1B_stage_2_joint", "ckpts/1B/stage-2-joint-384p", 2.5e-5, 1000, 65536),
        ("3B_stage_2_joint", "ckpts/3B/stage-2-joint-384p", 2.5e-5, 1000, 65536),
        ("1B_pretrain_image", None, 5e-5, 3000, 32768),
        ("3B_pretrain_image", None, 1e-4, 1000, 32768),
        ("1B_pretrain_joint", "ckpts/1B/stage-1-image", 2.5e-5, 1000, 65536),
        ("3B_pretrain_joint", "ckpts/3B/stage-1-image", 2.5e-5, 1000, 65536),
    ],
)
def test_recipes_have_the_released_numbers(
    repo: Path, config: str, start: str | None, lr: float, save_every: int, max_length: int
) -> None:
    recipe = load_config(RunConfig, repo / "configs" / "train" / f"{config}.yaml")
    optim, trainer, task = recipe.optim, recipe.trainer, recipe.task
    assert task.init_from == start
    assert (optim.lr, optim.floor, optim.betas, optim.weight_decay) == (lr, 1.0, (0.9, 0.95), 0.1)
    assert (optim.warmup_epochs, optim.schedule, optim.decay_norms) == (0.0025, "cosine", True)
    assert (trainer.epochs, trainer.save_every, trainer.keep, trainer.clip_grad_norm) == (100, save_every, 20, 4.0)
    assert (trainer.precision, trainer.resume, task.max_length) == ("bf16", True, max_length)
    assert (task.ardf.mask_type, task.ardf.min_mask_ratio, task.ardf.cfg_drop) == ("tube", 0.7, 0.1)
    if config.endswith("joint"):
        assert (trainer.batch_size, trainer.schedule) == ({"image": 6, "video": 1}, {"image": 1, "video": 1})
        assert task.duration_s == 2


@pytest.mark.parametrize(("config", "guidance_scale"), [("image", 16.0), ("video", 15.0)])
def test_sampler_configs_are_the_released_defaults(repo: Path, config: str, guidance_scale: float) -> None:
    sampler = load_config(SamplerConfig, repo / "configs" / "sampler" / f"{config}.yaml")
    assert sampler == SamplerConfig(guidance_scale=guidance_scale)


def test_command_line_says_what_to_mend(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["--config", str(tmp_path / "none.yaml")]) == 2
    assert f"error: settings file {tmp_path / 'none.yaml'} does not exist" in capsys.readouterr().err


@pytest.mark.slow
def test_script_trains(repo: Path, overrides: list[str], data: dict[str, str], tmp_path: Path) -> None:
    words = [*overrides, f"task.data.image={data['image']}"]
    script = ["bash", str(repo / "exps" / "1B_Stage_1_Image.sh"), *words]
    subprocess.run(
        script, check=True, env={"PATH": "/usr/bin:/bin", "LUMOS_PYTHON": sys.executable, "NUM_PROCESSES": "1"}
    )
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["step"] == 3


def test_resolved_config_is_read_back(repo: Path, overrides: list[str], tmp_path: Path) -> None:
    config = load_config(RunConfig, repo / "configs" / "train" / "debug.yaml", overrides)
    save_config(config, tmp_path / "saved.yaml")
    assert load_config(RunConfig, tmp_path / "saved.yaml") == config
