"""LoRA: only adapters are trained; saved, resumed, loaded for generation and merged, the numbers stay the same."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from lumos.cli import main
from lumos.cli.jobs.record import model_hash
from lumos.cli.training.estimate.dry_run import estimate_run
from lumos.cli.training.training_run import RunConfig, run
from lumos.lumos1.config import LumosConfig
from lumos.lumos1.model.lora import LoRAConfig
from lumos.lumos1.model.modeling import LumosForCausalLM
from lumos.lumos1.pipeline import LumosPipeline
from tests.model_folder import make_model_folder
from tests.tiny_data import MODEL, VOCAB, write_clips
from xllmx.lora import adapters_of, add_lora, load_lora, merge_lora, save_lora, without_adapters
from xllmx.settings.config import load_config

pytest.importorskip("peft")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with the vocabulary of `tests.tiny_data`."""
    model = LumosForCausalLM(LumosConfig(**MODEL, vocab=VOCAB, initializer_range=0.3))
    model.reset_parameters(generator=torch.Generator().manual_seed(5))
    folder = tmp_path_factory.mktemp("base")
    model.save_pretrained(folder)
    return folder


def settings(base: Path, folder: Path, clips: Path, *words: str) -> RunConfig:
    trainer = f"run_dir: {folder}, max_steps: 4, batch_size: {{video: 3}}, device: cpu, precision: fp32"
    lora = "rank: 4, alpha: 8.0, targets: [q_proj, v_proj, down_proj]"
    start = [f"trainer={{{trainer}, save_every: 2, progress: false}}", f"lora={{{lora}}}", "optim.lr=0.01"]
    return load_config(RunConfig, None, [*start, f"task={{init_from: {base}, data: {{video: {clips}}}}}", *words])


