"""A look at a list of files that are trained on as they are."""

import json
from pathlib import Path

import numpy as np

from lumos.look.kind import kind_of
from lumos.look.listed_files import look_at_listed_files
from lumos.look.report import LookRequest
from lumos.media.writing import write_image
from tests.lumos.lumina_video.latents import write_raw_clips


def test_videos_are_counted_by_size_and_shown(tmp_path: Path) -> None:
    listed = write_raw_clips(tmp_path, num=3)
    with listed.open("a") as file:
        file.write(json.dumps({"path": "none.mp4", "prompt": "nothing"}) + "\n")
    (tmp_path / "data.yaml").write_text("META: [{path: list.jsonl}]")
    for path in (listed, tmp_path / "data.yaml"):
        assert kind_of(path) == ("files", path)
        report = look_at_listed_files(path, LookRequest())
        said = "\n".join(report.lines)
        assert "4 files as they are, for Lumina-Video with task.vae" in said
        assert ["96x64", "8", "3"] in [line.split() for line in report.lines]
        assert "seconds     3" in said
        assert "motion      0 to 2, median 1; known of 3 of 4 files" in said
        assert "damaged     1 clip could not be read: " in said
        assert [len(card.strips) for card in report.cards] == [1, 1, 1, 0]
        assert report.cards[1].note.endswith("1.mp4 · 24 frames · motion 1.0")
        assert report.cards[3].note.endswith("none.mp4 · missing file")


def test_images_have_no_rate(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", np.zeros((8, 16, 3), np.uint8))
    (tmp_path / "list.json").write_text('[{"path": "a.png", "prompt": "a"}]')
    report = look_at_listed_files(tmp_path / "list.json", LookRequest())
    assert ["16x8", "-", "1"] in [line.split() for line in report.lines]
    assert [card.note[-15:] for card in report.cards] == ["a.png · picture"]
