"""The options that all drivers share."""

import os
import subprocess
from pathlib import Path

import pytest
from torch.distributed.run import get_args_parser

from eval.custom.__main__ import parser as custom_parser
from eval.driver.command import parse, parser_of
from eval.geneval.__main__ import DRIVER as GENEVAL
from eval.vbench.i2v import DRIVER as VBENCH_I2V
from eval.vbench.t2v import DRIVER as VBENCH_T2V

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


def test_settings_stand_anywhere_and_are_read_as_json() -> None:
    words = ["num_frames=5", "--part", "2/3", "guidance_scale=1.5", "mask_given_frames=true", "--seed", "4", "a=b=c"]
    options = parse(parser_of(GENEVAL), words)
    assert options.settings == {"num_frames": 5, "guidance_scale": 1.5, "mask_given_frames": True, "a": "b=c"}
    assert (options.part, options.seed) == ("2/3", 4)
    with pytest.raises(ValueError, match="'steps' is no setting; write for example num_inference_steps=20"):
        parse(parser_of(GENEVAL), ["steps"])
