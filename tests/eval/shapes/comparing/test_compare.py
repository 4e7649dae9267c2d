"""Costs of a clip, and evaluations side by side."""

import json
from pathlib import Path

import pytest

from eval.shapes.__main__ import main
from eval.shapes.comparing.compare import compare
from eval.shapes.comparing.cost import measure_cost
from tests.lumos.lumina_video.tiny import tiny_lumina_folder


def _evaluation(folder: Path, *, model: str, seed: int = 0, overall: float = 0.5, kinds: tuple[str, ...]) -> Path:
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps({"model": f"/somewhere/{model}", "num": 7, "seed": seed}))
    scores = {"overall": overall, "tags": {"motion": {"accuracy": 0.25}}, "motions": {"left": {"accuracy": 1.0}}}
    (folder / "report.json").write_text(json.dumps(dict.fromkeys(kinds, scores)))
    return folder


def test_a_cost_counts_the_passes_of_the_settings_and_measures_the_rest(tmp_path: Path) -> None:
    model = str(tiny_lumina_folder(tmp_path / "lumina"))
    cost = measure_cost(model, repeats=2, settings={"num_inference_steps": 2})
    twice = measure_cost(model, repeats=1, settings={"num_inference_steps": 4})
    assert (cost.passes, twice.passes) == (2 * 2, 4 * 2)  # guided: t < 0.5 at all of them
    assert twice.flops > cost.flops > 0
    assert cost.num_frames == 8
    assert cost.seconds > 0
    files = [tmp_path / "lumina" / name for name in ("model.safetensors", "text_encoder/model.safetensors")]
    vae = tmp_path / "lumina/vae/diffusion_pytorch_model.safetensors"
    assert cost.file_bytes == sum(path.stat().st_size for path in (*files, vae))
    assert cost.peak_bytes > cost.file_bytes


def test_the_table_has_a_column_an_evaluation_and_dashes_where_nothing_was_asked(tmp_path: Path) -> None:
    one = _evaluation(tmp_path / "one", model="masked", kinds=("t2v", "t2i"))
    two = _evaluation(tmp_path / "two", model="flow", overall=0.75, kinds=("t2v",))
    lines = compare([one, two]).splitlines()
    assert lines[0] == "|  | `masked` | `flow` |"
    assert "| video of a text | 0.500 | 0.750 |" in lines
    assert "| image of a text | 0.500 | - |" in lines
    assert "| - motion | 0.250 | 0.250 |" in lines
    assert not any("GFLOP" in line for line in lines)  # nobody measured


def test_a_measured_cost_stands_in_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = str(tiny_lumina_folder(tmp_path / "lumina"))
    out = _evaluation(tmp_path / "out", model="lumina", kinds=("t2v",))
    assert main(["cost", "--model", model, "--repeats", "1", "--out", str(out), "num_inference_steps=2"]) == 0
    assert main(["compare", str(out)]) == 0
    assert "| passes of the network a clip | 4 |" in capsys.readouterr().out


def test_evaluations_of_other_prompts_are_not_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = _evaluation(tmp_path / "one", model="a", kinds=("t2v",))
    two = _evaluation(tmp_path / "two", model="b", seed=1, kinds=("t2v",))
    assert main(["compare", str(one), str(two)]) == 2
    assert "differ in seed" in capsys.readouterr().err
    assert main(["compare", str(tmp_path)]) == 2
    assert "holds no run.json: give the --out of" in capsys.readouterr().err
