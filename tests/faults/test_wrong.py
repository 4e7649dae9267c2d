"""What is wrong is said, in one line, and before it makes anything: weights, tokenizers, checkpoints, sizes, arrays."""

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from lumos.cli import main
from lumos.media.inputs import pixels_of
from lumos.media.writing import write_video
from lumos.tokenizer.visual import VisualTokenizer
from lumos.tokenizer.vocab import Vocab
from tests.lumos.lumina_video.tiny import tiny_lumina_folder
from tests.model_folder import MeanColourDecoder, make_model_folder
from tests.tiny_data import VOCAB
from xllmx.checkpoints.checkpoint import CheckpointError, CheckpointManager
from xllmx.checkpoints.folder import changed, to_resume
from xllmx.ranks.memory import memory_of, require_room

Said = Callable[..., str]


@pytest.fixture(scope="module")
def lumos1(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model_folder(tmp_path_factory.mktemp("models") / "lumos1")


@pytest.fixture(scope="module")
def lumina(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_lumina_folder(tmp_path_factory.mktemp("models") / "lumina")


@pytest.fixture
def copy(lumos1: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(lumos1, tmp_path / "model"))


@pytest.fixture
def said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Said:
    """The one line `lumos generate` ends with."""

    def generate(model: Path, *words: str) -> str:
        capsys.readouterr()
        size = () if "lumina" in str(model) else ("--num-frames", "5")
        status = main(
            ["generate", "--model", str(model), "--prompt", "a", *size, *words, "--out", str(tmp_path / "a.gif")]
        )
        error = capsys.readouterr().err
        assert (status, error.count("\n")) == (2, 1), error
        assert not (tmp_path / "a.gif").exists()
        return error

    return generate


@pytest.fixture
def doctor(capsys: pytest.CaptureFixture[str]) -> Said:
    def examine(model: Path) -> str:
        capsys.readouterr()
        status, lines = main(["doctor", "--model", str(model)]), capsys.readouterr().out.splitlines()
        assert status == (1 if any(line.startswith("FAIL") for line in lines) else 0)
        return "\n".join(line for line in lines if line.startswith("FAIL"))

    return examine


def spoil(file: Path, name: str, value: float) -> None:
    tensors = load_file(file)
    tensors[name].view(-1)[-1] = value
    save_file(tensors, file)


# --- weights ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("name", ["lm_head.weight", "model.layers.1.self_attn.q_norm.bias"])
def test_a_weight_that_is_not_finite_is_named(copy: Path, said: Said, doctor: Said, name: str, value: float) -> None:
    spoil(copy / "model.safetensors", name, value)
    for line in (said(copy), doctor(copy)):
        assert f"{name} in {copy / 'model.safetensors'} holds numbers that are not finite" in line


def test_finite_weights_that_overflow_are_said_with_frame_and_step(copy: Path, said: Said, doctor: Said) -> None:
    tensors = load_file(copy / "model.safetensors")
    tensors["model.norm.weight"].fill_(3e38)
    save_file(tensors, copy / "model.safetensors")
    assert "the logits of latent frame 0, refinement 0, are not finite" in said(copy)
    assert "the logits of latent frame 0, refinement 0, are not finite" in doctor(copy)


def test_weights_of_whole_numbers_are_refused(copy: Path, said: Said) -> None:
    tensors = load_file(copy / "model.safetensors")
    save_file({name: (tensor * 10).to(torch.int8) for name, tensor in tensors.items()}, copy / "model.safetensors")
    assert "is of type int8; weights are fractions" in said(copy)


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("model.safetensors", "layers.0.attention.wq.weight"),
        ("text_encoder/model.safetensors", "layers.0.mlp.up_proj.weight"),
        ("vae/diffusion_pytorch_model.safetensors", "decoder.conv_in.conv.weight"),
    ],
)
def test_doctor_reads_every_part_of_lumina_video(
    lumina: Path, tmp_path: Path, doctor: Said, file: str, name: str
) -> None:
    folder = Path(shutil.copytree(lumina, tmp_path / "lumina"))
    assert doctor(folder) == ""
    names = load_file(folder / file)
    found = next(stored for stored in names if stored.endswith(name))
    spoil(folder / file, found, float("nan"))
    assert f"{name} in " in doctor(folder)


