"""Things before a picture, and clips by number."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lumos.filming.clips import ClipSize, FilmedClips, is_held_out, pictures_of
from lumos.filming.picture import read_pictures
from lumos.filming.scene import Thing, scene
from xllmx.rng import generator_for

SIZE = {"num_frames": 5, "height": 24, "width": 40}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty small pictures, of which one or more are held out."""
    folder = tmp_path_factory.mktemp("pictures")
    (folder / "more").mkdir()
    rng = np.random.default_rng(0)
    for index in range(30):
        small = Image.fromarray(rng.integers(0, 256, (6, 9, 3), dtype=np.uint8))
        small.resize((90, 70)).save(folder / ("more" if index % 2 else ".") / f"{index}.png")
    (folder / "notes.txt").write_text("no picture")
    return folder


def test_a_thing_moves_by_its_step_and_covers_its_disc():
    thing = Thing(x=12.0, y=10.0, step_x=2.0, step_y=1.0, radius=6.0)
    cover = thing.cover(**SIZE)
    torch.testing.assert_close(cover[1, 1:, 2:], cover[0, :-1, :-2])
    assert float(cover[0].sum()) == pytest.approx(torch.pi * 36, rel=0.03)
    assert cover[0, 10, 12] == 1
    assert cover[0, 0, 39] == 0


def test_an_outline_that_is_bent_has_another_form():
    round_one, bent = (Thing(x=20.0, y=12.0, step_x=0.0, step_y=0.0, radius=8.0, bends=b) for b in ((), ((0.3, 0.0),)))
    cover = bent.cover(**SIZE)[0]
    assert not torch.equal(cover, round_one.cover(**SIZE)[0])
    assert float(cover[12].sum()) > float(cover[:, 20].sum()) + 4  # two waves: wider than it is high


def test_a_clip_is_that_of_its_number_and_seed(folder: Path):
    pictures = read_pictures(folder)
    clips = FilmedClips(pictures, num=30, seed=1, size=ClipSize(**SIZE))
    clip, has_windows = clips[3]
    assert clip.shape == (3, 5, 24, 40)
    assert clip.dtype == torch.uint8
    assert not has_windows
    assert torch.equal(clip, FilmedClips(pictures, num=30, seed=1, size=ClipSize(**SIZE))[3][0])
    others = [clips[4][0], FilmedClips(pictures, num=30, seed=2, size=ClipSize(**SIZE))[3][0]]
    assert not any(torch.equal(clip, other) for other in others)
    moving = sum(not torch.equal(clips[index][0][:, 0], clips[index][0][:, -1]) for index in range(30))
    assert moving > 15


def test_the_light_keeps_pixels_in_range(folder: Path):
    clip = scene(read_pictures(folder), generator_for(5), **SIZE)
    assert clip.dtype == torch.uint8


def test_no_picture_is_in_both_splits(folder: Path):
    training, evaluation = ({p.name for p in pictures_of(folder, split)} for split in ("train", "eval"))
    assert len(training) + len(evaluation) == 30
    assert evaluation == {name for name in training | evaluation if is_held_out(name)}
    assert evaluation
    assert training
    assert "more/1.png" in training | evaluation


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: None, "holds no pictures.*pre_tokenize.photographs"),
        (lambda folder: Image.new("RGB", (40, 90)).save(folder / "a.png"), "a.png is smaller than 64 px"),
        (lambda folder: (folder / "a.jpg").write_bytes(b"no"), "a.jpg.*delete it"),
    ],
)
def test_a_folder_that_cannot_be_filmed_is_refused(tmp_path: Path, make, said: str):
    make(tmp_path)
    with pytest.raises(ValueError, match=said):
        read_pictures(tmp_path)


def test_a_split_without_pictures_is_refused(tmp_path: Path):
    name = next(f"{index}.png" for index in range(100) if not is_held_out(f"{index}.png"))
    Image.new("RGB", (70, 70), "red").save(tmp_path / name)
    with pytest.raises(ValueError, match=r"one picture in eight.*of 1 none does; add some"):
        pictures_of(tmp_path, "eval")
