"""The command line as a whole: words are looked at before PyTorch is loaded, mistakes in one line."""

import subprocess
import sys
from pathlib import Path

import pytest

from lumos import __version__
from lumos.cli import main
from tests.lumos.cli.console import Lumos


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("generate", "say what to make"),
        ("generate --prompt a --model nothing", "there is no model 'nothing'"),
        ("generate --prompt-file nowhere.txt", "cannot read the prompts"),
        (
            "generate --prompt a --model lumina-tiny --top-k 3",
            "--top-k is for Lumos-1, and lumina-tiny is Lumina",
        ),
        ("generate --prompt a --motion 3", "--motion is for Lumina-Video, and lumos-tiny is Lumos-1; leave it out"),
        ("generate --prompt a --model .", "holds no model: it has neither a config.json nor a model_args.pth"),
        ("generate --prompt a --model ./other", "holds a model of type 'gemma2'; give one of lumos1"),
        ("generate --prompt a --model Alpha-VLLM/Lumina-Video-f24R960", "run: lumos download Alpha-VLLM/Lumina-Video"),
        ("generate --prompt a --frame 8", "unrecognized arguments: --frame 8"),
        ("train", "say what to train: --config FILE"),
    ],
)
def test_what_is_wrong_with_the_words_is_said_before_pytorch_is_loaded(
    ckpts: Path, tmp_path: Path, words: str, message: str
) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text('{"model_type": "gemma2"}')
    here = ["--ckpts", str(ckpts)] if words.startswith("generate") else []
    code = "import sys; sys.modules['torch'] = None; from lumos.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, *words.split(), *here]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert message in done.stderr


def test_train_names_a_wrong_key(lumos: Lumos) -> None:
    status, _, error = lumos("train", "trainer.run_dir=run", "trainer.max_step=3")
    assert status == 2
    assert "max_step" in error
    assert not Path("run").exists()


@pytest.mark.parametrize("program", ["lumos", "lumos.cli"])
def test_the_version_is_said_at_once_however_the_program_is_called(program: str) -> None:
    command = [sys.executable, "-m", program, "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == (f"lumos {__version__}\n", "")


def test_a_training_run_is_said_to_be_one(lumos: Lumos) -> None:
    Path("run/checkpoints").mkdir(parents=True)
    Path("run/config.yaml").write_text("model: lumos1")
    status, _, error = lumos("generate", "--prompt", "a", "--model", "run")
    assert (status, error.count("\n")) == (2, 1)
    assert "run is a training run, which is no model yet; make one of it: lumos export run FOLDER" in error


def test_debug_before_a_command_is_debug_behind_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["--debug", "train", "--lr", "1", "--output_dir", "run", "trainer.max_step=3"]) == 2
    said = capsys.readouterr().err
    assert "released flags, and the settings they are here" in said  # as without --debug
    assert "unknown setting trainer.max_step" in said
    for words in (["tokenize", "--no-such"], ["evaluate", "shapes", "--no-such"], ["look", "nowhere"]):
        assert main(["--debug", *words]) == 2
        assert "Traceback" in capsys.readouterr().err, words
