"""Which model a name stands for; what only the other one has is refused before anything is loaded."""

import argparse
from pathlib import Path

import pytest

from eval.custom.__main__ import main as custom
from lumos.cli.commands import parser
from lumos.cli.models.door import KINDS, find_model, kind_of_model, refuse_settings, refuse_task
from tests.lumos.cli.console import Lumos, files_in
from xllmx.settings.setting import SettingError

ONLY_LUMOS1 = {
    "--image start.png": "--image",
    "--image-folder .": "--image-folder",
    "--mask-history-ratio 0.5": "--mask-history-ratio",
    "--mask_history_ratio 0": "--mask-history-ratio",
    "--confidence-temperature per_frame": "--confidence-temperature",
    "--temperature 1": "--temperature",
    "--top-k 3": "--top-k",
    "--entropy-bound 0.1": "--entropy-bound",
    "--guidance-tolerance 0.1": "--guidance-tolerance",
    "--later-steps 0.5": "--later-steps",
    "--mask-given-frames": "--mask-given-frames",
    "--random-history": "--random-history",
    "--history-frames 2": "--history-frames",
    "--history-positions clip": "--history-positions",
    "--seconds 2": "--seconds",
    "--extend clip.mp4": "--extend",
    "--then 8 up": "--then",
    "--weights int8": "--weights",
    "--offload": "--offload",
    "--device-map auto": "--device-map",
    "--max-memory cpu=1GiB": "--max-memory",
}
TOGETHER = {
    "--max-memory cpu=1GiB": "--max-memory says where weights may go; it takes --device-map auto beside it",
    "--offload --weights int8": "weights in 8 bits and offload are both asked for",
    "--device-map auto --offload": "device_map and offload are both asked for",
}
ONLY_LUMINA_VIDEO = {
    "--motion 6": "--motion",
    "--motion 0": "--motion",
    "--preset f24F96R960": "--preset",
    "--sample_config f24F96R960": "--preset",
    "--keep-encoders": "--keep-encoders",
    "--tiled": "--tiled",
}


@pytest.mark.parametrize(("words", "said"), TOGETHER.items())
def test_what_does_not_go_together_is_refused_by_dry_runs_and_drivers_too(
    lumos: Lumos, words: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in (["generate", "--prompt", "a red circle"], ["generate", "--prompt", "a red circle", "--dry-run"]):
        status, _, error = lumos(*command, *words.split())
        assert (status, error.split(";")[0]) == (2, f"lumos: error: {said}".split(";")[0])
    assert custom(["t2v", "--dry-run", *words.split()]) == 2
    assert said.split(";")[0] in capsys.readouterr().err


def instead(option: str) -> str:
    return "give --num-frames in its place" if option == "--seconds" else "leave it out"


@pytest.mark.parametrize(
    ("model", "words", "said"),
    [
        *(
            ("lumina-tiny", words, f"{option} is for Lumos-1, and lumina-tiny is Lumina-Video; {instead(option)}")
            for words, option in ONLY_LUMOS1.items()
        ),
        *(
            ("lumos-tiny", words, f"{option} is for Lumina-Video, and lumos-tiny is Lumos-1; leave it out")
            for words, option in ONLY_LUMINA_VIDEO.items()
        ),
    ],
)
def test_an_option_of_the_other_model_is_refused_in_one_line(
    lumos: Lumos, model: str, words: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lumos.cli.generate.find_model", lambda *_, **__: pytest.fail("the model is looked for"))
    status, out, error = lumos("generate", "--model", model, "--prompt", "a red circle", *words.split())
    assert (status, out, error) == (2, "", f"lumos: error: {said}\n")
    assert files_in(Path()) == []


def test_the_tables_above_have_every_option_of_one_model_alone() -> None:
    options: argparse.Namespace = parser().parse_args(["generate"])
    for kind, words in (("lumos1", ONLY_LUMOS1), ("lumina_video", ONLY_LUMINA_VIDEO)):
        named = {option.removeprefix("--").replace("-", "_") for option in words.values()}
        assert set(options.only[kind]) == named


def test_a_name_stands_for_the_model_that_its_folder_holds(ckpts: Path) -> None:
    assert kind_of_model(None, ckpts).title == "Lumos-1"
    assert kind_of_model("lumina-tiny", ckpts).title == "Lumina-Video"
    assert find_model(ckpts / "lumina-tiny").kind is KINDS["lumina_video"]


def test_how_a_model_is_loaded_is_what_it_knows(ckpts: Path) -> None:
    how = {"lora": None, "weights": "int8", "offload": False, "keep_encoders": True, "tiled": False}
    assert find_model("lumina-tiny", ckpts, how=how).how == {"lora": None, "keep_encoders": True, "tiled": False}
    assert find_model("lumos-tiny", ckpts, how=how).how == {"lora": None, "weights": "int8", "offload": False}


def test_settings_of_the_other_model_are_named_as_such(ckpts: Path) -> None:
    lumos1, lumina_video = (find_model(name, ckpts) for name in ("lumos-tiny", "lumina-tiny"))
    with pytest.raises(SettingError, match="motion is a setting of Lumina-Video, and lumos-tiny is Lumos-1"):
        refuse_settings(lumos1, ["fps", "motion"])
    with pytest.raises(SettingError, match="top_k is a setting of Lumos-1, and lumina-tiny is Lumina-Video"):
        refuse_settings(lumina_video, {"top_k": 3})
    refuse_settings(lumos1, ["top_k", "width", "nothing"])  # the last is for whoever resolves them to refuse


def test_a_task_that_a_model_has_not_is_refused(ckpts: Path) -> None:
    lumos1, lumina_video = (find_model(name, ckpts) for name in ("lumos-tiny", "lumina-tiny"))
    refuse_task(lumos1, "i2v")
    with pytest.raises(ValueError, match="lumina-tiny is Lumina-Video, which makes t2i and t2v and no i2v; take"):
        refuse_task(lumina_video, "i2v")
    for task in ("t2i", "t2v"):
        refuse_task(lumina_video, task)


@pytest.mark.parametrize("model", ["lumina-tiny", "lumos-tiny"])
def test_a_folder_without_adapters_is_told_with_what_makes_some(
    lumos: Lumos, ckpts: Path, tmp_path: Path, model: str
) -> None:
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "adapter_config.json").write_text("{}")
    for name, missing in (("none", "adapter_config.json, adapter_model.safetensors"), ("half", "adapter_model.")):
        status, _, error = lumos(
            "generate",
            "--model",
            model,
            "--ckpts",
            str(ckpts),
            "--prompt",
            "a red circle",
            "--lora",
            str(tmp_path / name),
        )
        assert (status, error.count("\n")) == (2, 1), error
        assert f"{tmp_path / name} holds no adapters: it lacks {missing}" in error
        assert "lumos export RUN FOLDER --adapter" in error
