"""`lumos download` from a small server: every part is said before the first byte comes."""

from pathlib import Path

import pytest

from lumos.cli import main
from lumos.hub.models import LUMINA_REPO
from tests.lumos.hub.hub_server import REPOS, SHARD, Hub, serving


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Hub:  # type: ignore[misc]
    with serving() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield hub


def test_a_released_lumina_video_says_its_parts_sizes_and_licences(
    server: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["download", LUMINA_REPO, "--ckpts", str(tmp_path)]) == 0
    *said, folder = capsys.readouterr().out.splitlines()
    gemma = sum(map(len, REPOS["google/gemma-2-2b"].values())) - 20
    assert said == [
        f"model of Lumina-Video {LUMINA_REPO}: 0.00 GB ({len(SHARD) + 9:,} bytes) to come",
        f"    into {tmp_path / LUMINA_REPO}; licence of the weights: Apache-2.0, see its page",
        f"text encoder google/gemma-2-2b: 0.00 GB ({gemma:,} bytes) to come",
        f"    into {tmp_path}/google/gemma-2-2b; licence of the weights: Gemma terms of use (gated), see its page",
        "VAE THUDM/CogVideoX-2b/vae: 0.00 GB (16,462 bytes) to come",
        f"    into {tmp_path}/THUDM/CogVideoX-2b/vae; licence of the weights: Apache-2.0, see its page",
    ]
    assert folder == str(tmp_path / LUMINA_REPO)
    assert main(["download", LUMINA_REPO, "--ckpts", str(tmp_path)]) == 0
    assert capsys.readouterr().out.count(": here already\n") == 3


def test_a_gated_part_is_said_and_what_to_do_about_it(
    server: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.gated = "google/gemma-2-2b"
    assert main(["download", LUMINA_REPO, "--ckpts", str(tmp_path)]) == 2
    said = capsys.readouterr()
    assert "text encoder google/gemma-2-2b: gated, and its licence is not accepted yet\n" in said.out
    error = [line for line in said.err.splitlines() if line.startswith("lumos: error: ")]
    assert len(error) == 1
    assert "accept it at " in error[0]
    assert error[0].endswith("/google/gemma-2-2b, run `hf auth login`, then the same command again")
    assert (tmp_path / "THUDM/CogVideoX-2b/vae/config.json").is_file()


def test_a_revision_is_passed_on(server: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["download", LUMINA_REPO, "--ckpts", str(tmp_path), "--revision", "v9"]) == 2
    assert "has no such revision" in capsys.readouterr().err
