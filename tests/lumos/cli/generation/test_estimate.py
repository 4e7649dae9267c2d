"""The dry run of generate against what a real run counts; nothing is read but configs, nothing written."""

import json
from pathlib import Path

import pytest

from lumos.cli import main
from lumos.lumina_video.cost import run_flops
from lumos.lumina_video.preset import FlowPreset
from tests.lumos.cli.console import Lumos, files_in
from tests.lumos.lumina_video.tiny import CONFIG, DEFAULTS
from xllmx.ranks.machines import UTILISATION

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
    flops = run_flops(CONFIG, (2, 8, 4), preset=FlowPreset.from_dict(DEFAULTS["preset"]), text_tokens=8)
    assert said["model"] == "lumina-tiny: Lumina-Video, 408,348 parameters, bfloat16"
    assert said["clips"] == "1 of 32x64, 8 frames at 4 fps"
    assert said["compute"] == f"{flops / 1e12:.3g} TFLOP a clip, {flops / 1e12:.3g} TFLOP in all"
    seconds = f"{flops / (312e12 * UTILISATION):.3g} s"
    assert said["time"] == f"{seconds} a clip, {seconds} in all, at 40% of the 312 TFLOP/s (bf16) of one A100"


def test_that_kernels_of_a_tiny_network_take_longer_to_start_is_said(lumos: Lumos) -> None:
    said = lumos(*LUMOS1, "--prompt", "a", "--dry-run")[1]
    assert "\n          expect more: so short a pass waits for its kernels to be started, 1 ms or so" in said


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


@pytest.mark.parametrize(
    ("name", "settings", "parameters"),
    [
        ("1B/stage-2-joint-384p", "1 of 672x384, 25 frames at 12 fps", "1,503,729,664"),
        ("3B/stage-1-image", "1 of 448x256", "3,614,630,912"),
        ("Alpha-VLLM/Lumina-Video-f24R960", "1 of 672x384, 64 frames at 16 fps", "1,771,364,672"),
    ],
)
def test_a_released_model_that_is_not_here_is_reckoned_by_its_shape(
    lumos: Lumos, name: str, settings: str, parameters: str
) -> None:
    asked = ("generate", "--model", name, "--prompt", "a kite", "--gpu", "RTX 4090")
    status, out, error = lumos(*asked, "--dry-run")
    said = lines_of(out)
    assert (status, error, files_in(Path())) == (0, "", [])
    assert parameters in said["model"]
    assert said["clips"] == settings
    assert "the published shape" in said["assumed"]
    assert said["assumed"].endswith(f"run: lumos download {name}")
    assert "one RTX 4090 has 22.4 GiB, which is enough" in out
    assert "expect more" not in out
    status, _, error = lumos(*asked[:-2])
    assert (status, f"run: lumos download {name}" in error) == (2, True)


def test_a_released_model_lacking_its_tokenizers_is_reckoned_too(tmp_path: Path) -> None:
    folder = tmp_path / "own" / "1B" / "stage-1-image"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    words = ("generate", "--model", "1B/stage-1-image", "--prompt", "a", "--dry-run", "--ckpts", str(tmp_path / "own"))
    assert main(words) == 0


def test_another_model_that_is_not_here_is_an_error(lumos: Lumos) -> None:
    status, _, error = lumos("generate", "--model", "./mine", "--prompt", "a", "--dry-run")
    assert (status, "there is no model './mine'" in error) == (2, True)


def test_gpus_share_the_batches_and_the_longest_share_is_said(lumos: Lumos) -> None:
    asked = (
        *LUMINA_VIDEO,
        *(word for text in "abc" for word in ("--prompt", text)),
        "--dry-run",
        "--utilisation",
        "1e-9",
    )
    alone, two = (lines_of(lumos(*asked, *words)[1])["time"] for words in ((), ("--gpus", "2")))
    assert "of them" not in alone
    each, whole = (float(alone.split(", ")[place].split()[0].replace(",", "")) for place in (0, 1))
    longest = float(two.split("on 2 of them: ")[1].split()[0].replace(",", ""))
    assert (whole, longest) == (pytest.approx(3 * each, rel=0.01), pytest.approx(2 * each, rel=0.01))


def test_what_does_not_fit_the_gpu_says_what_to_ask_for(lumos: Lumos) -> None:
    words = ("--resolution", "4096x4096", "--num-frames", "257", "--gpu", "L4")
    out = lumos("generate", "--model", "lumos-tiny", "--prompt", "a", "--dry-run", *words)[1]
    assert "one L4 has 22.4 GiB, which is not enough; ask for a smaller --resolution" in out


@pytest.mark.parametrize("words", [("--gpu", "H100"), ("--gpus", "2"), ("--utilisation", "0.5")])
def test_what_only_a_dry_run_has_is_refused_without_one(lumos: Lumos, words: tuple[str, str]) -> None:
    status, _, error = lumos(*LUMOS1, "--prompt", "a", *words)
    assert (status, error.startswith(f"lumos: error: {words[0]} is of the --dry-run; ")) == (2, True)
