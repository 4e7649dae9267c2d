"""Files as a stranger might hand them on: each ends a command with one line, quickly, and nothing of it has run.

One reproduction of every kind, at the commands a user types; the readers' own tests have the variants.
"""

import json
import pickle
import struct
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from lumos.cli import main
from lumos.hub.hashes import keep_hash
from lumos.lumos1.data.clips import ClipDataset
from tests.faults.hostile_files import CONFIGS, DEEP, LISTS, Runs, shared_lists
from tests.lumos.hub.hostile_hub import announced, endless, hostile
from tests.model_folder import make_model_folder

MOST_SECONDS = 30.0
"""For one refusal; loading torch and a loaded machine included."""

Spoil = Callable[[Path, Path], None]
"""Changes a folder so that reading it carelessly would make the marker."""


def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The one line that a command ends with."""
    capsys.readouterr()
    begun = time.monotonic()
    status = main(list(words))
    taken, shown = time.monotonic() - begun, capsys.readouterr()
    assert status == 2, shown
    assert taken < MOST_SECONDS
    error = shown.err
    assert error.count("\n") == 1, error
    assert error.startswith("lumos: error: ")
    assert len(error) < 1500
    return error


# --- a model ----------------------------------------------------------------------------------------------------------


class Writes(nn.Module):
    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.from_file(self.path, True, 16).sum()


class Endless(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        while x.numel() > 0:
            x = x + 1
        return x


def spoiled(content: Any, name: str) -> Spoil:
    def spoil(folder: Path, marker: Path) -> None:
        path = folder / name
        before = json.loads(path.read_text()) if isinstance(content, dict) and path.is_file() else {}
        path.write_text(json.dumps(before | content) if isinstance(content, dict) else content)

    return spoil


def script(half: str, module: Callable[[Path], nn.Module]) -> Spoil:
    def spoil(folder: Path, marker: Path) -> None:
        torch.jit.script(module(marker)).save(str(folder / "visual_tokenizer" / f"{half}.jit"))

    return spoil


def repacked(how: Callable[[str, bytes, Path], tuple[str, bytes]]) -> Spoil:
    """A decoder whose parts are others."""

    def spoil(folder: Path, marker: Path) -> None:
        path = folder / "visual_tokenizer/decoder.jit"
        with zipfile.ZipFile(path) as archive:
            parts = [how(name, archive.read(name), marker) for name in archive.namelist()]
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in parts:
                archive.writestr(name, content)

    return spoil


def weights(content: Callable[[Path], bytes]) -> Spoil:
    def spoil(folder: Path, marker: Path) -> None:
        (folder / "model.safetensors").unlink()
        (folder / "pytorch_model.bin").write_bytes(content(marker))

    return spoil


def index_of(name: str) -> Spoil:
    def spoil(folder: Path, marker: Path) -> None:
        (folder / "model.safetensors").rename(folder.parent / "elsewhere.safetensors")
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"x": name}}))

    return spoil


def header(length: int) -> Spoil:
    return lambda folder, marker: (folder / "model.safetensors").write_bytes(struct.pack("<Q", length) + b"{}") and None


def stale_hash(folder: Path, marker: Path) -> None:
    path = folder / "visual_tokenizer/encoder.jit"
    keep_hash(path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def normaliser(folder: Path, marker: Path) -> None:
    path = folder / "text_tokenizer.json"
    step = {"type": "Replace", "pattern": {"String": "e"}, "content": "ee"}
    content = json.loads(path.read_text()) | {"normalizer": {"type": "Sequence", "normalizers": [step] * 30}}
    path.write_text(json.dumps(content))


def expression(folder: Path, marker: Path) -> None:
    path = folder / "text_tokenizer.json"
    step = {"type": "Split", "pattern": {"Regex": "(.+)+$"}, "behavior": "Isolated", "invert": False}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"pre_tokenizer": step}))


PARTS = {
    "a climbing name": lambda name, content, marker: (name.replace("data.pkl", "../../data.pkl"), content),
    "a pickle that runs": lambda name, content, marker: (
        name, pickle.dumps(Runs(marker), 2) if name.endswith("data.pkl") else content
    ),
    "code of Python": lambda name, content, marker: (
        name, b"import os\n" + content if name.endswith(".py") else content
    ),
}  # fmt: skip
MODELS: dict[str, tuple[Spoil, str]] = {
    "an encoder that writes": (script("encoder", lambda marker: Writes(str(marker))), "aten::from_file"),
    "a decoder that writes": (script("decoder", lambda marker: Writes(str(marker))), "aten::from_file"),
    "a decoder without end": (script("decoder", lambda marker: Endless()), "may turn without end"),
    **{f"a decoder with {name}": (repacked(how), "decoder.jit is not a TorchScript") for name, how in PARTS.items()},
    "an encoder that changed": (stale_hash, "is not the file that was downloaded"),
    "deep hashes": (spoiled(DEEP, "visual_tokenizer/.hashes.json"), "more than 64 levels"),
    "weights that run": (weights(lambda marker: pickle.dumps(Runs(marker), 2)), "pytorch_model.bin cannot be read"),
    "weights that run, newer": (weights(lambda marker: pickle.dumps(Runs(marker), 5)), "cannot be read"),
    "weights of one memo": (weights(lambda marker: b"\x80\x02K\x01r\0\0\0\x18."), "pytorch_model.bin cannot be read"),
    "a header of 2^63 bytes": (header(2**63), "model.safetensors"),
    "a header beyond the file": (header(10**6), "model.safetensors"),
    "an index that leads to /etc": (index_of("/etc/passwd"), "lies outside"),
    "an index that climbs": (index_of("../elsewhere.safetensors"), "lies outside"),
    "an index of numbers": (index_of(7), "no path of a file"),  # type: ignore[arg-type]
    "a deep config": (spoiled(DEEP, "config.json"), "more than 64 levels"),
    "deep defaults": (spoiled(DEEP, "generation_config.json"), "more than 64 levels"),
    "5000 digits": (spoiled('{"width": ' + "9" * 5000 + "}", "generation_config.json"), "thousands of digits"),
    "a deep tokenizer": (spoiled(DEEP, "text_tokenizer.json"), "not a tokenizers-library file"),
    "a tokenizer that doubles": (normaliser, "many times as long"),
    "a tokenizer that tries for years": (expression, "repeats a repetition"),
}  # fmt: skip


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model_folder(tmp_path_factory.mktemp("honest") / "model")


@pytest.fixture
def model(honest: Path, tmp_path: Path) -> Path:
    """A model folder to spoil."""
    folder = tmp_path / "room" / "model"
    for path in honest.rglob("*"):
        if path.is_file():
            place = folder / path.relative_to(honest)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(path.read_bytes())
    return folder


def making(model: Path, out: Path, *more: str) -> list[str]:
    words = ["generate", "--model", str(model), "--prompt", "a circle that moves", "--num-frames", "1", "--steps", "1"]
    return [*words, "--device", "cpu", "--out", str(out), *more]


def test_the_honest_model_generates(model: Path, tmp_path: Path) -> None:
    assert main(making(model, tmp_path / "o.png")) == 0


@pytest.mark.parametrize("kind", MODELS)
def test_a_model_of_a_stranger_ends_in_one_line_and_nothing_of_it_runs(
    kind: str, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil, reason = MODELS[kind]
    spoil(model, tmp_path / "marker")
    assert reason in said(capsys, *making(model, tmp_path / "o.png"))
    assert not (tmp_path / "marker").exists()
    assert not (tmp_path / "o.png").exists()


def test_code_that_a_config_names_is_not_imported(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (model / "stranger.py").write_text(f"open({str(tmp_path / 'marker')!r}, 'w')")
    monkeypatch.syspath_prepend(str(model))
    named = {"auto_map": {"AutoConfig": "stranger.X", "AutoModelForCausalLM": "stranger.X"}, "trust_remote_code": True}
    spoiled(named, "config.json")(model, tmp_path)
    (model / "tokenizer_config.json").write_text(json.dumps(named | {"tokenizer_class": "stranger.X"}))
    main(making(model, tmp_path / "o.png"))
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"target_modules": "(.*)+x"}, "no patterns"),
        ({"megatron_config": {"x": 1}, "megatron_core": "stranger"}, "megatron_config"),
        ({"rank_pattern": {"(.*)+x": 1}}, "no patterns"),
        ({"r": 10**15}, "r is 1000000000000000"),
    ],
)
def test_adapters_of_a_stranger(
    changed: dict[str, Any], reason: str, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("peft")
    folder = tmp_path / "adapter"
    folder.mkdir()
    plain = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q_proj"]}
    (folder / "adapter_config.json").write_text(json.dumps(plain | changed))
    (folder / "adapter_model.safetensors").write_bytes(struct.pack("<Q", 2) + b"{}")
    assert reason in said(capsys, *making(model, tmp_path / "o.png", "--lora", str(folder)))


@pytest.mark.parametrize("how", [2, 5])
def test_settings_of_a_released_model_that_would_run(
    how: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "lumina"
    folder.mkdir()
    (folder / "model_args.pth").write_bytes(pickle.dumps(Runs(tmp_path / "marker"), how))
    (folder / "consolidated.00-of-01.pth").write_bytes(pickle.dumps(Runs(tmp_path / "marker"), how))
    said(
        capsys, "generate", "--model", str(folder), "--prompt", "a", "--device", "cpu", "--out", str(tmp_path / "o.mp4")
    )
    assert not (tmp_path / "marker").exists()


# --- a record ---------------------------------------------------------------------------------------------------------


def test_a_record_writes_and_reads_beside_itself_only(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    room = tmp_path / "room"
    assert main(making(model, room / "o.png")) == 0
    Image.new("RGB", (96, 64)).save(tmp_path / "secret.png")
    (room / "link.png").symlink_to(tmp_path / "secret.png")
    path = room / "o.png.json"
    written = json.loads(path.read_text())
    before = sorted(tmp_path.iterdir())
    outside = ("..", "../o2.png", str(tmp_path / "o3.png"), "model/../../o.png")
    for name in outside:
        path.write_text(json.dumps(written | {"output": name}))
        assert "o.png.json names" in said(capsys, "generate", "--from-json", str(path), "--device", "cpu")
    for name in ("../secret.png", str(tmp_path / "secret.png"), "link.png", "/dev/zero", "\0", "~/secret.png/../../.."):
        path.write_text(json.dumps(written | {"image": name, "image_hash": "x"}))
        said(capsys, "generate", "--from-json", str(path), "--device", "cpu")
    for name in ("/", "../..", str(tmp_path)):
        path.write_text(json.dumps(written | {"model": name}))
        assert "--model NAME" in said(capsys, "generate", "--from-json", str(path), "--device", "cpu")
    path.write_text(DEEP)
    assert "more than 64 levels" in said(capsys, "generate", "--from-json", str(path))
    assert sorted(tmp_path.iterdir()) == before


# --- a run ------------------------------------------------------------------------------------------------------------


def run_folder(tmp_path: Path, repo: Path, metadata: bytes) -> Path:
    run = tmp_path / "run"
    step = run / "checkpoints/step-00000004"
    step.mkdir(parents=True)
    (step / ".metadata").write_bytes(metadata)
    (step / "checkpoint.json").write_text(json.dumps({"step": 4, "files": {".metadata": len(metadata)}}))
    (run / "config.yaml").write_text((repo / "configs/train/debug.yaml").read_text())
    return run


@pytest.mark.parametrize("kind", LISTS)
def test_a_run_of_a_stranger_is_not_exported(
    kind: str, tmp_path: Path, repo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_folder(tmp_path, repo, LISTS[kind](tmp_path / "marker"))
    assert "step-00000004" in said(capsys, "export", str(run), str(tmp_path / "model"))
    assert not (tmp_path / "marker").exists()
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_config_of_a_stranger(
    kind: str, tmp_path: Path, repo: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_SECRET", "hunter2")
    run = run_folder(tmp_path, repo, pickle.dumps({}))
    (run / "config.yaml").write_text(CONFIGS[kind].replace("MARKER", str(tmp_path / "marker")))
    for words in (
        ["export", str(run), str(tmp_path / "model")],
        ["train", "--config", str(run / "config.yaml"), f"trainer.run_dir={tmp_path / 'new'}"],
    ):
        error = said(capsys, *words)
        assert "config.yaml" in error
        assert "hunter2" not in error
    assert not (tmp_path / "marker").exists()
    assert not (tmp_path / "new").exists()


# --- clips ------------------------------------------------------------------------------------------------------------


CLIPS: dict[str, Callable[[Path], bytes]] = LISTS | {"shared lists": lambda marker: shared_lists()}


@pytest.mark.parametrize("kind", CLIPS)
def test_a_released_pickle_of_a_stranger(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "clip.pkl"
    path.write_bytes(CLIPS[kind](tmp_path / "marker"))
    begun = time.monotonic()
    with pytest.raises(ValueError, match=r"clip\.pkl") as caught:
        ClipDataset(path)[0]
    assert time.monotonic() - begun < 5
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize("name", ["../out.parquet", "/etc/passwd", "a/../../out.parquet", "C:\\x", "\0", "", 7, None])
def test_an_index_of_clips_stays_in_its_folder(name: object, tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    folder.mkdir()
    index = {"format": "lumos-clips", "version": 1, "shards": [{"file": name, "clips": 1, "name": name}]}
    (folder / "index.json").write_text(json.dumps(index))
    with pytest.raises(ValueError, match=r"index\.json") as caught:
        ClipDataset(folder)
    assert "\n" not in str(caught.value)


# --- the hub ----------------------------------------------------------------------------------------------------------


def test_a_hub_that_sends_without_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    with hostile(weights=lambda handler: announced(handler, endless, Connection="close")) as url:
        monkeypatch.setenv("HF_ENDPOINT", url)
        status = main(["download", "org/name", "--ckpts", str(tmp_path)])
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert (status, "announced 100 bytes of org/name/model.safetensors and sends more" in last) == (2, True), last
    assert not list(tmp_path.rglob("*.safetensors*"))


def test_the_traps_work(tmp_path: Path) -> None:
    for kind in ("a call", "a call, oldest form", "eval"):
        (tmp_path / "marker").unlink(missing_ok=True)
        pickle.loads(LISTS[kind](tmp_path / "marker"))
        assert (tmp_path / "marker").exists(), kind


def test_doctor_compares_what_was_downloaded(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("model.safetensors", "config.json"):
        keep_hash(model / name)
    assert main(["doctor", "--model", str(model)]) == 0
    assert "OK    downloaded files: 2 as they came from the hub" in capsys.readouterr().out
    content = bytearray((model / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (model / "model.safetensors").write_bytes(content)
    assert main(["doctor", "--model", str(model)]) == 1
    assert "FAIL  downloaded files: " in capsys.readouterr().out
