"""`lumos generate` by a tiny random Lumina-Video: the words of its release, records, lists, what is refused."""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from lumos.cli.jobs import progress, runner
from lumos.cli.jobs.record import differences
from lumos.lumina_video import config as configs
from lumos.lumina_video.checkpoint.weights import load_dit
from lumos.lumina_video.preset import FlowPreset
from lumos.lumina_video.text import GemmaTextEncoder
from lumos.lumina_video.training.lora import LoRAConfig
from tests.lumos.cli.console import Lumos, files_in, frames_of
from tests.lumos.lumina_video.tiny import CONFIG, DEFAULTS
from xllmx.lora import adapters_of, add_lora, save_lora

MODEL = ("generate", "--model", "lumina-tiny")
SMALL = ("--resolution", "32x64", "--frames", "8")


def record_of(output: str) -> dict[str, Any]:
    return json.loads(Path(f"{output}.json").read_text())


def released_folder(ckpts: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tiny model as the release lays one out; its encoders are shared."""
    monkeypatch.setitem(configs.PRESETS, "tiny", CONFIG)
    folder.mkdir(parents=True)
    factors = {"rope_theta": 256.0, "t_scale": 1000.0, "motion_scale": 20.0, "qk_norm": True}
    arguments = argparse.Namespace(model="tiny", patch_sizes=[2, 2, 4], f_patch_sizes=[1, 2, 2], lr=1e-4, **factors)
    torch.save(arguments, folder / "model_args.pth")
    save_file(load_file(ckpts / "lumina-tiny" / "model.safetensors"), folder / "consolidated.00-of-01.safetensors")
    for part in ("text_encoder", "vae"):
        (folder / part).symlink_to(ckpts / "lumina-tiny" / part)
    return folder


def test_a_prompt_becomes_a_clip_with_a_record_of_everything(lumos: Lumos) -> None:
    status, said, error = lumos(*MODEL, "--prompt", "a red circle", "--seed", "3", "--out", "clip.mp4")
    assert (status, error) == (0, "")
    assert said.startswith("clip.mp4  seed 3  ")
    assert frames_of(Path("clip.mp4")) == 8
    record = record_of("clip.mp4")
    assert (record["model"], record["dtype"], record["prompt"]) == ("lumina-tiny", "float32", "a red circle")
    assert record["settings"]["preset"] == DEFAULTS["preset"]
    assert (record["settings"]["width"], record["settings"]["height"]) == (64, 96)
    assert record["model_hash"].startswith("sha256:")
    preset = FlowPreset.from_dict(DEFAULTS["preset"])
    assert record["model_calls"] == sum(count.passes for count in preset.passes(torch.float32).values())
    assert files_in(Path()) == ["clip.mp4", "clip.mp4.json"]


def test_the_words_of_the_release_generate_from_the_layout_of_the_release(
    lumos: Lumos, ckpts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = released_folder(ckpts, tmp_path / "Lumina-Video-f24R960", monkeypatch)
    words = ["--ckpt", str(folder), "--resolution", "32x64", "--fps", "24", "--frames", "8", "--prompt", "a red circle"]
    words += ["--neg_prompt", "", "--sample_config", "f24F96R960-MultiScale", "--precision", "fp32"]
    status, _, error = lumos("generate", *words, "--out", "clip.mp4")
    assert (status, error) == (0, "")
    record = record_of("clip.mp4")
    assert (record["settings"]["fps"], record["settings"]["preset"]["ts"]) == (24, 24.0)
    assert (record["num_frames"], record["model_calls"]) == (8, 129)
    assert (record["negative_prompt"], record["model"]) == (None, str(folder))


def test_adapters_change_what_is_made_and_the_record_brings_them_back(
    lumos: Lumos, ckpts: Path, tmp_path: Path
) -> None:
    with torch.device("meta"):
        model = add_lora(load_dit(ckpts / "lumina-tiny").to("meta"), LoRAConfig(rank=2))
    model.to_empty(device="cpu")
    for parameter in adapters_of(model).values():
        torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(1))
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    save_lora(model, adapter)
    words = (*MODEL, "--prompt", "a red circle", *SMALL, "--steps", "1", "--seed", "3", "--format", "gif")
    for more in (("--out", "plain.gif"), ("--out", "adapted.gif", "--lora", str(adapter))):
        assert lumos(*words, *more)[0] == 0
    assert lumos("generate", "--from-json", "adapted.gif.json", "--out", "again.gif")[0] == 0
    plain, adapted, again = (Path(f"{name}.gif").read_bytes() for name in ("plain", "adapted", "again"))
    assert plain != adapted == again
    hashes = {record_of(f"{name}.gif")["model_hash"] for name in ("plain", "adapted", "again")}
    assert len(hashes) == 2
    status, _, error = lumos(*words, "--out", "other.gif", "--lora", str(tmp_path / "none"))
    assert (status, error.count("\n")) == (2, 1), error


def test_a_token_is_taken_and_said_to_be_of_no_use(lumos: Lumos) -> None:
    words = ("--prompt", "a red circle", *SMALL, "--steps", "1", "--out", "clip.gif", "--hf_token", "secret")
    status, _, error = lumos(*MODEL, *words)
    assert status == 0
    assert error == (
        "lumos: --hf-token is not used: nothing is downloaded here; for `lumos download`, run `hf auth login`\n"
    )
    assert "secret" not in Path("clip.gif.json").read_text()


@pytest.mark.parametrize("suffix", ["gif", "mp4"])
def test_a_record_makes_the_same_clip_again(lumos: Lumos, suffix: str) -> None:
    given = ("--guidance-scale", "2", "--motion", "[1, [0.5, 6]]", "--steps", "3", "--tiled", "--neg-prompt", "blurry")
    first, again = f"first.{suffix}", f"again.{suffix}"
    assert lumos(*MODEL, "--prompt", "a red circle", *SMALL, *given, "--out", first)[0] == 0
    status, _, error = lumos("generate", "--from-json", f"{first}.json", "--out", again)
    assert (status, error) == (0, "")
    assert Path(first).read_bytes() == Path(again).read_bytes()
    assert differences(record_of(first), record_of(again)) == []
    assert (record_of(again)["tiled"], record_of(again)["negative_prompt"]) == (True, "blurry")
    assert "finished before" in lumos("generate", "--from-json", f"{first}.json")[1]
    status, _, error = lumos("generate", "--from-json", f"{first}.json", "--motion", "2")
    assert (status, "it was made otherwise (motion: [1, [0.5, 6]] -> 2" in error) == (2, True), error


def test_a_list_reads_its_texts_once_and_goes_on_where_it_was_stopped(
    lumos: Lumos, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("list.json").write_text('["a circle", {"prompt": "a square", "negative_prompt": "blurry"}, "a star"]')
    words = (*MODEL, "--prompt-file", "list.json", *SMALL, "--steps", "2", "--format", "gif", "--out", "many")
    loads: list[Path] = []
    load = GemmaTextEncoder.from_pretrained
    monkeypatch.setattr(GemmaTextEncoder, "from_pretrained", lambda *a, **k: loads.append(a[0]) or load(*a, **k))
    write = runner.write_video
    written: list[Path] = []

    def stopped_at_the_second(path: Path, frames: Any, *, fps: int) -> None:
        if len(written) == 1:
            raise KeyboardInterrupt
        written.append(path)
        write(path, frames, fps=fps)

    monkeypatch.setattr(runner, "write_video", stopped_at_the_second)
    assert lumos(*words, "--seed", "4")[0] == 130
    assert files_in(Path("many")) == ["a-circle.gif", "a-circle.gif.json"]
    assert len(loads) == 1
    monkeypatch.setattr(runner, "write_video", write)
    first = Path("many/a-circle.gif").stat().st_mtime_ns
    assert lumos(*words, "--seed", "4")[0] == 0
    assert files_in(Path("many"))[::2] == ["a-circle.gif", "a-square.gif", "a-star.gif"]
    assert Path("many/a-circle.gif").stat().st_mtime_ns == first
    assert len(loads) == 2
    assert [record_of(f"many/a-{shape}.gif")["seed"] for shape in ("circle", "square", "star")] == [4, 5, 6]


@pytest.mark.slow
def test_a_killed_list_goes_on_and_makes_what_an_undisturbed_one_makes(lumos: Lumos, ckpts: Path) -> None:
    Path("list.txt").write_text("a circle\na square\na star\n")
    words = [*MODEL, "--prompt-file", "list.txt", *SMALL, "--steps", "12", "--seed", "4", "--keep-encoders", "--out"]
    command = [sys.executable, "-m", "lumos", *words, "killed", "--ckpts", str(ckpts)]
    with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}) as process:
        while process.poll() is None and not list(Path().glob("killed/*.mp4")):
            time.sleep(0.01)
        process.kill()
    assert 0 < len(list(Path().glob("killed/*.mp4"))) < 3
    assert lumos(*words, "killed")[0] == 0
    assert lumos(*words, "undisturbed")[0] == 0
    made = {path.name: path.read_bytes() for path in Path("undisturbed").glob("*.mp4")}
    assert {path.name: path.read_bytes() for path in Path("killed").glob("*.mp4")} == made
    assert len(made) == 3
    assert not [path for path in Path("killed").iterdir() if path.name.startswith(".")]


def test_the_bar_knows_all_steps_of_all_clips(lumos: Lumos, monkeypatch: pytest.MonkeyPatch) -> None:
    bars: list[progress.Progress] = []

    class Bar(progress.Progress):
        def __init__(self, *, total: int, unit: str, **more: Any) -> None:
            super().__init__(total=total, unit=unit, **more)
            self.total, self.unit = total, unit
            bars.append(self)

    monkeypatch.setattr(progress, "Progress", Bar)
    words = ("--prompt", "a circle", "--prompt", "a star", "--prompt", "a ring", "--batch-size", "2", "--out", "many")
    assert lumos(*MODEL, *words, *SMALL, "--steps", "3", "--seed", "1")[0] == 0
    assert [(bar.unit, bar.done, bar.total) for bar in bars] == [("Euler step", 9, 9)]
    Path("many/a-star-seed2.mp4").unlink()
    assert lumos(*MODEL, *words, *SMALL, "--steps", "3", "--seed", "1")[0] == 0
    assert (bars[1].done, bars[1].total) == (6, 6)  # the batch that the missing one stands in


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--resolution", "100x64"], "--width is 100; it must be a multiple of 32 (one patch of each scale"),
        (["--resolution", "100x64"], "take 96 or 128"),
        (["--height", "70"], "--height is 70; it must be a multiple of 32"),
        (["--frames", "12"], "--num-frames is 12; it must be a multiple of 8"),
        (["--resolution", "wide"], "--resolution is 'wide'; write width x height in pixels, as in 1248x704"),
        (["--resolution", "64x64", "--width", "64"], "--resolution says width and height; leave --width and --height"),
        (["--preset", "f24F96R96"], "--preset is 'f24F96R96'; did you mean f24F96R960?"),
        (
            ["--preset", "mine.yaml"],
            "--preset cannot be used: preset file mine.yaml: a preset has no key 'steps'; did you",
        ),
        (["--preset", "none.json"], "--preset cannot be used: there is no preset file none.json"),
        (["--motion", "fast"], "argument --motion: 'fast' is no number, and no JSON such as [2, [0.05, 6]]"),
        (["--motion", "[1]", "--steps", "0"], "--steps is 0; it must be a whole number of at least 1"),
        (["--dtype", "fp16"], "--dtype is 'fp16'; it must be bfloat16 or float32"),
        (["--gpu", "H100"], "--gpu is of the --dry-run"),
    ],
)
def test_bad_input_is_one_line_before_anything_is_loaded(
    lumos: Lumos, words: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("mine.yaml").write_text("P: 1x2\nsteps: 70\n")
    monkeypatch.setattr("lumos.lumina_video.loading.load_dit", lambda *_, **__: pytest.fail("the network is read"))
    status, said, error = lumos(*MODEL, "--prompt", "a red circle", *words)
    assert (status, said, error.count("\n")) == (2, "", 1), error
    assert message in error
    assert files_in(Path()) == ["mine.yaml"]


def test_a_list_with_pictures_is_refused(lumos: Lumos) -> None:
    Path("start.png").write_bytes(b"")
    Path("list.json").write_text('{"start.png": "it moves"}')
    status, _, error = lumos(*MODEL, "--prompt-file", "list.json")
    assert (status, error.count("\n")) == (2, 1)
    assert "list.json: 'start' names a picture, and Lumina-Video makes videos from text alone" in error
