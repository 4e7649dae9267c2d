"""The dry run of generate against what a real run counts; nothing is read but configs, nothing written."""

import json
from pathlib import Path

import pytest

from lumos.cli.generation.estimate import UTILISATION
from lumos.lumina_video.cost import run_flops
from lumos.lumina_video.preset import FlowPreset
from tests.lumos.cli.console import Lumos, files_in
from tests.lumos.lumina_video.tiny import CONFIG, DEFAULTS

LUMOS1 = ("generate", "--model", "lumos-tiny", "--num-frames", "5", "--steps", "3")
LUMINA_VIDEO = ("generate", "--model", "lumina-tiny", "--resolution", "32x64")


def lines_of(said: str) -> dict[str, str]:
    return {line.split()[0]: line.split(maxsplit=1)[1] for line in said.splitlines() if line[:1] != " "}


@pytest.mark.parametrize("words", [LUMOS1, LUMINA_VIDEO], ids=["lumos1", "lumina_video"])
def test_the_passes_reckoned_are_those_that_are_made(lumos: Lumos, words: tuple[str, ...]) -> None:
    asked = (*words, "--prompt", "a red circle", "--prompt", "a star", "--seed", "1", "--out", "made")
    status, said, error = lumos(*asked, "--dry-run")
    assert (status, error, files_in(Path())) == (0, "", [])
    reckoned = lines_of(said)
    assert lumos(*asked)[0] == 0
    made = json.loads(Path("made/a-star-seed2.mp4.json").read_text())["model_calls"]
    assert reckoned["passes"].startswith(f"{made} a clip, {2 * made} in all")
    assert "finished before" not in reckoned["clips"]
    Path("made/a-star-seed2.mp4").unlink()
    again = lines_of(lumos(*asked, "--dry-run")[1])
    assert again["passes"].startswith(f"{made} a clip, {made} in all")
    assert again["clips"].endswith("; 1 finished before")


def test_a_run_of_lumina_video_is_reckoned_in_bf16_and_its_seconds_on_the_gpu_named(lumos: Lumos) -> None:
    said = lines_of(lumos(*LUMINA_VIDEO, "--prompt", "a red circle", "--dry-run", "--gpu", "A100")[1])
    flops = run_flops(CONFIG, (2, 8, 4), preset=FlowPreset.from_dict(DEFAULTS["preset"]))
    assert said["model"] == "lumina-tiny: Lumina-Video, 408,348 parameters, bfloat16"
    assert said["clips"] == "1 of 32x64, 8 frames at 4 fps"
    assert said["compute"] == f"{flops / 1e12:.3g} TFLOP a clip, {flops / 1e12:.3g} TFLOP in all"
    seconds = f"{flops / (312e12 * UTILISATION):.3g} s"
    assert said["time"] == f"{seconds} a clip, {seconds} in all, at 40% of the 312 TFLOP/s (bf16) of one A100"


def test_no_weights_are_read(lumos: Lumos, ckpts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for reader in ("lumos.lumina_video.checkpoint.tensor_files.TensorFiles.read", "lumos.lumos1.pipeline.load_lora"):
        monkeypatch.setattr(reader, lambda *_: pytest.fail("weights are read"))
    monkeypatch.setattr("lumos.lumos1.pipeline.LumosPipeline.from_pretrained", lambda *_, **__: pytest.fail("loaded"))
    for words in (LUMOS1, LUMINA_VIDEO):
        assert lumos(*words, "--prompt", "a", "--dry-run")[0] == 0


def test_memory_names_its_parts_and_eight_bits_and_kept_encoders_count(lumos: Lumos) -> None:
    def memory(*words: str) -> str:
        return lines_of(lumos(*words, "--prompt", "a", "--dry-run")[1])["memory"]

    assert "weights 0.00 + visual tokenizer 0.00 + keys and values" in memory(*LUMOS1)
    assert "network 0.00 + largest pass 0.00 + text encoder 0.00 + VAE 0.00" in memory(*LUMINA_VIDEO)


def test_adaptive_sampling_takes_so_many_passes_at_most(lumos: Lumos) -> None:
    said = lines_of(lumos(*LUMOS1, "--fast", "--prompt", "a", "--dry-run")[1])
    assert said["passes"].startswith("at most 14 a clip, 14 in all")


def test_fp32_has_no_seconds_and_an_unknown_gpu_is_refused(lumos: Lumos) -> None:
    said = lines_of(lumos(*LUMINA_VIDEO, "--prompt", "a", "--dry-run", "--dtype", "fp32")[1])
    assert said["time"] == "not said: the peak of the H200 is known for bf16 alone; leave --dtype out"
    status, _, error = lumos(*LUMINA_VIDEO, "--prompt", "a", "--dry-run", "--gpu", "H20")
    assert (status, error.count("\n")) == (2, 1)
    assert "--gpu is 'H20', whose peak is not known here; did you mean H200?" in error