def test_doctor_says_ok_of_what_generates(copy: Path, doctor: Said) -> None:
    assert doctor(copy) == ""


# --- tokenizers -------------------------------------------------------------------------------------------------------


class Answer(nn.Module):
    """Answers with the same whatever is asked."""

    def __init__(self, answer: Tensor) -> None:
        super().__init__()
        self.register_buffer("answer", answer)

    def forward(self, x: Tensor) -> Tensor:
        return self.answer


class Raises(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(7, 7)


def scripted(module: nn.Module) -> Any:
    return torch.jit.script(module)


def tokenizer(*, encoder: nn.Module | None = None, decoder: nn.Module | None = None) -> VisualTokenizer:
    return VisualTokenizer(scripted(encoder or Raises()), scripted(decoder or Raises()))


PIXELS = torch.zeros(1, 3, 5, 32, 64)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (torch.zeros(1, 3, 5, 7, 7), r"pixels \[1, 3, 5, 7, 7\] where \[1, 3, 5, 32, 64\] belong"),
        (torch.zeros(1, 1, 5, 32, 64), r"pixels \[1, 1, 5, 32, 64\]"),
        (torch.zeros(1, 3, 8, 32, 64), r"pixels \[1, 3, 8, 32, 64\]"),
        (torch.zeros(2, 3, 5, 32, 64), r"pixels \[2, 3, 5, 32, 64\]"),
        (torch.full_like(PIXELS, float("nan")), "holds numbers that are not finite"),
        (torch.full_like(PIXELS, float("inf")), "holds numbers that are not finite"),
        (torch.full_like(PIXELS, 255.0), "makes a pixel of 255, where -1 to 1 belong"),
        (torch.zeros_like(PIXELS, dtype=torch.uint8), "pixels of type uint8"),
    ],
)
def test_a_picture_that_is_none_is_said(answer: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tokenizer(decoder=Answer(answer)).decode(torch.zeros(1, 2, 4, 8, dtype=torch.long))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (torch.zeros(1, 2, 4, 8), "codes of type float32, no whole numbers"),
        (torch.zeros(1, 2, 4, 8, dtype=torch.bool), "codes of type bool"),
        (torch.full((1, 2, 4, 8), -1), "makes code -1"),
        (torch.zeros(1, 3, 4, 8, dtype=torch.long), r"codes \[1, 3, 4, 8\] where \[1, 2, 4, 8\] belong"),
        (torch.zeros(1, 2, 8, 4, dtype=torch.long), r"codes \[1, 2, 8, 4\]"),
        (torch.zeros(2, 4, 8, dtype=torch.long), r"codes \[2, 4, 8\]"),
    ],
)
def test_codes_that_are_none_are_said(answer: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tokenizer(encoder=Answer(answer)).encode(PIXELS)


def test_a_tokenizer_that_fails_is_one_line() -> None:
    with pytest.raises(ValueError, match=r"encoder\.jit fails on an input of 1x3x5x32x64") as raised:
        tokenizer().encode(PIXELS)
    assert "\n" not in str(raised.value)


def test_generate_and_doctor_say_a_wrong_decoder(copy: Path, said: Said, doctor: Said) -> None:
    scripted(Answer(torch.zeros(1, 3, 5, 7, 7))).save(str(copy / "visual_tokenizer" / "decoder.jit"))
    assert "pixels [1, 3, 5, 7, 7] where" in said(copy)
    assert "pixels [1, 3, 5, 7, 7] where" in doctor(copy)


def test_a_number_of_a_tokenizer_that_is_not_finite_is_named(copy: Path, said: Said) -> None:
    half = MeanColourDecoder()
    half.levels.data[1] = float("nan")
    scripted(half).save(str(copy / "visual_tokenizer" / "decoder.jit"))
    assert f"levels in {copy / 'visual_tokenizer' / 'decoder.jit'} holds numbers that are not finite" in said(copy)


@pytest.mark.parametrize(
    ("field", "value"),
    [("mask", 256), ("eos", 257), ("video_end", 310), ("separator", 266), ("pad", 50), ("digit_base", 250),
     ("number_base", 280), ("code_base", 300)],
)  # fmt: skip
def test_ids_that_collide_are_refused(field: str, value: int) -> None:
    with pytest.raises(ValueError, match=r"vocab\.\w+ is \d+, an id of \w+"):
        Vocab(**{**VOCAB, field: value})


# --- checkpoints ------------------------------------------------------------------------------------------------------


def flip(checkpoint: Path) -> str:
    """Change one bit in the middle of a checkpoint's data; return the file's name."""
    file = next(checkpoint.glob("*.distcp"))
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))
    return file.name


