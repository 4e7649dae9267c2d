"""Data sets of the shapes world: clips as shards, or as files with a CSV; never what is kept for evaluation."""

import csv
import hashlib
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from eval.shapes.parse import claims_of
from eval.shapes.prompts import KINDS, make_prompts
from lumos.shapes import is_reserved, render
from lumos.shapes.dataset import Format, example, main, motion_of, training_example, write_files
from lumos.shapes.render import pose
from lumos.shapes.spec import EXTRA_COLOURS, EXTRA_SHAPES, MOTIONS, STEP, ObjectSpec, ShapeSpec

VIDEO = Format(size_px=32, fps=4, duration_s=2)
IMAGE = Format(size_px=32, fps=1, duration_s=1, moving=False)


@pytest.mark.parametrize("moving", [True, False])
def test_training_never_sees_what_is_kept_for_evaluation(moving: bool) -> None:
    examples = [training_example(index, seed=0, moving=moving) for index in range(300)]
    assert not any(spec.held_out or is_reserved(text) for spec, text in examples)
    assert len({text for _, text in examples}) > 150
    if not moving:
        assert {item.motion for spec, _ in examples for item in spec.objects} == {"still"}


def test_extras_are_named_and_leave_out_what_is_held_out() -> None:
    examples = [training_example(index, seed=0, moving=True, extras=0.4) for index in range(300)]
    assert not any(spec.held_out or is_reserved(text) for spec, text in examples)
    extras = [item.colour for spec, _ in examples for item in spec.objects if item.colour in EXTRA_COLOURS]
    assert len(extras) > 100
    for spec, text in examples:
        assert all(item.colour in text.lower() for item in spec.objects if item.colour in EXTRA_COLOURS), text
    plain = [training_example(index, seed=0, moving=True) for index in range(300)]
    assert not any(is_extra(item) for spec, _ in plain for item in spec.objects)


def test_every_clip_has_as_many_shapes_as_asked_and_is_about_one_of_the_tags() -> None:
    for objects, tags in ((1, ("motion", "colors")), (2, ("position",))):
        form = replace(VIDEO, objects=objects, tags=tags)
        examples = [example(index, seed=0, form=form) for index in range(40)]
        assert {len(spec.objects) for spec, _ in examples} == {objects}
        assert not any(spec.held_out or is_reserved(text) for spec, text in examples)
    with pytest.raises(ValueError, match="--objects is 3"):
        replace(VIDEO, objects=3)


def test_most_of_a_lesson_shows_white_shapes_and_says_so() -> None:
    form = replace(VIDEO, lesson=True)
    examples = [example(index, seed=0, form=form) for index in range(160)]
    assert examples == [example(index, seed=0, form=form) for index in range(160)]
    assert not any(spec.held_out or is_reserved(text) for spec, text in examples)
    white = [(spec, text) for spec, text in examples if spec.objects[0].colour == "white"]
    assert len(white) == 100
    assert {(spec.ground, item.shape) for spec, _ in white for item in spec.objects} == {
        ("gray", "circle"),
        ("gray", "square"),
    }
    assert all(claims_of(text).include[0].colour == "white" for _, text in white)
    on_white = [spec for spec, text in examples if claims_of(text).ground == "white"]
    assert len(on_white) >= 40
    plain = [example(index, seed=0, form=VIDEO) for index in range(8)]
    assert examples[7] == plain[7]


def test_a_shape_of_its_grounds_colour_is_none() -> None:
    with pytest.raises(ValueError, match="a white shape cannot be seen on white"):
        ShapeSpec(objects=(ObjectSpec(shape="circle", colour="white"),), ground="white")


def test_what_is_drawn_by_default_stays_what_it_was() -> None:
    """The hashes are of the commit before `--wordings`, `--motions` and `--off-grid` came."""
    clips = [
        training_example(index, seed=0, moving=moving, extras=extras)
        for index in range(30)
        for moving in (True, False)
        for extras in (0, 0.4)
    ]
    assert digest(clips) == "a819cbb7916f9ec0"
    assert digest([make_prompts(kind, 16) for kind in KINDS]) == "543107440c66361d"


def digest(value: object) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()[:16]


def test_motions_come_as_often_as_asked() -> None:
    def share(motion: str, form: Format) -> float:
        moving = [motion_of(example(index, seed=0, form=form)[0]) for index in range(250)]
        return moving.count(motion) / len(moving)

    turning = replace(VIDEO, motions={"turn": 8})
    assert share("turn", VIDEO) < 0.3 < 0.4 < share("turn", turning)
    assert share("left", replace(VIDEO, motions={"left": 0})) == 0
    only = replace(VIDEO, motions={**dict.fromkeys(MOTIONS, 0), "up": 1})
    assert {motion_of(example(index, seed=0, form=only)[0]) for index in range(20)} == {"up"}


def test_centres_may_leave_the_grid() -> None:
    def on_grid(form: Format) -> list[bool]:
        clips = [example(index, seed=0, form=form)[0] for index in range(120)]
        return [all(item.x % STEP == item.y % STEP == 0 for item in spec.objects) for spec in clips]

    for form in (VIDEO, IMAGE):
        assert all(on_grid(form)) or form.moving  # what has no room for two steps is put half-way
        assert not any(on_grid(replace(form, off_grid=1)))
        assert 0.3 < sum(on_grid(replace(form, off_grid=0.5))) / 120 < 0.7


