"""Names -> folders: bundled, released and of one's own; which model a folder holds, and what it lacks."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from lumos.hub import models as hub
from tests.lumos.hub.hub_server import INDEX


def fake_model(folder: Path) -> Path:
    (folder / "visual_tokenizer").mkdir(parents=True)
    for name in ("config.json", "text_tokenizer.json"):
        (folder / name).write_text("{}")
    for name in ("model.safetensors", "visual_tokenizer/encoder.jit", "visual_tokenizer/decoder.jit"):
        (folder / name).write_bytes(b"x")
    return folder


def without_a_shard(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_bytes(INDEX)


def test_the_default_name_is_the_bundled_folder_with_its_own_tokenizers(tmp_path: Path) -> None:
    folder = fake_model(tmp_path / "lumos-tiny")
    (folder / "generation_config.json").write_text('{"width": 64, "fps": 6}')
    files = hub.resolve(root=tmp_path)
    assert (files.model, files.text_tokenizer) == (folder, folder / "text_tokenizer.json")
    assert files.visual_tokenizer == folder / "visual_tokenizer"
    assert files.defaults == {"width": 64, "fps": 6}


def test_a_released_tree_placed_by_hand_uses_the_shared_tokenizers(tmp_path: Path) -> None:
    folder = tmp_path / "3B" / "stage-1-image"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "pytorch_model.bin").write_bytes(b"x")
    text = tmp_path / "cosmos/tokenizer/text_tokenizer.json"
    visual = tmp_path / "cosmos/Cosmos-Tokenizer-DV4x8x8"
    for place in (text, visual / "encoder.jit", visual / "decoder.jit"):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(b"x")
    for name in ("3B/stage-1-image", str(folder)):
        files = hub.resolve(name, tmp_path)
        assert (files.text_tokenizer, files.visual_tokenizer) == (text, visual)
        assert files.defaults == {"width": 448, "height": 256, "num_frames": 1}


def test_a_folder_anywhere_is_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = fake_model(tmp_path / "runs" / "mine")
    monkeypatch.chdir(tmp_path)
    assert hub.resolve("runs/mine", tmp_path / "ckpts").model == Path("runs/mine")
    assert hub.resolve(folder, tmp_path / "ckpts").model == folder


@pytest.mark.parametrize("name", ["1B/stage-1-image", "3B/v2-stage2-joint-384p-sft", "someone/little/run"])
def test_an_absent_model_names_the_command_that_brings_it(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"run: lumos download {name}$"):
        hub.resolve(name, tmp_path)


def test_a_misspelt_name_is_corrected(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="did you mean 1B/stage-1-image"):
        hub.resolve("1B/stage-1-imag", tmp_path)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "config.json").unlink(), "has no config.json"),
        (lambda folder: (folder / "model.safetensors").unlink(), "has no weights"),
        (without_a_shard, "lacks model-00001-of-00001"),
        (lambda folder: (folder / "model.safetensors.ab.part").touch(), "not finished"),
        (lambda folder: (folder / "text_tokenizer.json").unlink(), "no text tokenizer"),
        (lambda folder: (folder / "visual_tokenizer/decoder.jit").unlink(), "no visual tokenizer"),
        (
            lambda folder: (folder / "generation_config.json").write_text("{"),
            "generation_config.json is not valid JSON",
        ),
    ],
)
def test_an_incomplete_folder_says_what_it_lacks(spoil: object, message: str, tmp_path: Path) -> None:
    spoil(fake_model(tmp_path / "lumos-tiny"))  # type: ignore[operator]
    with pytest.raises(ValueError, match=message):
        hub.resolve(root=tmp_path)


# --- which model ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        ({"config.json": {"model_type": "chameleon"}}, hub.LUMOS1),
        ({"config.json": {}}, hub.LUMOS1),
        ({"config.json": {"model_type": "lumina_video"}}, hub.LUMINA_VIDEO),
        ({"model_args.pth": {}}, hub.LUMINA_VIDEO),
        ({"model_args.pth": {}, "config.json": {"library": "pytorch"}}, hub.LUMINA_VIDEO),
    ],
)
def test_a_folder_says_which_model_it_holds(files: dict[str, object], kind: str, tmp_path: Path) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(json.dumps(content))
    assert hub.kind_of(tmp_path) == kind


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {},
            "holds no model: it has neither a config.json nor a model_args.pth; give a folder of Lumos-1 or of Lumina",
        ),
        ({"config.json": '{"model_type": "gemma2"}'}, "type 'gemma2'; give one of lumos1 .* or lumina_video"),
        ({"config.json": "{half"}, "config.json is not valid JSON"),
        ({"model.safetensors.0123.part": ""}, "is not finished; run the same `lumos download` again"),
    ],
)
def test_a_folder_of_neither_model_is_one_clear_line(files: dict[str, str], message: str, tmp_path: Path) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=message) as caught:
        hub.kind_of(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["model_args.pth", "config.json"])
def test_a_folder_of_the_other_model_is_not_taken_for_lumos1(name: str, tmp_path: Path) -> None:
    folder = fake_model(tmp_path / "lumina")
    (folder / "config.json").unlink()
    (folder / name).write_text('{"model_type": "lumina_video"}')
    with pytest.raises(ValueError, match=r"lumina holds a model of Lumina-Video, and this takes one of Lumos-1"):
        hub.resolve(folder, tmp_path)


def test_a_slip_in_the_name_of_a_folder_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models/my_clips").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"there is no folder 'models/my_clip'; did you mean models/my_clips\?"):
        hub.resolve("models/my_clip", tmp_path / "ckpts")
    with pytest.raises(ValueError, match=r"the model 'models/other' is not in .*; run: lumos download models/other"):
        hub.resolve("models/other", tmp_path / "ckpts")


def test_a_git_lfs_pointer_is_refused(tmp_path: Path) -> None:
    folder = fake_model(tmp_path / "lumos-tiny")
    (folder / "model.safetensors").write_text("version https:" + "//git-lfs\noid sha256:0\nsize 9\n")
    with pytest.raises(ValueError, match=r"model.safetensors is a git LFS pointer, .*run `git lfs pull` there"):
        hub.resolve(root=tmp_path)


def test_what_decides_the_output_of_a_model_is_listed(tmp_path: Path) -> None:
    files = hub.resolve(fake_model(tmp_path / "lumos-tiny"), tmp_path)
    names = ["config.json", "model.safetensors", "text_tokenizer.json", "encoder.jit", "decoder.jit"]
    assert [path.name for path in files.paths_to_hash] == names
    adapted = replace(files, lora=tmp_path / "adapters")
    assert [path.name for path in adapted.paths_to_hash[5:]] == ["adapter_config.json", "adapter_model.safetensors"]


@pytest.mark.parametrize("inside", [".", "checkpoints", "checkpoints/step-00000004"])
def test_a_training_run_is_no_model_and_says_what_makes_one_of_it(tmp_path: Path, inside: str) -> None:
    run = tmp_path / "run"
    (run / "checkpoints" / "step-00000004").mkdir(parents=True)
    (run / "config.yaml").write_text("model: lumos1")
    for look in (hub.kind_of, hub.check_weights, lambda folder: hub.resolve(folder)):
        with pytest.raises(ValueError, match=rf"no model yet; make one of it: lumos export {run} FOLDER"):
            look(run / inside)


def test_a_setting_names_a_model_as_an_option_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "ckpts_root", lambda root=None: tmp_path / "ckpts")
    (tmp_path / "ckpts" / "org" / "mine").mkdir(parents=True)
    (tmp_path / "runs" / "model").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert hub.named_folder("org/mine") == tmp_path / "ckpts" / "org" / "mine"
    assert hub.named_folder("runs/model") == Path("runs/model")
    assert hub.named_folder("ckpts/org/mine") == Path("ckpts/org/mine")
    assert hub.named_folder("nowhere") == Path("nowhere")