def state(value: float) -> dict[str, Any]:
    return {"model": {"weight": torch.full((30, 50), value)}}


@pytest.fixture
def manager(tmp_path: Path) -> CheckpointManager:
    made = CheckpointManager(tmp_path / "checkpoints", keep=2)
    for step in (1, 2, 3):
        made.save(step, state(float(step)))
    return made


def test_every_file_of_a_checkpoint_has_a_hash(manager: CheckpointManager) -> None:
    newest = manager.valid()[-1]
    record = json.loads((newest / "checkpoint.json").read_text())
    assert record["sha256"].keys() == record["files"].keys() == {".metadata", "__0_0.distcp"}
    assert changed(newest) is None
    assert changed(manager.valid()[0]) is None


@pytest.mark.parametrize("file", [".metadata", "__0_0.distcp"])
def test_one_bit_is_seen(manager: CheckpointManager, file: str) -> None:
    path = manager.valid()[-1] / file
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 64
    path.write_bytes(bytes(content))
    assert changed(manager.valid()[-1]) == file


def test_a_run_goes_on_from_the_one_before_and_keeps_it(
    manager: CheckpointManager, caplog: pytest.LogCaptureFixture
) -> None:
    rotten = manager.valid()[-1]
    name = flip(rotten)
    with caplog.at_level(logging.WARNING):
        found = to_resume(manager.folder, allowed=True)
    assert found is not None
    assert found.name == "step-00000002"
    assert f"{rotten} is damaged ({name} is not what was written): the run goes on from {found}" in caplog.text
    manager.keep = 1
    manager.save(3, state(3.5))  # the same step again: the good one is kept, not pushed out by the rotten one
    assert [path.name for path in manager.valid()] == ["step-00000003"]
    assert float(manager.load(manager.valid()[0], state(0.0))["model"]["weight"][0, 0]) == 3.5


def test_nothing_is_set_aside_where_no_other_is_left(manager: CheckpointManager) -> None:
    for path in manager.valid():
        flip(path)
    before = sorted(path.name for path in manager.folder.iterdir())
    with pytest.raises(ValueError, match="not what was written\\) and there is no other"):
        to_resume(manager.folder, allowed=True)
    assert sorted(path.name for path in manager.folder.iterdir()) == before
    assert to_resume(manager.folder, allowed=True, check_hashes=False) == manager.valid()[-1]


def test_a_checkpoint_of_an_earlier_version_has_no_hashes_and_is_read(manager: CheckpointManager) -> None:
    newest = manager.valid()[-1]
    record = json.loads((newest / "checkpoint.json").read_text())
    del record["sha256"]
    (newest / "checkpoint.json").write_text(json.dumps(record))
    flip(newest)
    assert to_resume(manager.folder, allowed=True) == newest


def test_numbers_of_a_checkpoint_that_are_not_finite_are_named(manager: CheckpointManager) -> None:
    spoilt = state(1.0)
    spoilt["model"]["weight"][2, 3] = float("inf")
    manager.save(4, spoilt)
    with pytest.raises(CheckpointError, match=r"step-00000004 is not read: model\.weight holds numbers that are not"):
        manager.load(manager.valid()[-1], state(0.0))


