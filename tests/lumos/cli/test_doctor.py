"""`lumos doctor`: a whole model passes, a broken one is told what it needs."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lumos.cli.console import Lumos


def test_doctor_passes_a_whole_model_and_names_what_a_broken_one_needs(
    lumos: Lumos, ckpts: Path, tmp_path: Path
) -> None:
    status, said, _ = lumos("doctor")
    assert status == 0, said
    assert all(line.startswith("OK") for line in said.splitlines())
    assert "96x64" in said
    broken = Path(shutil.copytree(ckpts / "lumos-tiny", tmp_path / "broken"))
    config = json.loads((broken / "config.json").read_text())
    config["vocab"]["mask"], config["vocab"]["video_end"] = config["vocab"]["video_end"], config["vocab"]["mask"]
    (broken / "config.json").write_text(json.dumps(config))
    (broken / "model.safetensors").write_bytes((broken / "model.safetensors").read_bytes()[:-9])
    status, said, _ = lumos("doctor", "--model", "./broken")
    assert status == 1
    failed = [line for line in said.splitlines() if line.startswith("FAIL")]
    assert len(failed) == 2
    assert "bytes where its header says" in failed[0]
    assert "model and text tokenizer disagree" in failed[1]
    status, said, _ = lumos("doctor", "--model", "3B/stage-2-joint")
    assert status == 1
    assert "run: lumos download 3B/stage-2-joint" in said


def test_the_lines_that_are_shown_are_those_that_are_printed(lumos: Lumos) -> None:
    page = (Path(__file__).parents[3] / "INSTALL.md").read_text(encoding="utf-8")
    shown = page.partition("$ lumos doctor\n")[2].partition("```")[0]

    def alike(text: str) -> list[str]:
        """The lines without what differs from machine to machine: the GPU or its absence, paths, numbers, sizes."""
        lines = [line for line in text.splitlines() if not line.startswith("OK    PyTorch: ")]
        return [re.sub(r"/\S+?(?=[ )]|$)|\d[\d.,]*(?: [KMG]iB)?", "*", line) for line in lines]

    assert alike(shown) == alike(lumos("doctor")[1])


def test_doctor_knows_a_lumina_video_and_what_is_wrong_with_one(lumos: Lumos, ckpts: Path, tmp_path: Path) -> None:
    status, said, _ = lumos("doctor", "--model", "lumina-tiny")
    assert status == 0, said
    passed = {line[6:].partition(": ")[0]: line for line in said.splitlines() if line.startswith("OK")}
    assert list(passed)[-5:] == ["model lumina-tiny", "weights", "text encoder", "VAE", "settings"]
    assert "408,348 numbers in" in passed["weights"]
    assert "Gemma-2 of 4 layers of width 24" in passed["text encoder"]
    assert "a latent of 4 channels is 4 frames of 8x8 px" in passed["VAE"]
    assert passed["settings"].endswith("64x96, 8 frames at 4 fps, 4 steps through 2x4, 2x2, 1x2")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda f: cut(f / "model.safetensors"), "weights: .*model.safetensors has .* bytes where its header says"),
        (lambda f: cut(f / "text_encoder/model.safetensors"), "text encoder: .*bytes where its header says"),
        (lambda f: cut(f / "vae/diffusion_pytorch_model.safetensors"), "VAE: .*bytes where its header says"),
        (
            lambda f: edit(f / "config.json", n_layers=3),
            r"weights: .* do not fit the model \(.* missing",
        ),
        (
            lambda f: edit(f / "vae/config.json", latent_channels=16),
            "model ./broken: .*latent_channels 16",
        ),
        (lambda f: edit(f / "generation_config.json", width=50), "settings: width is 50; it must be a multiple of 32"),
        (lambda f: (f / "text_encoder/tokenizer.json").unlink(), "model ./broken: no text tokenizer"),
        (lambda f: (f / "config.json").unlink(), "model ./broken: broken holds no model: it has neither a config"),
    ],
)
def test_doctor_names_the_part_of_a_lumina_video_that_is_broken(
    lumos: Lumos, ckpts: Path, tmp_path: Path, spoil: Callable[[Path], object], said: str
) -> None:
    spoil(Path(shutil.copytree(ckpts / "lumina-tiny", tmp_path / "broken")))
    status, out, _ = lumos("doctor", "--model", "./broken")
    failed = [line for line in out.splitlines() if line.startswith("FAIL")]
    assert (status, len(failed) <= 2) == (1, True), out  # without a VAE there are no settings
    assert re.search(said, failed[0]), failed


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-9])


def edit(file: Path, **fields: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))
