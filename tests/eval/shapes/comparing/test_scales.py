"""A preset of several scales against its twin: what is made, what is compared, and what is refused."""

import json
from pathlib import Path

import pytest

from eval.shapes.__main__ import main
from eval.shapes.comparing.scales import ScalesRow, scales_table
from tests.lumos.lumina_video.tiny import DEFAULTS, tiny_lumina_folder

PRESET = {**DEFAULTS["preset"], "P": "1x2"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose own preset has one scale, and its fast one three."""
    folder = tiny_lumina_folder(tmp_path_factory.mktemp("models") / "lumina")
    defaults = {**DEFAULTS, "preset": PRESET, "fast": {"preset": DEFAULTS["preset"]}}
    (folder / "generation_config.json").write_text(json.dumps(defaults))
    return folder


def test_the_twin_differs_in_its_scale_alone_and_both_are_made(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "o"
    assert main(["scales", "--model", str(model), "--num", "2", "--out", str(out), "guidance_scale=2"]) == 0
    twin, other = (json.loads((out / name / "run.json").read_text()) for name in ("1x2", "2x4-0.1-2x2-0.4-1x2"))
    settings = twin["settings"]["preset"], other["settings"]["preset"]
    assert settings[0] == {**settings[1], "P": "1x2"}
    assert settings[1] == {**DEFAULTS["preset"], "cfg": 2}
    assert (twin["seed"], twin["num"]) == (other["seed"], other["num"])
    rows = json.loads((out / "scales.json").read_text())
    assert [row["scale"] for row in rows] == ["1x2", "2x4 to t = 0.1, then 2x2 to t = 0.4, then 1x2"]
    assert rows[0]["passes"] == rows[1]["passes"] == 8
    assert rows[1]["of_twin"] == rows[1]["flops"] / rows[0]["flops"] < 1 == rows[0]["of_twin"]
    assert "| of the twin's | t2v | loss, t2v |" in capsys.readouterr().out


def test_a_loss_is_what_the_twin_has_more() -> None:
    scores: list[dict[str, float]] = [{"t2v": 0.75}, {"t2v": 0.7}]
    rows = [
        ScalesRow(scale="1x2", passes=8, flops=4 * 10**9, scores=scores[0], motion=0.5),
        ScalesRow(scale="2x2 to t = 0.5, then 1x2", passes=8, flops=10**9, scores=scores[1], motion=None),
    ]
    assert scales_table(rows).splitlines()[2:] == [
        "| 1x2 | 8 | 4.0 | 1.000 | 0.750 | +0.000 | 0.500 |",
        "| 2x2 to t = 0.5, then 1x2 | 8 | 1.0 | 0.250 | 0.700 | +0.050 | - |",
    ]


def test_times_of_ones_own_are_refused_where_no_schedule_has_them_and_so_is_a_model_without_scales(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["scales", "--num", "1", "--out", str(tmp_path / "o")]
    for more, said in (
        (["--model", str(model), "--at", "1.5"], "--at 1.5: t runs from 0"),
        (["--model", str(model), "preset=" + json.dumps(PRESET)], "preset has one scale, 1x2; give one whose P begins"),
        (["--model", "lumos-tiny"], "lumos-tiny is Lumos-1, which has no scales; give a --model of Lumina-Video"),
    ):
        assert main([*words, *more]) == 2
        error = capsys.readouterr().err
        assert (said in error, error.count("\n")) == (True, 1), error
    assert not (tmp_path / "o").exists()