def test_off_the_grid_shapes_stay_inside_and_apart() -> None:
    clips = [example(index, seed=1, form=replace(VIDEO, off_grid=1, extras=0.4))[0] for index in range(300)]
    times = np.linspace(0, 2, 9)
    for spec in clips:
        poses = [pose(item, times, duration_s=spec.duration_s) for item in spec.objects]
        for x, y, radius, _ in poses:
            assert min((x - radius).min(), (y - radius).min(), (1 - x - radius).min(), (1 - y - radius).min()) > 0
        if len(poses) == 2:
            (ax, ay, ar, _), (bx, by, br, _) = poses
            assert (np.hypot(ax - bx, ay - by) - ar - br).min() >= 1 / 32 - 1e-9
    radii = {round(item.radius, 3) for spec in clips for item in spec.objects}
    assert len(radii) > 50


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--motions", "hop=2"], "--motions has hop: choose from still, left"),
        (["--motions", "turn"], "'turn' is no motion and its weight, such as turn=4"),
        (["--motions", "turn=-1"], "--motions.turn is -1"),
        (["--motions", "turn=2", "--images"], "--motions is about clips, and in an image nothing moves"),
        (["--motions", *(f"{motion}=0" for motion in MOTIONS)], "--motions leaves no motion to show"),
        (["--objects", "1", "--tags", "position"], "--objects is 1, of which nothing can be said under position"),
        (["--objects", "2", "--tags", "colors"], "--objects is 2, of which nothing can be said under colors"),
        (
            ["--objects", "2", "--tags", "motion", "--motions", *(f"{motion}=0" for motion in MOTIONS[1:])],
            "--motions leaves two shapes that stand still",
        ),
        (["--off-grid", "2"], "--off_grid is 2.0; it must be a number of at least 0 and at most 1"),
        (["--wordings", "most"], "--wordings"),
        (["--lesson", "--wordings", "many"], "--lesson has clips and wordings of its own"),
    ],
)
def test_what_cannot_be_drawn_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture, words: list[str], message: str
) -> None:
    assert main(["--out", str(tmp_path / "clips"), "--num", "1", *words]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "clips").exists()


def is_extra(item: ObjectSpec) -> bool:
    return item.colour in EXTRA_COLOURS or item.shape in EXTRA_SHAPES


def test_an_example_follows_from_its_number_and_the_seed() -> None:
    first = [training_example(index, seed=3, moving=True) for index in range(5)]
    assert first == [training_example(index, seed=3, moving=True) for index in range(5)]
    assert first != [training_example(index, seed=4, moving=True) for index in range(5)]
    assert len({spec for spec, _ in first}) == 5


@pytest.mark.parametrize("extras", [-1, 40])
def test_a_chance_of_extras_is_one(tmp_path: Path, extras: int, capsys: pytest.CaptureFixture) -> None:
    assert main(["--out", str(tmp_path / "clips"), "--num", "1", "--extras", str(extras)]) == 2
    assert f"--extras is {float(extras)}; it must be a number of at least 0 and at most 1" in capsys.readouterr().err


def test_captions_may_be_about_some_tags_only(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    examples = [training_example(index, seed=0, moving=True, tags=("motion",)) for index in range(100)]
    assert {item.motion for spec, _ in examples for item in spec.objects} == set(MOTIONS)
    assert all(spec.relation is None or ", the " in text for spec, text in examples)  # pairs: "..., the star turns"
    assert not all(", the " in training_example(i, seed=0, moving=True)[1] for i in range(100))
    for tags, message in ((["speed"], "--tags has speed: choose from single_object"), (["motion"], "nothing to say")):
        assert main(["--out", str(tmp_path / "x"), "--images", "--num", "1", "--tags", *tags]) == 2
        assert message in capsys.readouterr().err


def test_extra_colours_that_no_caption_could_name_are_refused() -> None:
    for moving, tags in ((True, ("single_object",)), (False, ("single_object", "two_object", "motion"))):
        with pytest.raises(ValueError, match="--extras is 1, but captions of single_object"):
            Format(extras=1, tags=tags, moving=moving)
    assert Format(extras=1, tags=("single_object", "motion")).extras == 1


def test_frames_of_a_format() -> None:
    assert (VIDEO.num_frames, IMAGE.num_frames, Format().num_frames) == (8, 1, 12)


def test_files_are_named_in_a_table_with_their_captions(tmp_path: Path) -> None:
    table = write_files(tmp_path, num=3, seed=2, form=VIDEO)
    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["text"] for row in rows] == [training_example(i, seed=2, moving=True)[1] for i in range(3)]
    for row in rows:
        with av.open(row["path"]) as container:
            stream = container.streams.video[0]
            assert (stream.width, stream.height, stream.average_rate) == (32, 32, 4)
            assert sum(1 for _ in container.decode(stream)) == 8


def test_pictures_are_the_rendered_ones(tmp_path: Path) -> None:
    table = write_files(tmp_path, num=2, seed=1, form=IMAGE)
    with table.open(newline="", encoding="utf-8") as file:
        paths = [row["path"] for row in csv.DictReader(file)]
    for index, path in enumerate(paths):
        expected = render(training_example(index, seed=1, moving=False)[0], width=32, height=32, num_frames=1, fps=1)
        np.testing.assert_array_equal(np.asarray(Image.open(path)), expected[0])


def test_the_command_writes_files(tmp_path: Path) -> None:
    assert main(["--out", str(tmp_path / "files"), "--files", "--num", "2", "--size", "32", "--images"]) == 0
    assert sorted(path.name for path in (tmp_path / "files").iterdir()) == ["00000.png", "00001.png", "clips.csv"]
