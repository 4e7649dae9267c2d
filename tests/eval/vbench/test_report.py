"""VBench's result files: many or one, whole or not."""

import json
from pathlib import Path
from typing import Any

import pytest

from eval.vbench.report import read_results
from eval.vbench.totals import DIMENSIONS


def save(folder: Path, name: str, value: Any, *, num: int | None = None, prompts: int = 0) -> None:
    """A run over one dimension: its score, and `num` videos found of five for each of `prompts` prompts."""
    run = folder / name
    run.mkdir(parents=True)
    (run / "results_2025_eval_results.json").write_text(json.dumps({name: [value, [{"video_path": "a-0.mp4"}]]}))
    if num is not None:
        videos = [[f"{prompt}-{copy}.mp4" for copy in range(5)] for prompt in range(prompts)]
        videos[-1] = videos[-1][: num - 5 * (prompts - 1)]
        info = [{"prompt_en": "p", "dimension": [name], "video_list": names} for names in videos]
        (run / "results_2025_full_info.json").write_text(json.dumps(info))


def save_all(folder: Path, benchmark: str, value: float = 0.5) -> None:
    for name, dimension in DIMENSIONS[benchmark].items():
        save(folder, name, value, num=5 * dimension.prompts, prompts=dimension.prompts)


@pytest.mark.parametrize("benchmark", ["vbench", "vbench_i2v"])
def test_one_run_a_dimension_makes_a_total(tmp_path: Path, benchmark: str) -> None:
    save_all(tmp_path, benchmark)
    scores = read_results(tmp_path, benchmark)
    assert [part.value for part in scores.parts] == [0.5] * len(DIMENSIONS[benchmark])
    assert (scores.missing, scores.remarks, len(scores.totals)) == ((), (), 3)


def test_camera_motion_has_its_score_first(tmp_path: Path) -> None:
    """Its result holds the scores by type between score and videos."""
    save_all(tmp_path, "vbench_i2v")
    file = tmp_path / "camera_motion" / "results_2025_eval_results.json"
    file.write_text(json.dumps({"camera_motion": [0.25, {"pan_left": 0.9}, []]}))
    values = {part.name: part.value for part in read_results(tmp_path, "vbench_i2v").parts}
    assert values["camera_motion"] == 0.25


def test_a_missing_dimension_is_named_and_there_is_no_total(tmp_path: Path) -> None:
    save_all(tmp_path, "vbench")
    (tmp_path / "scene" / "results_2025_eval_results.json").unlink()
    scores = read_results(tmp_path, "vbench")
    assert (scores.totals, scores.missing) == ({}, ("scene: not scored",))


def test_a_dimension_with_missing_videos_makes_no_total(tmp_path: Path) -> None:
    save_all(tmp_path / "rest", "vbench")
    for file in (tmp_path / "rest" / "color").iterdir():
        file.unlink()
    save(tmp_path, "color", 0.5, num=424, prompts=85)
    scores = read_results(tmp_path, "vbench")
    assert (scores.totals, scores.missing) == ({}, ("color: 424 videos were scored, the dimension has 425",))


def test_flickering_is_of_static_videos_however_many(tmp_path: Path) -> None:
    for num, missing in ((371, 0), (0, 1)):
        folder = tmp_path / str(num)
        save_all(folder / "rest", "vbench")
        for file in (folder / "rest" / "temporal_flickering").iterdir():
            file.unlink()
        save(folder, "temporal_flickering", 0.9, num=num, prompts=75 if num else 1)
        assert len(read_results(folder, "vbench").missing) == missing


def test_a_dimension_outside_the_total_is_told_apart(tmp_path: Path) -> None:
    save_all(tmp_path, "vbench_i2v")
    save(tmp_path, "temporal_flickering", 0.9)
    scores = read_results(tmp_path, "vbench_i2v")
    assert "temporal_flickering does not enter the total" in scores.remarks
    assert len(scores.totals) == 3


def test_unknown_numbers_of_videos_are_remarked(tmp_path: Path) -> None:
    save_all(tmp_path, "vbench")
    (tmp_path / "color" / "results_2025_full_info.json").unlink()
    scores = read_results(tmp_path, "vbench")
    assert scores.totals
    assert "no _full_info.json beside the results of color: how many videos is not known" in scores.remarks


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("imaging_quality", 61.2, "not in \\[0, 1\\]"),
        ("imaging_quality", float("nan"), "no number"),
        ("imaging_quality", None, "no number"),
        ("camera_motion", 0.5, "camera_motion, which is no dimension of vbench"),
    ],
)
def test_what_is_no_score_is_refused(tmp_path: Path, name: str, value: Any, why: str) -> None:
    save(tmp_path, name, value)
    with pytest.raises(ValueError, match=why):
        read_results(tmp_path, "vbench")


def test_two_scores_of_a_dimension_are_refused_unless_equal(tmp_path: Path) -> None:
    save(tmp_path / "a", "color", 0.5)
    save(tmp_path / "b", "color", 0.5)
    assert read_results(tmp_path, "vbench").parts[10].value == 0.5
    save(tmp_path / "c", "color", 0.6)
    with pytest.raises(ValueError, match="different scores of color"):
        read_results(tmp_path, "vbench")


def test_a_folder_without_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"holds no \*_eval_results\.json"):
        read_results(tmp_path, "vbench")
