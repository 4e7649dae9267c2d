"""Models side by side: one command makes, scores, measures, draws and writes, and goes on where it was stopped."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from eval.shapes.__main__ import main
from eval.shapes.comparing import side_by_side
from eval.shapes.comparing.alternating import Sampled, measure_alternately
from eval.shapes.comparing.cost import Cost
from eval.shapes.comparing.side_by_side import SECTION, write_section
from tests.lumos.lumina_video.tiny import DEFAULTS, tiny_lumina_folder
from tests.model_folder import make_model_folder

TINY = {**DEFAULTS, "width": 64, "height": 32, "fast": {"num_inference_steps": 2}}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """One of each kind, both with faster settings."""
    root = tmp_path_factory.mktemp("models")
    lumina = tiny_lumina_folder(root / "flow")
    (lumina / "generation_config.json").write_text(json.dumps(TINY))
    return [str(make_model_folder(root / "masked")), str(lumina)]


def _cost(seconds: float) -> Cost:
    return Cost(
        num_parameters=5_000_000, file_bytes=10**7, passes=9, flops=3 * 10**9, seconds=seconds, spread=0.1,
        peak_bytes=2**20, num_frames=8, threads=1, device="cpu", dtype="float32",
    )  # fmt: skip


@pytest.mark.slow
def test_one_command_makes_scores_measures_draws_and_writes_and_then_has_nothing_left_to_do(
    models: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[Sequence[Sampled]] = []

    def measure(sampled: Sequence[Sampled], *, repeats: int) -> list[Cost]:
        asked.append(sampled)
        return [_cost(seconds=number + repeats) for number, _ in enumerate(sampled)]

    monkeypatch.setattr(side_by_side, "measure_alternately", measure)
    page, out, pictures = tmp_path / "page.md", tmp_path / "o", tmp_path / "pictures"
    page.write_text(f"above\n\n{SECTION.begin}\nold\n{SECTION.end}\n\nbelow\n")
    words = ["side-by-side", "--models", *models, "--num", "1", "--repeats", "3", "--out", str(out)]
    words += ["--write", str(page), "--pictures", str(pictures)]
    assert main(words) == 0
    table = capsys.readouterr().out
    assert "|  | `masked` | `masked, fast` | `flow` | `flow, fast` |" in table
    assert "| seconds a clip, alone | 3.00 | 4.00 | 5.00 | 6.00 |" in table
    assert "| shown in training | - | - | - | - |" in table
    assert "image of a text" in table
    assert "first frame" not in table  # one of them makes no videos of pictures
    text = page.read_text()
    assert (text.startswith("above\n\n"), text.endswith("\n\nbelow\n"), "old" in text) == (True, True, False)
    assert "![Side by side](pictures/side_by_side_clips.png)" in text
    assert all((pictures / name).is_file() for name in ("side_by_side.png", "side_by_side_clips.png"))
    assert [dict(one.settings) for one in asked[0]][2:] == [{}, {"num_inference_steps": 2}]
    made = {path: path.stat().st_mtime_ns for path in out.rglob("*.mp4")}
    assert main(words) == 0
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.mp4")} == made
    assert (len(made), len(asked)) == (8, 1)


def test_a_page_without_a_place_and_two_models_of_one_name_are_refused_before_anything_is_made(
    models: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page, out = tmp_path / "page.md", tmp_path / "o"
    page.write_text(f"{SECTION.begin}\nbut no end\n")
    for words, said in (
        (
            ["--models", *models, "--write", str(page)],
            f"{page} has no place for the table: write a line {SECTION.begin}",
        ),
        (["--models", models[0], models[0]], "two have one name"),
        (["--models", models[0], "--repeats", "0"], "repeats"),
    ):
        assert main(["side-by-side", *words, "--num", "1", "--out", str(out)]) == 2
        error = capsys.readouterr().err
        assert (said in error, error.count("\n")) == (True, 1), error
    assert not out.exists()


def test_a_section_is_written_in_the_place_of_the_old_one(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"a\n{SECTION.begin}\n{SECTION.end}\nz\n")
    for table in ("| one |", "| two |"):
        write_section(page, table, [])
    assert page.read_text() == f"a\n{SECTION.begin}\n\n| two |\n\n{SECTION.end}\nz\n"


@pytest.mark.slow
def test_costs_are_measured_in_processes_that_take_turns(models: list[str]) -> None:
    few = {"num_inference_steps": 2}
    masked, flow = measure_alternately([Sampled(model=model, settings=few) for model in models], repeats=2)
    assert (masked.passes, flow.passes) == (3 * 2 * 2 + 2 * 2, 2 * 2)  # 3 latent frames, two of which become history
    assert min(masked.seconds, flow.seconds) > 0
    assert masked.peak_bytes != flow.peak_bytes
    with pytest.raises(RuntimeError, match="a process that measures one of the models ended"):
        measure_alternately([Sampled(model="nowhere", settings={})], repeats=1)
