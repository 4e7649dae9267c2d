"""What an export may write over; what it writes is tested with the runs that are exported."""

from pathlib import Path

import pytest

from lumos.cli import main


@pytest.mark.parametrize("place", ["run", "run/checkpoints", "run/checkpoints/model", "."])
def test_a_run_is_not_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str], place: str) -> None:
    checkpoint = tmp_path / "run" / "checkpoints" / "step-00000001"
    checkpoint.mkdir(parents=True)
    (tmp_path / "run" / "config.yaml").write_text("trainer: {max_steps: 1}")
    assert main(["export", str(tmp_path / "run"), str(tmp_path / place), "--overwrite"]) == 2
    assert "choose another folder" in capsys.readouterr().err
    assert checkpoint.is_dir()


def test_what_is_no_model_is_not_removed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run").mkdir()
    precious = tmp_path / "mine" / "notes.txt"
    precious.parent.mkdir()
    precious.write_text("precious")
    assert main(["export", str(tmp_path / "run"), str(tmp_path / "mine"), "--overwrite"]) == 2
    assert "is no model folder, and --overwrite would remove it" in capsys.readouterr().err
    assert precious.read_text() == "precious"
