"""The options that all drivers share."""

import os
import subprocess
from pathlib import Path

import pytest
from torch.distributed.run import get_args_parser

from eval.custom.__main__ import parser as custom_parser
from eval.driver.command import how_of, parse, parser_of, settings_of
from eval.geneval.__main__ import DRIVER as GENEVAL
from eval.vbench.i2v import DRIVER as VBENCH_I2V
from eval.vbench.t2v import DRIVER as VBENCH_T2V
from lumos.cli.models.door import find_model
from tests.model_folder import make_model_folder

PARSERS = {
    "geneval": lambda: parser_of(GENEVAL),
    "vbench_t2v": lambda: parser_of(VBENCH_T2V),
    "vbench_i2v": lambda: parser_of(VBENCH_I2V),
    "custom": custom_parser,
}


@pytest.mark.parametrize("name", PARSERS)
def test_torchrun_takes_no_option_for_one_of_its_own(name: str) -> None:
    actions = PARSERS[name]()._actions
    options = [option for action in actions for option in action.option_strings if option.startswith("--")]
    words = [word for option in options if option != "--help" for word in (option, "1")]
    parsed = get_args_parser().parse_args(["-m", f"eval.{name}", *words])  # it takes beginnings of its own names
    assert parsed.training_script_args == words


FAKE = """#!/bin/bash
case "$*" in
  *device_count*) echo $GPUS ;;
  *--dry-run*) echo "tried: $*" >&2; exit "$TRIED" ;;
  *eval.*) echo "$@" ;;
esac
"""