# --- sizes ------------------------------------------------------------------------------------------------------------


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_hidden_layers", 10**6), ("num_hidden_layers", 10**12), ("hidden_size", 48 * 10**9),
        ("vocab_size", 10**12),
        ("intermediate_size", 10**12), ("num_attention_heads", 10**9), ("max_position_embeddings", 10**12),
        ("num_attention_heads", 7),
    ],
)  # fmt: skip
def test_a_config_of_absurd_size_is_refused(copy: Path, said: Said, name: str, value: int) -> None:
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, name: value}))
    assert "config.json: " in said(copy)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("file", "name", "value"),
    [
        ("config.json", "n_layers", 10**6), ("config.json", "dim", 96 * 10**9), ("config.json", "n_heads", 7),
        ("vae/config.json", "layers_per_block", 10**9), ("vae/config.json", "block_out_channels", [10**9] * 4),
        ("vae/config.json", "block_out_channels", []), ("vae/config.json", "scaling_factor", 0),
        ("vae/config.json", "norm_num_groups", 7), ("vae/config.json", "block_out_channels", [8] * 10**4),
        ("text_encoder/config.json", "num_hidden_layers", 10**6), ("text_encoder/config.json", "vocab_size", 10**12),
        ("text_encoder/config.json", "head_dim", 10**9), ("text_encoder/config.json", "num_key_value_heads", 7),
    ],
)  # fmt: skip
def test_a_config_of_lumina_video_of_absurd_size_is_refused(
    lumina: Path, tmp_path: Path, said: Said, file: str, name: str, value: Any
) -> None:
    folder = Path(shutil.copytree(lumina, tmp_path / "lumina"))
    config = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps({**config, name: value}))
    assert said(folder)


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "words",
    [("--width", "64000000"), ("--num-frames", "1000000000"), ("--steps", "1000000000"), ("--fps", "1" + "0" * 30),
     ("--batch-size", "0"), ("--duration", "1000000000")],
)  # fmt: skip
def test_a_clip_of_absurd_size_is_refused_and_not_reckoned_either(
    lumos1: Path, said: Said, words: tuple[str, ...]
) -> None:
    assert words[0] in said(lumos1, *words)
    assert words[0] in said(lumos1, *words, "--dry-run")


def test_a_model_larger_than_the_machine_is_refused_before_it_is_made() -> None:
    cpu = torch.device("cpu")
    with torch.device("meta"):
        model = nn.Linear(2**20, memory_of(cpu) // 2**21)
    with pytest.raises(ValueError, match=r"the weights of the model take .* GiB in fp32 and cpu has"):
        require_room(model, cpu)
    require_room(model, cpu, shards=4)


# --- what is handed in ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "image",
    [
        np.full((4, 6, 3), np.nan), np.full((4, 6, 3), 1.5), np.full((4, 6, 3), -0.1), np.zeros((4, 6, 3), complex),
        np.zeros((0, 6, 3)), np.zeros((4, 6, 4)), np.zeros((4, 6)), np.zeros((4, 6, 3), int), np.zeros((4, 6, 3), bool),
        torch.full((4, 6, 3), float("inf")), torch.zeros(4, 6, 3, dtype=torch.complex64),
        torch.zeros(4, 6, 3, device="meta"), torch.zeros(4, 6, 3).to_sparse(), torch.zeros(4, 6, 3, dtype=torch.int64),
    ],
    ids=lambda image: f"{type(image).__name__}-{image.dtype}-{list(image.shape)}",
)  # fmt: skip
def test_an_array_that_is_no_picture_is_refused(image: Any) -> None:
    with pytest.raises(ValueError, match="the image is"):
        pixels_of(image)


def test_bytes_in_a_tensor_are_bytes() -> None:
    image = torch.arange(72, dtype=torch.uint8).view(4, 6, 3)
    assert (pixels_of(image) == image.numpy()).all()


@pytest.mark.parametrize("fps", [float("nan"), float("inf"), 0, -4, 10**9])
def test_a_rate_no_video_has_is_refused(tmp_path: Path, fps: float) -> None:
    with pytest.raises(ValueError, match="fps is"):
        write_video(tmp_path / "a.mp4", np.zeros((2, 4, 6, 3), np.uint8), fps=fps)
    assert not list(tmp_path.iterdir())