@pytest.fixture(scope="module")
def trained(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run of 4 steps."""
    folder = tmp_path_factory.mktemp("trained")
    clips = write_clips(folder / "clips", num_latent=3)
    run(settings(base, folder / "run", clips))
    return folder


def export(run_folder: Path, folder: Path, *words: str) -> dict[str, torch.Tensor]:
    assert main(["export", str(run_folder), str(folder), "--tokenizers", str(folder.parent / "parts"), *words]) == 0
    return load_file(next(folder.glob("*.safetensors")))


@pytest.fixture(scope="module")
def exported(trained: Path) -> Path:
    make_model_folder(trained / "parts")
    export(trained / "run", trained / "merged")
    export(trained / "run", trained / "adapter", "--adapter")
    return trained


def test_merged_weights_are_base_plus_the_scaled_product(base: Path, exported: Path) -> None:
    start, merged = load_file(base / "model.safetensors"), load_file(exported / "merged" / "model.safetensors")
    adapters = load_file(exported / "adapter" / "adapter_model.safetensors")
    layer = "model.layers.0.mlp.down_proj"
    a, b = (adapters[f"base_model.model.{layer}.lora_{half}.weight"] for half in "AB")
    assert (a.shape, b.shape) == ((4, 24), (16, 4))
    torch.testing.assert_close(merged[f"{layer}.weight"], start[f"{layer}.weight"] + 8.0 / 4 * b @ a)
    changed = {name for name in start if not start[name].equal(merged[name])}
    adapted = ("self_attn.q_proj", "self_attn.v_proj", "mlp.down_proj")
    assert changed == {f"model.layers.0.{name}.weight" for name in adapted}


def test_adapters_loaded_for_generation_are_the_merged_model(base: Path, exported: Path) -> None:
    loaded = load_lora(LumosForCausalLM.from_pretrained(base), exported / "adapter")
    merged = LumosForCausalLM.from_pretrained(exported / "merged")
    for name, tensor in merged.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], tensor)
    assert loaded.state_dict().keys() == merged.state_dict().keys()


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")
def test_peft_reads_what_was_written(base: Path, exported: Path) -> None:
    from peft import PeftModel

    ids = torch.arange(40)[None]
    model = PeftModel.from_pretrained(LumosForCausalLM.from_pretrained(base), str(exported / "adapter"))
    merged = LumosForCausalLM.from_pretrained(exported / "merged")
    with torch.no_grad():
        torch.testing.assert_close(model(ids).logits, merged(ids).logits, rtol=1e-4, atol=1e-4)


def test_a_resumed_run_ends_where_the_whole_one_did(base: Path, trained: Path, tmp_path: Path) -> None:
    make_model_folder(tmp_path / "parts")
    run(settings(base, tmp_path / "run", trained / "clips", "trainer.max_steps=2"))
    run(settings(base, tmp_path / "run", trained / "clips"))
    resumed, whole = export(tmp_path / "run", tmp_path / "resumed"), export(trained / "run", tmp_path / "whole")
    assert all(resumed[name].equal(whole[name]) for name in whole)


def test_only_adapters_are_trained_and_begin_as_nothing(tiny_config: LumosConfig) -> None:
    with torch.device("meta"):
        model = add_lora(LumosForCausalLM(tiny_config), LoRAConfig(rank=2))
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert trained == adapters_of(model).keys()
    assert len(trained) == 2 * 7 * tiny_config.num_hidden_layers
    plain = LumosForCausalLM(tiny_config).state_dict().keys()
    with without_adapters(model):
        assert model.state_dict().keys() == plain
    assert len(adapters_of(model)) == len(trained)


def test_a_model_without_adapters_is_merged_into_itself(tiny_config: LumosConfig) -> None:
    model = LumosForCausalLM(tiny_config)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert all(tensor.equal(before[name]) for name, tensor in merge_lora(model).state_dict().items())


def test_generation_takes_adapters_and_its_record_names_them(tmp_path: Path) -> None:
    folder = make_model_folder(tmp_path / "model")
    with torch.device("meta"):
        model = add_lora(LumosForCausalLM.from_pretrained(folder).to("meta"), LoRAConfig(rank=2))
    model.to_empty(device="cpu")
    for parameter in adapters_of(model).values():
        torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(1))
    (tmp_path / "adapter").mkdir()
    save_lora(model, tmp_path / "adapter")
    plain = LumosPipeline.from_pretrained(folder, "cpu")
    adapted = LumosPipeline.from_pretrained(folder, "cpu", lora=tmp_path / "adapter")
    codes = [pipeline("a red circle", seed=1, num_frames=1).codes[0] for pipeline in (plain, adapted)]
    assert not codes[0].equal(codes[1])
    assert plain.files is not None
    assert adapted.files is not None
    assert model_hash(plain.files) != model_hash(adapted.files)
    words = ["generate", "--model", str(folder), "--prompt", "a red circle", "--num-frames", "1", "--seed", "1"]
    out = tmp_path / "out.png"
    assert main([*words, "--lora", str(tmp_path / "adapter"), "--out", str(out), "--device", "cpu"]) == 0
    first = out.read_bytes()
    again = tmp_path / "again.png"
    assert main(["generate", "--from-json", f"{out}.json", "--out", str(again), "--device", "cpu"]) == 0
    assert again.read_bytes() == first


def test_mistakes_are_named(base: Path, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"holds no adapters: it lacks adapter_config\.json"):
        load_lora(LumosForCausalLM.from_pretrained(base), tmp_path)
    other = LumosForCausalLM(LumosConfig(**{**MODEL, "intermediate_size": 40}, vocab=VOCAB))
    with pytest.raises(ValueError, match=r"adapter does not fit the model \(1 differences"):
        load_lora(other, exported / "adapter")
    with pytest.raises(ValueError, match="choose one or more of q_proj"):
        LoRAConfig(rank=2, targets=("q",))
    with pytest.raises(ValueError, match=r"lora\.rank is -1; it must be a whole number of at least 0"):
        LoRAConfig(rank=-1)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"peft, which is not installed; pip install -e '\.\[lora\]'"):
        add_lora(other, LoRAConfig(rank=2))


@pytest.mark.parametrize(("size", "memory_gb", "trained_m"), [("1B", 24, 11.3), ("3B", 40, 24.3)])
def test_one_gpu_trains_adapters_of_the_class(repo: Path, size: str, memory_gb: int, trained_m: float) -> None:
    """The arithmetic of configs/train/{1B,3B}_lora.yaml: videos of 2 s at 256p."""
    words = ["task.init_from=null", f"task.model_config={repo / 'configs' / 'model' / f'{size}.yaml'}"]
    estimate = estimate_run(load_config(RunConfig, repo / "configs" / "train" / f"{size}_lora.yaml", words))
    assert estimate.trainable / 1e6 == pytest.approx(trained_m, abs=0.05)
    assert estimate.trainable < sum(estimate.units.values()) / 100
    assert estimate.peak_bytes(checkpointing=True) + 2 * 2**30 < memory_gb * 1e9


def test_a_rank_above_that_of_every_layer_is_refused_before_anything_is_made() -> None:
    with torch.device("meta"):
        model = LumosForCausalLM(LumosConfig(**MODEL, vocab=VOCAB))
    with pytest.raises(ValueError, match=r"lora.rank is 100000, .* widest layer .*; set lora.rank to at most \d+,"):
        add_lora(model, LoRAConfig(rank=100_000))
    assert not adapters_of(model)