@pytest.mark.parametrize("driver", ["geneval", "custom"])
@pytest.mark.parametrize(
    ("gpus", "tried", "status", "started"),
    [
        ("0", "0", 0, "-m eval.DRIVER --part 2,4"),
        ("1", "0", 0, "-m eval.DRIVER --part 2,4"),
        ("3", "0", 0, "-m torch.distributed.run --standalone --nproc-per-node 3 -m eval.DRIVER --part 2,4"),
        ("3", "2", 2, ""),  # a mistake is said once, and nothing is started
    ],
)
def test_the_launcher_starts_a_process_a_gpu(
    repo: Path, tmp_path: Path, driver: str, gpus: str, tried: str, status: int, started: str
) -> None:
    python = tmp_path / "python"
    python.write_text(FAKE)
    python.chmod(0o755)
    environment = {"PATH": os.environ["PATH"], "LUMOS_PYTHON": str(python), "GPUS": gpus, "TRIED": tried}
    words = ["bash", str(repo / "eval" / "launch.sh"), driver, "--part", "2,4"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (status, started.replace("DRIVER", driver)), done.stderr
    assert done.stderr.count("tried: ") == int(gpus == "3")


def launched(repo: Path, tmp_path: Path, words: list[str], **variables: str) -> subprocess.CompletedProcess[str]:
    python = tmp_path / "python"
    python.write_text(FAKE.replace('*eval.*) echo "$@"', '*eval.*) echo "GPUs ${CUDA_VISIBLE_DEVICES-all}: $*"'))
    python.chmod(0o755)
    environment = {"PATH": os.environ["PATH"], "LUMOS_PYTHON": str(python), "TRIED": "0", **variables}
    command = ["bash", str(repo / "eval" / "launch.sh"), "vbench_t2v", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


TORCHRUN = "-m torch.distributed.run --standalone --nproc-per-node"


@pytest.mark.parametrize(
    ("words", "variables", "started"),
    [
        (["start_device=2", "num_devices=4"], {}, f"GPUs 2,3,4,5: {TORCHRUN} 4 -m eval.vbench_t2v"),
        ([], {"start_device": "2", "sub_tasks": "4"}, f"GPUs 2,3,4,5: {TORCHRUN} 4 -m eval.vbench_t2v"),
        (["start_device=6"], {}, f"GPUs 6,7: {TORCHRUN} 2 -m eval.vbench_t2v"),
        (["num_devices=1"], {}, "GPUs 0: -m eval.vbench_t2v"),
        (["start_device=1", "num_devices=2"], {"CUDA_VISIBLE_DEVICES": "7,3,5,4", "GPUS": "4"},
         f"GPUs 3,5: {TORCHRUN} 2 -m eval.vbench_t2v"),
        (["num_devices=2"], {"GPUS": "0"}, f"GPUs all: {TORCHRUN} 2 -m eval.vbench_t2v"),
        (["--device-map", "auto"], {}, "GPUs all: -m eval.vbench_t2v --device-map auto"),
        (["--device_map=auto"], {}, "GPUs all: -m eval.vbench_t2v --device_map=auto"),
        (["--engine", "ray", "--first", "2"], {}, "GPUs all: -m eval.vbench_t2v --engine ray --first 2"),
        (["--engine=ray"], {}, "GPUs all: -m eval.vbench_t2v --engine=ray"),
        (["--engine", "local"], {"GPUS": "2"}, f"GPUs all: {TORCHRUN} 2 -m eval.vbench_t2v --engine local"),
        ([], {"GPUS": "1", "mask_history_ratio": "0.5"}, "GPUs all: -m eval.vbench_t2v mask_history_ratio=0.5"),
        (["mask_history_ratio=0.3"], {"GPUS": "1", "mask_history_ratio": "0.5"},
         "GPUs all: -m eval.vbench_t2v mask_history_ratio=0.3"),
    ],
)  # fmt: skip
def test_what_people_edited_in_the_released_scripts_is_taken_as_typed(
    repo: Path, tmp_path: Path, words: list[str], variables: dict[str, str], started: str
) -> None:
    done = launched(repo, tmp_path, words, **{"GPUS": "8", **variables})
    assert (done.returncode, done.stdout.strip()) == (0, started), done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["num_devices=four"], "start_device=0 num_devices=four: write whole numbers"),
        (["num_devices=0"], "write whole numbers"),
        (["start_device=6", "num_devices=4"], "this machine has 8 GPUs, numbered from 0"),
        (["num_devices=4", "sub_tasks=8"], "num_devices=4 and sub_tasks=8 differ; give one of them"),
    ],
)
def test_gpus_that_are_not_there_are_said_in_a_line(repo: Path, tmp_path: Path, words: list[str], said: str) -> None:
    done = launched(repo, tmp_path, words, GPUS="8")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("eval.vbench_t2v: error: ")
    assert said in done.stderr


def test_settings_stand_anywhere_and_are_read_as_json() -> None:
    words = ["num_frames=5", "--part", "2/3", "guidance_scale=1.5", "mask_given_frames=true", "--seed", "4", "a=b=c"]
    options = parse(parser_of(GENEVAL), words)
    assert options.settings == {"num_frames": 5, "guidance_scale": 1.5, "mask_given_frames": True, "a": "b=c"}
    assert (options.part, options.seed) == ("2/3", 4)
    with pytest.raises(ValueError, match="'steps' is no setting; write for example num_inference_steps=20"):
        parse(parser_of(GENEVAL), ["steps"])


def test_a_driver_knows_how_a_model_is_loaded_and_made_faster(tmp_path: Path) -> None:
    words = ["--fast", "--lora", str(tmp_path), "--weights", "int8", "num_inference_steps=3"]
    options = parse(parser_of(GENEVAL), words)
    how = how_of(options)
    assert (how["lora"], how["weights"], how["offload"]) == (tmp_path, "int8", False)
    model = find_model(make_model_folder(tmp_path / "model"), how={})
    assert settings_of(options, model) == {"entropy_bound": 0.02, "num_inference_steps": 3}
    given = parse(parser_of(GENEVAL), ["--fast", "entropy_bound=0.5"])
    assert settings_of(given, model) == {"entropy_bound": 0.5}
    assert settings_of(parse(parser_of(GENEVAL), ["top_k=3"]), model) == {"top_k": 3}
