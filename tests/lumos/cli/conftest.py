"""The `lumos` command on a folder of checkpoints with a tiny random model of each kind."""

from pathlib import Path

import pytest

from lumos.cli import main
from tests.lumos.cli.console import Lumos
from tests.lumos.lumina_video.tiny import tiny_lumina_folder
from tests.model_folder import make_model_folder


@pytest.fixture(scope="session")
def ckpts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of checkpoints: the bundled model is a random one, and so is a Lumina-Video; leave it unchanged."""
    root = tmp_path_factory.mktemp("ckpts")
    make_model_folder(root / "lumos-tiny")
    tiny_lumina_folder(root / "lumina-tiny")
    return root


@pytest.fixture
def lumos(ckpts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Lumos:
    """Runs `lumos WORDS` in a folder of its own; (exit status, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("lumos.cli.jobs.progress.EVERY_S", 1e9)  # a slow machine has no more to say than a fast one

    def run(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        here = ["--ckpts", str(ckpts)] if words[0] in ("generate", "doctor", "download", "export", "serve") else []
        status = main([*words, *here])
        said = capsys.readouterr()
        return status, said.out, said.err

    return run
