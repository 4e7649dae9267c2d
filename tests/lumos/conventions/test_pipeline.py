"""What a pipeline can be told, tried on both."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from lumos import load_pipeline
from lumos.cli.commands import main
from tests.lumos.conventions.conftest import Kind

RED = "a red circle moves"


def latents(pipeline: Any, kind: Kind, **options: Any) -> torch.Tensor:
    made: torch.Tensor = pipeline(RED, seed=1, output_type="latent", **kind.small, **options).frames
    return made


def weight_dtype(pipeline: Any) -> torch.dtype:
    return next(iter(pipeline.model.parameters())).dtype


# --- dtype and device -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("load", ["own", "load_pipeline"])
def test_torch_dtype_says_dtype(kind: Kind, load: str) -> None:
    door: Callable[..., Any] = kind.load if load == "own" else load_pipeline
    named, ours = (door(kind.folder, device="cpu", **{word: torch.bfloat16}) for word in ("torch_dtype", "dtype"))
    assert named.dtype == ours.dtype == weight_dtype(named) == torch.bfloat16
    assert torch.equal(latents(named, kind), latents(ours, kind))
    assert door(kind.folder, "cpu", torch_dtype="float32", dtype="float32").dtype == torch.float32


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"torch_dtype": torch.float16}, "dtype is torch.float16; it must be bfloat16 or float32"),
        ({"torch_dtype": 16}, "torch_dtype is 16"),
        ({"torch_dtype": torch.float32, "dtype": "bfloat16"}, "torch_dtype is torch.float32, and dtype is bfloat16"),
        ({"variant": "fp16"}, "variant is a word of diffusers that has no meaning here; leave it out: dtype="),
        ({"revision": "main"}, "revision is a word .*`lumos download NAME`"),
        ({"vae": object()}, "vae is a word .*a model's parts lie in its folder"),
        ({"use_safetensors": "yes"}, "use_safetensors is a word of diffusers"),
        ({"atention_backend": "auto"}, "there is no argument 'atention_backend'; did you mean attention_backend"),
    ],
)
def test_what_loading_has_no_use_for_is_said(kind: Kind, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kind(**options)


def test_what_diffusers_would_do_anyway_is_let_through(kind: Kind) -> None:
    assert kind(use_safetensors=True, variant=None, low_cpu_mem_usage=True, force_download=False).dtype == torch.float32


def test_placement_of_lumos1_is_refused_by_the_other(kinds: dict[str, Kind]) -> None:
    for words in ({"weights": "int8"}, {"offload": True}, {"device_map": "auto"}):
        with pytest.raises(ValueError, match="is for Lumos-1, and this is Lumina-Video; leave it out"):
            kinds["lumina"](**words)


@pytest.mark.parametrize(
    "words",
    [((torch.bfloat16,), {}), (("cpu", torch.bfloat16), {}), ((), {"device": "cpu", "dtype": "bfloat16"})],
    ids=["dtype", "both", "named"],
)
def test_to_is_what_loading_would_have_been(kind: Kind, words: tuple[tuple[Any, ...], dict[str, Any]]) -> None:
    pipeline = kind()
    before = latents(pipeline, kind)
    assert pipeline.to(*words[0], **words[1]) is pipeline
    assert (pipeline.dtype, pipeline.device.type, weight_dtype(pipeline)) == (torch.bfloat16, "cpu", torch.bfloat16)
    made = latents(pipeline, kind)
    assert torch.equal(made, latents(kind(dtype="bfloat16"), kind))
    assert not torch.equal(made, before) or not made.is_floating_point()


def test_to_where_it_is_touches_nothing(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = kind()
    monkeypatch.setattr(type(pipeline), "_move", None)
    assert pipeline.to("cpu").to(torch.device("cpu")).to(torch.float32).to("cpu", torch.float32) is pipeline


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("quantum",), "device is 'quantum'; it must be cpu, cuda"),
        ((torch.float16,), "dtype is torch.float16; it must be bfloat16 or float32"),
        ((torch.float32, torch.bfloat16), r"to\(\) is given torch.bfloat16; give one device and one dtype"),
        ((3,), r"to\(\) is given 3; give one device and one dtype"),
    ],
)
def test_where_it_cannot_go_is_said(pipeline: Any, words: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pipeline.to(*words)


@pytest.mark.skipif(torch.accelerator.is_available(), reason="there is a GPU here")
def test_without_a_gpu_nothing_is_offloaded(pipeline: Any) -> None:
    with pytest.raises(ValueError, match="enable_model_cpu_offload needs a GPU, and PyTorch finds none here"):
        pipeline.enable_model_cpu_offload()
    with pytest.raises(ValueError, match="gpu_id and device are both given"):
        pipeline.enable_model_cpu_offload(0, "cuda")
    with pytest.raises(ValueError, match="device is 'cuda', but PyTorch finds no CUDA GPU here"):
        pipeline.to("cuda")


class Moves:
    """Where each part was told to go, in order, by the name of its class."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, device: torch.device) -> None:
        self.told: list[tuple[str, str]] = []
        moved, work = nn.Module.to, str(device)

        def to(module: nn.Module, *where: Any, **named: Any) -> nn.Module:
            if where and isinstance(where[0], str | torch.device) and not named:
                self.told.append((type(module).__name__, "work" if str(where[0]) == work else "rest"))
                return module
            return moved(module, *where, **named)

        monkeypatch.setattr(nn.Module, "to", to)


