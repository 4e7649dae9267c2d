"""What a call gives back: images, and files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lumos.conventions.words import UnknownWordError
from lumos.media.decoding.video import Video
from lumos.media.reading import read_image
from tests.lumos.conventions.conftest import Kind

RED = "a red circle moves"


@pytest.fixture(scope="module")
def images(kinds: dict[str, Kind]) -> dict[str, Any]:
    """Two images, in each form."""
    pipeline = kinds["lumos1"]()
    size = {"width": 64, "height": 32, "num_frames": 1}
    return {
        form: pipeline(RED, seed=1, num_images_per_prompt=2, output_type=form, **size)
        for form in ("pil", "np", "pt", "latent")
    }


def test_images_have_no_axis_of_time(images: dict[str, Any]) -> None:
    pictures = images["pil"].images
    assert [picture.size for picture in pictures] == [(64, 32)] * 2
    assert all(isinstance(picture, Image.Image) for picture in pictures)
    array, tensor = images["np"].images, images["pt"].images
    assert array.shape == (2, 32, 64, 3)
    assert tensor.shape == (2, 3, 32, 64)
    np.testing.assert_array_equal((array * 255).astype(np.uint8), np.stack([np.asarray(one) for one in pictures]))
    assert images["latent"].images.shape == (2, 1, 4, 8)


def test_videos_are_no_images(kind: Kind, pipeline: Any) -> None:
    output = pipeline(RED, seed=1, **kind.small)
    with pytest.raises(ValueError, match=f"there is a clip of {kind.num_frames} frames; take output.frames"):
        _ = output.images
    assert not hasattr(output, "images")


@pytest.mark.parametrize("form", ["pil", "np", "pt"])
def test_a_clip_is_saved_at_its_own_rate_whatever_its_form(
    kind: Kind, pipeline: Any, tmp_path: Path, form: str
) -> None:
    output = pipeline(RED, seed=1, output_type=form, **kind.small)
    path = tmp_path / "new" / "x.mp4"
    assert output.save(path) == [path]
    with Video(path) as video:
        assert video.stream.frames == kind.num_frames
        assert video.stream.average_rate == output.settings[0].fps
    output.save(path, fps=9)
    with Video(path) as video:
        assert video.stream.average_rate == 9


def test_several_clips_are_numbered_and_one_of_them_is_named(kind: Kind, pipeline: Any, tmp_path: Path) -> None:
    output = pipeline(RED, seed=1, num_videos_per_prompt=2, **kind.small)
    assert output.save(str(tmp_path / "kite.gif")) == [tmp_path / "kite-0.gif", tmp_path / "kite-1.gif"]
    output.save(tmp_path / "second.gif", index=1)
    same = (tmp_path / "second.gif").read_bytes()
    assert same == (tmp_path / "kite-1.gif").read_bytes() != (tmp_path / "kite-0.gif").read_bytes()
    output.save(tmp_path / "last.gif", index=-1)
    assert (tmp_path / "last.gif").read_bytes() == same


def test_an_image_is_saved_as_one(images: dict[str, Any], tmp_path: Path) -> None:
    assert images["pil"].save(tmp_path / "x.png") == [tmp_path / "x-0.png", tmp_path / "x-1.png"]
    np.testing.assert_array_equal(read_image(tmp_path / "x-1.png"), np.asarray(images["pil"].images[1]))


@pytest.mark.parametrize(
    ("form", "name", "options", "message"),
    [
        ("pil", "x.png", {}, "cannot write .*x-0.png: the clip has .* frames; use .mp4, .webm or .gif"),
        ("pil", "x.avi", {}, "cannot write .*"),
        ("pil", "x", {}, "cannot write .*"),
        ("pil", "x.mp4", {"index": 2}, "index is 2, and there are 2 clips; count from 0"),
        ("pil", "x.mp4", {"fps": -3}, "fps is -3"),
        ("pil", "x.mp4", {"fps": 0}, "fps is 0"),
        ("pil", 3, {}, "path is 3; it must be a text or a path"),
        ("latent", "x.mp4", {}, "the frames are latents, .* pipeline.decode"),
    ],
)
def test_what_cannot_be_saved_is_said(
    kind: Kind, pipeline: Any, tmp_path: Path, form: str, name: Any, options: dict[str, Any], message: str
) -> None:
    output = pipeline(RED, seed=1, num_videos_per_prompt=2, output_type=form, **kind.small)
    with pytest.raises(ValueError, match=message):
        output.save(tmp_path / name if isinstance(name, str) else name, **options)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_word_is_both_kinds_of_error() -> None:
    assert issubclass(UnknownWordError, AttributeError)
    assert issubclass(UnknownWordError, ValueError)


@pytest.mark.parametrize("form", ["pil", "pt", "latent"])
def test_what_a_call_made_is_shown_in_one_line_without_its_numbers(kind: Kind, pipeline: Any, form: str) -> None:
    output = pipeline(RED, seed=1, num_videos_per_prompt=2, output_type=form, **kind.small)
    assert repr(output) == f"{type(output).__name__}(2 clips, output_type={form!r}, seeds=[1, 2])"
