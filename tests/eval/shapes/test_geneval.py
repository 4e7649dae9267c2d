"""The shapes world in GenEval's clothes, and all of the pipeline on it with the bundled model."""

import json
import random
from pathlib import Path

import pytest

from eval.check.__main__ import main as check
from eval.geneval.__main__ import main as generate
from eval.geneval.prompts import read_metadata
from eval.geneval.report import TAGS, read_results
from eval.report.__main__ import main as report
from eval.shapes.geneval import main, metadata_of, prompt_of, score_images
from eval.shapes.prompts import Record, make_prompts
from lumos.media.writing import write_image


def write_folder(folder: Path, records: list[Record], pictures: list[Record]) -> None:
    """Images as GenEval's driver writes them: for the prompt of each record the first frame of another one's clip."""
    for number, (record, picture) in enumerate(zip(records, pictures, strict=True)):
        image = picture.first_frame(width=64, height=64)
        for copy in range(4):
            write_image(folder / f"{number:05d}" / "samples" / f"{copy:05d}.png", image)
        (folder / f"{number:05d}" / "metadata.jsonl").write_text(json.dumps(metadata_of(record.prompt)))


def test_metadata_keeps_all_that_a_prompt_claims() -> None:
    prompts = [record.prompt for record in make_prompts("t2i", 60)]
    assert [prompt_of(json.loads(json.dumps(metadata_of(prompt)))) for prompt in prompts] == prompts


def test_metadata_has_geneval_s_form() -> None:
    """The second object's place is told from the first; counting excludes one more."""
    records = [metadata_of(record.prompt) for record in make_prompts("t2i", 60)]
    assert {record["tag"] for record in records} == set(TAGS)
    for record in records:
        assert ("exclude" in record) == (record["tag"] == "counting")
        if record["tag"] == "position":
            assert record["include"][1]["position"][0] in ("left of", "right of", "above", "below")
            assert record["include"][1]["position"][1] == 0
    above = next(r for r in make_prompts("t2i", 60) if r.prompt.relation == "above").prompt
    assert metadata_of(above)["include"][1]["position"] == ["below", 0]


def test_right_images_score_one_and_shuffled_ones_about_nought(tmp_path: Path) -> None:
    records = make_prompts("t2i", 24, seed=3)
    shuffled = random.Random(5).sample(records, len(records))
    for name, pictures, low, high in (("right", records, 1.0, 1.0), ("shuffled", shuffled, 0.0, 0.3)):
        write_folder(tmp_path / name, records, pictures)
        results = tmp_path / f"{name}.jsonl"
        assert main(["score", str(tmp_path / name), "--out", str(results)]) == 0
        scores = read_results(results, [metadata_of(record.prompt) for record in records])
        assert low <= scores.totals["overall"] <= high, name


def test_other_metadata_is_refused(tmp_path: Path) -> None:
    record = {"tag": "single_object", "include": [{"kind": "bench"}], "prompt": "a photo of a bench"}
    (tmp_path / "00000" / "samples").mkdir(parents=True)
    (tmp_path / "00000" / "metadata.jsonl").write_text(json.dumps(record))
    with pytest.raises(ValueError, match="no shapes prompt"):
        list(score_images(tmp_path))
    assert main(["score", str(tmp_path / "00000"), "--out", str(tmp_path / "r.jsonl")]) == 2


@pytest.mark.slow
def test_driver_check_scorer_and_report_run_end_to_end(
    tmp_path: Path, repo: Path, capsys: pytest.CaptureFixture
) -> None:
    """One prompt of every tag, four images each of two steps: every line that a released model would go through."""
    if not (repo / "ckpts" / "lumos-tiny" / "config.json").is_file():
        pytest.skip("ckpts/lumos-tiny has no model yet: exps/lumos_tiny.sh makes it")
    prompts, images, results = tmp_path / "prompts.jsonl", tmp_path / "images", tmp_path / "results.jsonl"
    assert main(["prompts", "--num", "6", "--out", str(prompts)]) == 0
    words = ["--prompts", str(prompts), "--short", "--out", str(images), "--device", "cpu", "num_inference_steps=2"]
    assert generate(words) == 0
    assert check(["geneval", str(images), "--prompts", str(prompts), "--size", "64x64"]) == 0
    assert main(["score", str(images), "--out", str(results)]) == 0
    words = ["--prompts", str(prompts), "--samples", str(images), "--out", str(tmp_path / "report")]
    assert report(["geneval", str(results), *words]) == 0
    found = json.loads((tmp_path / "report" / "geneval.json").read_text())
    assert [(part["name"], part["num"]) for part in found["parts"]] == [(tag, 4) for tag in sorted_tags(prompts)]
    assert 0 <= found["totals"]["overall"] <= 1
    assert (tmp_path / "report" / "geneval.html").read_text().count("<img ") == 24
    (images / "00002" / "samples" / "00001.png").unlink()
    assert check(["geneval", str(images), "--prompts", str(prompts)]) == 1
    assert "00002/samples/00001.png" in capsys.readouterr().out


def sorted_tags(prompts: Path) -> list[str]:
    """The tags in the order of the prompt file."""
    return list(dict.fromkeys(record["tag"] for record in read_metadata(prompts)))