def test_offloaded_each_part_is_on_the_device_for_its_work_alone(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    """The device is the CPU under another name, for want of a GPU: what is told to go where is recorded."""
    pipeline, plain = kind(), kind()
    elsewhere = torch.device("cpu", 0)
    moves = Moves(monkeypatch, elsewhere)
    pipeline.enable_model_cpu_offload(device=elsewhere)
    rested = {part for part, where in moves.told if where == "rest"}
    moves.told.clear()
    assert all(where == "rest" for _, where in moves.told)
    made = pipeline(RED, seed=1, **kind.small).frames[0]
    turns = moves.told.copy()
    at_work: set[str] = set()
    for part, where in turns:  # nothing else is on the device while a part works
        if where == "work":
            assert not at_work - {part}
            at_work.add(part)
        else:
            at_work.discard(part)
    assert at_work == set()
    names = {part for part, where in turns if where == "work"}
    assert len(names) == (2 if kind.num_frames == 5 else 3)
    assert rested <= names
    assert [one.tobytes() for one in made] == [one.tobytes() for one in plain(RED, seed=1, **kind.small).frames[0]]
    assert pipeline.to("cpu") is pipeline


def test_a_part_at_rest_comes_back_after_an_error(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = kind()
    elsewhere = torch.device("cpu", 0)
    pipeline.enable_model_cpu_offload(device=elsewhere)
    moves = Moves(monkeypatch, elsewhere)

    def fail(*_: Any) -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        pipeline(RED, seed=1, callback_on_step_end=fail, **kind.small)
    assert moves.told[-1][1] == "rest"


# --- adapters ---------------------------------------------------------------------------------------------------------


def test_adapters_are_merged_as_when_they_are_loaded_with_the_model(kind: Kind, adapter: Path) -> None:
    later, plain, at_once = kind(), kind(), kind(lora=adapter)
    before = latents(later, kind)
    later.load_lora_weights(str(adapter))
    after = latents(later, kind)
    assert torch.equal(before, latents(plain, kind))
    assert torch.equal(after, latents(at_once, kind))
    assert not torch.equal(after, before)
    assert later.files.lora == adapter
    later.to(torch.bfloat16)
    if before.is_floating_point():  # Lumina-Video reads both anew; codes follow a rounding of the merged weights
        assert torch.equal(latents(later, kind), latents(kind(lora=adapter, dtype="bfloat16"), kind))
    with pytest.raises(ValueError, match=r"the adapters of .* are merged in already; load the pipeline again"):
        later.load_lora_weights(adapter)


def test_adapters_that_do_not_fit_leave_the_model_as_it_was(
    kind: Kind, kinds: dict[str, Kind], adapter: Path, tmp_path: Path
) -> None:
    other = kinds["lumina" if kind.num_frames == 5 else "lumos1"]()
    names, before = (
        list(other.model.state_dict()),
        latents(other, kinds["lumina" if kind.num_frames == 5 else "lumos1"]),
    )
    with pytest.raises(ValueError, match="does not fit the model"):
        other.load_lora_weights(adapter)
    assert list(other.model.state_dict()) == names
    assert torch.equal(latents(other, kinds["lumina" if kind.num_frames == 5 else "lumos1"]), before)
    with pytest.raises(ValueError, match="holds no adapters"):
        other.load_lora_weights(tmp_path)
    with pytest.raises(ValueError, match=r"adapter_name is a word of diffusers .*; leave it out"):
        other.load_lora_weights(adapter, adapter_name="style")


# --- saving -----------------------------------------------------------------------------------------------------------


def test_what_is_saved_is_the_whole_model_and_makes_the_same(
    kind: Kind, adapter: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pipeline, saved = kind(lora=adapter), tmp_path / "deep" / "saved"
    pipeline.save_pretrained(saved, safe_serialization=True, push_to_hub=False)
    nowhere = tmp_path / "empty"
    nowhere.mkdir()
    again = kind.load(saved, "cpu", ckpts=nowhere)
    assert (again.defaults, again.files.lora) == (pipeline.defaults, None)
    assert torch.equal(latents(again, kind), latents(pipeline, kind))
    for file in saved.rglob("*"):
        assert file.is_dir() or file.stat().st_mode & 0o777 == 0o644, file
    words = ["generate", "--model", str(saved), "--prompt", RED, "--out", str(tmp_path / "x.gif"), "--seed", "1"]
    assert main([*words, "--device", "cpu"]) == 0
    assert (tmp_path / "x.gif").is_file()


def test_a_saved_model_is_in_the_dtype_of_the_pipeline(kind: Kind, tmp_path: Path) -> None:
    kind(dtype="bfloat16").save_pretrained(tmp_path / "half")
    assert (tmp_path / "half" / "model.safetensors").stat().st_size < (
        0.6 * (kind.folder / "model.safetensors").stat().st_size
    )


def test_nothing_is_written_over_unasked(kind: Kind, pipeline: Any, tmp_path: Path) -> None:
    pipeline.save_pretrained(tmp_path / "saved")
    (tmp_path / "saved" / "mine.txt").write_text("x")
    with pytest.raises(ValueError, match=r"is there already; choose another folder, or give overwrite=True"):
        pipeline.save_pretrained(tmp_path / "saved")
    pipeline.save_pretrained(tmp_path / "saved", overwrite=True)
    assert not (tmp_path / "saved" / "mine.txt").exists()
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_text("x")
    with pytest.raises(ValueError, match="something else would be removed"):
        pipeline.save_pretrained(tmp_path / "photos", overwrite=True)
    with pytest.raises(ValueError, match="the model itself"):
        pipeline.save_pretrained(kind.folder, overwrite=True)
    with pytest.raises(ValueError, match="variant is a word of diffusers"):
        pipeline.save_pretrained(tmp_path / "other", variant="fp16")
    assert (tmp_path / "photos" / "a.jpg").is_file()
    assert not (tmp_path / "other").exists()


# --- words that have no meaning here ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "remedy"),
    [
        ("enable_sequential_cpu_offload", "enable_model_cpu_offload"),
        ("enable_vae_tiling", "tiled=True"),
        ("enable_xformers_memory_efficient_attention", "attention_backend="),
        ("scheduler", "preset="),
        ("transformer", ".model is the network"),
        ("unload_lora_weights", "load the pipeline again"),
    ],
)
def test_a_word_without_meaning_says_what_to_type(pipeline: Any, word: str, remedy: str) -> None:
    with pytest.raises(ValueError, match=rf"Pipeline' object has no attribute '{word}'; .*{remedy}"):
        getattr(pipeline, word)
    assert not hasattr(pipeline, word)


def test_a_slip_is_an_attribute_error(pipeline: Any) -> None:
    with pytest.raises(AttributeError, match=r"object has no attribute 'modell'$"):
        _ = pipeline.modell


def test_weights_that_are_not_whole_are_not_moved_merged_or_saved(kinds: dict[str, Kind], tmp_path: Path) -> None:
    pipeline = kinds["lumos1"]()
    pipeline._placed = "offload"
    calls: list[Callable[[], Any]] = [
        lambda: pipeline.to(torch.bfloat16),
        lambda: pipeline.enable_model_cpu_offload(device="cpu"),
        lambda: pipeline.load_lora_weights(tmp_path),
        lambda: pipeline.save_pretrained(tmp_path / "saved"),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="in one place, and this pipeline has offload; load it by from_pretrained"):
            call()
    assert pipeline.to("cpu") is pipeline
