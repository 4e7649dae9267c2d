"""The maintained recipe with stand-in detectors: Mask2Former's arithmetic, the results file, the label everywhere."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import EpsImagePlugin, Image

from eval.benchmarks import BENCHMARKS
from eval.geneval import score
from eval.geneval.detector import Mask2FormerDetector, box_of, cut_out, instances
from eval.geneval.judge import CLASSES, Detection
from eval.geneval.recipe import NOT_OFFICIAL
from eval.geneval.report import read_results
from eval.report.table import markdown, table_of
from lumos.media.media_error import MediaError
from tests.eval.conftest import METADATA


def by_pixels(image: Image.Image) -> list[Detection]:
    """A cow where it is red, two clocks where it is green, a cup where it is blue."""
    brightest = int(np.asarray(image).mean(axis=(0, 1)).argmax())
    names = [["cow"], ["clock", "clock"], ["cup"]][brightest]
    return [Detection(name=name, score=0.95, box=(0, 0, 4, 6)) for name in names]


def red(image: Image.Image, objects: Sequence[Detection]) -> list[str]:
    return ["red"] * len(objects)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Every image shows what its prompt asks for, but one of the clocks."""
    for number, (record, colour) in enumerate(zip(METADATA, ("red", "lime", "blue"), strict=True)):
        folder = tmp_path / "images" / f"{number:05d}"
        (folder / "samples").mkdir(parents=True)
        (folder / "metadata.jsonl").write_text(json.dumps(record))
        for copy in range(4):
            shown = "red" if (number, copy) == (1, 2) else colour
            Image.new("RGB", (8, 6), shown).save(folder / "samples" / f"{copy:05d}.png")
    return tmp_path / "images"


def test_results_are_geneval_s_and_say_that_they_are_not_official(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(score, "_loaded", lambda options, device: (by_pixels, red))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: True)
    assert score.main([str(images), str(tmp_path / "results"), "--detector", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert out.count(NOT_OFFICIAL) == 2
    assert "11 of 12 images are right" in out
    scores = read_results(tmp_path / "results" / "results.jsonl", METADATA)
    assert {part.name: part.value for part in scores.parts} == {"single_object": 1, "counting": 0.75, "colors": 1}
    assert scores.verdicts["00001/samples/00002.png"] == (False, "expected clock>=2, found 0")
    assert scores.scorer == f"maintained: {tmp_path}, openai/clip-vit-large-patch14; {NOT_OFFICIAL}"
    text = markdown(table_of(scores, BENCHMARKS["geneval"], name="mine"))
    assert text.startswith("| Tag | mine (not the official scorer) |\n")
    assert NOT_OFFICIAL in text


def test_no_published_numbers_stand_beside_another_scorer(tmp_path: Path) -> None:
    from tests.eval.geneval.test_report import RECORDS, results, write

    lines = results(lambda record, copy: True)
    official = table_of(read_results(write(tmp_path, lines), RECORDS), BENCHMARKS["geneval"])
    other = table_of(
        read_results(write(tmp_path, [{**line, "scorer": "x"} for line in lines]), RECORDS), BENCHMARKS["geneval"]
    )
    assert (len(official.head) > 2, len(other.head)) == (True, 2)


def test_what_is_missing_is_said(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert score.main([str(images), str(tmp_path / "r")]) == 2
    assert "scipy, which is not installed; pip install -e '.[score]'" in capsys.readouterr().err
    assert score.main([str(tmp_path / "r"), str(tmp_path / "r")]) == 2
    assert "is no folder; give the --out of eval.geneval" in capsys.readouterr().err


def test_instances_are_scored_by_class_and_mask() -> None:
    """Two queries of 80 classes and none: a dog on the left third, nothing else that is sure."""
    dog = CLASSES.index("dog")
    classes = torch.full((2, 81), -20.0)
    classes[0, dog], classes[1, 80] = 20.0, 20.0
    masks = torch.full((2, 4, 6), -3.0)
    masks[0, 1:, :2] = torch.tensor(2.0)
    found = instances(classes, masks)
    assert found[0].name == "dog"
    assert found[0].score == pytest.approx(torch.tensor(2.0).sigmoid().item())
    assert found[0].box == (0, 1, 2, 4)
    assert all(other.score < 1e-6 for other in found[1:])


def test_an_object_is_cut_out_on_grey() -> None:
    mask = np.zeros((6, 8), dtype=bool)
    mask[2:5, 3:7] = True
    mask[2, 3] = False
    one = Detection(name="dog", score=1, box=box_of(mask), mask=mask)
    cut = np.asarray(cut_out(Image.new("RGB", (8, 6), "red"), one))
    assert cut.shape == (3, 4, 3)
    assert (tuple(cut[0, 0]), tuple(cut[1, 1])) == ((0x99, 0x99, 0x99), (255, 0, 0))


def test_mask2former_of_transformers_is_what_the_detector_takes(tmp_path: Path) -> None:
    """Random weights, saved as its authors save theirs: every object has its mask and its box in the image."""
    pytest.importorskip("scipy")
    from transformers import Mask2FormerConfig, Mask2FormerForUniversalSegmentation, SwinConfig
    from transformers.models.mask2former.image_processing_pil_mask2former import Mask2FormerImageProcessorPil

    backbone = SwinConfig(image_size=32, embed_dim=16, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2], window_size=2,
                          out_features=["stage1", "stage2", "stage3", "stage4"])  # fmt: skip
    config = Mask2FormerConfig(backbone_config=backbone, feature_size=32, mask_feature_size=32, hidden_dim=32,
                               encoder_feedforward_dim=32, encoder_layers=1, decoder_layers=2, num_attention_heads=2,
                               dim_feedforward=32, num_queries=7, id2label=dict(enumerate(CLASSES)))  # fmt: skip
    torch.manual_seed(0)
    Mask2FormerForUniversalSegmentation(config).save_pretrained(tmp_path)
    Mask2FormerImageProcessorPil(size={"shortest_edge": 48, "longest_edge": 96}).save_pretrained(tmp_path)
    found = Mask2FormerDetector(str(tmp_path), device=torch.device("cpu"))(Image.new("RGB", (70, 50), "red"))
    assert found
    for one in found:
        assert one.mask is not None
        assert one.mask.shape == (50, 70)
        assert one.name in CLASSES
        assert 0 < one.score < 1
    config.id2label = {index: f"LABEL_{index}" for index in range(80)}
    config.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="its 80 classes are not COCO's 80 in their order"):
        Mask2FormerDetector(str(tmp_path), device=torch.device("cpu"))


def test_an_image_is_no_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_: object) -> Image.Image:
        raise AssertionError("the program is run")

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", run)
    folder = tmp_path / "00000"
    (folder / "samples").mkdir(parents=True)
    (folder / "metadata.jsonl").write_text('{"tag": "counting"}')
    image = folder / "samples" / "0000.png"
    image.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n")
    with pytest.raises(MediaError, match="EPS is a program"):
        score.judged(image, detector=lambda _: [], colours=lambda *_: [])
