"""A whole evaluation of a tiny Lumina-Video: the kind it makes, and no other."""

import json
from pathlib import Path

import pytest

from eval.shapes.__main__ import main
from tests.lumos.lumina_video.tiny import tiny_lumina_folder


def test_lumina_video_is_evaluated_on_the_kinds_it_makes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lumos.cli.jobs.progress.EVERY_S", 0.0)
    words = ["run", "--model", str(tiny_lumina_folder(tmp_path / "lumina")), "--num", "3", "--batch-size", "2"]
    assert main([*words, "--out", str(tmp_path / "o"), "num_inference_steps=1"]) == 0
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("eval.shapes: ")]
    assert [line.split(", 0:")[0] for line in told] == [
        "eval.shapes: 67% (t2v, clips 1 to 2 of 3, 2 at once)", "eval.shapes: 100% (t2v, clip 3 of 3)",
        "eval.shapes: 67% (t2i, images 1 to 2 of 3, 2 at once)", "eval.shapes: 100% (t2i, image 3 of 3)",
        "eval.shapes: 67% (held_out, clips 1 to 2 of 3, 2 at once)", "eval.shapes: 100% (held_out, clip 3 of 3)",
    ]  # fmt: skip
    made = ["held_out", "report.json", "run.json", "t2i", "t2v"]
    assert sorted(path.name for path in (tmp_path / "o").iterdir()) == made
    assert sorted(path.name for path in (tmp_path / "o/t2v").glob("*.mp4")) == ["00000.mp4", "00001.mp4", "00002.mp4"]
    assert json.loads((tmp_path / "o/run.json").read_text())["settings"] == {"num_inference_steps": 1}
    for more, said in (
        (["--kinds", "t2v", "i2v"], "is Lumina-Video, which makes t2i and t2v and no i2v; take another --model"),
        (["--mask-history-ratio", "0.5"], "--mask-history-ratio is a setting of Lumos-1, and"),
        (["--fast"], "--fast: this model says no multi-scale preset; give one with --preset FILE, or fewer --steps"),
        (["confidence=1"], "there is no setting 'confidence'"),
    ):
        capsys.readouterr()
        assert main([*words, "--out", str(tmp_path / "other"), *more]) == 2
        error = capsys.readouterr().err
        assert (error.count("\n"), said in error) == (1, True), error
    assert not (tmp_path / "other").exists()
