"""The gallery: the first clips of each evaluation in order, none chosen, none left out."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eval.shapes.__main__ import main
from eval.shapes.outputs import save_output
from eval.shapes.pictures.gallery import write_gallery
from eval.shapes.prompts import make_prompts, save_prompts


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    """Three videos of four frames, and three images, each of one grey."""
    found = []
    for kind, first, frames in (("t2v", 20, 4), ("t2i", 120, 1)):
        records = make_prompts(kind, 3)
        save_prompts(records, tmp_path / kind / "prompts.json")
        for record in records:
            grey = np.full((frames, 32, 48, 3), first + 30 * record.id, dtype=np.uint8)
            save_output(tmp_path / kind, record, grey, fps=6)
        found.append(tmp_path / kind)
    return found


def test_the_first_clips_of_each_folder_stand_side_by_side(folders: list[Path], tmp_path: Path) -> None:
    assert write_gallery(tmp_path / "all.png", folders, num=2, columns=2) == 4
    with Image.open(tmp_path / "all.png") as picture:
        width, height = picture.size
        greys = [picture.getpixel((x * width // 2 + 70, y * height // 2 + 70))[0] for y in (0, 1) for x in (0, 1)]
    assert greys == pytest.approx([20, 50, 120, 150], abs=4)


def test_a_gallery_moves_and_rests_on_its_last_picture(folders: list[Path], tmp_path: Path) -> None:
    assert main(["gallery", *map(str, folders), "--num", "1", "--out", str(tmp_path / "all.gif")]) == 0
    with Image.open(tmp_path / "all.gif") as picture:
        assert picture.size[0] > 300
        assert sum(picture.seek(index) or picture.info["duration"] for index in range(picture.n_frames)) >= 1600


def test_a_missing_clip_is_named_not_passed_over(folders: list[Path], tmp_path: Path) -> None:
    (folders[0] / "00001.mp4").unlink()
    with pytest.raises(ValueError, match="no clip 00001"):
        write_gallery(tmp_path / "all.gif", folders, num=2)
    assert write_gallery(tmp_path / "all.gif", folders, num=1) == 2
