"""The command line as a whole: words are looked at before PyTorch is loaded, options are written out."""

import subprocess
import sys
from pathlib import Path

import pytest

from lumos.cli.commands import parser
from tests.lumos.cli.console import Lumos


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("generate", "say what to make"),
        ("generate --prompt a --model nothing", "there is no model 'nothing'"),
        ("generate --prompt-file nowhere.txt", "cannot read the prompts"),
        ("train", "say what to train: --config FILE"),
    ],
)
def test_what_is_wrong_with_the_words_is_said_before_pytorch_is_loaded(
    ckpts: Path, tmp_path: Path, words: str, message: str
) -> None:
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
