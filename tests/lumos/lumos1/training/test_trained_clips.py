"""What a model of Lumos-1 is asked for by itself are clips such as it was trained on, where their shapes are known."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lumos.lumos1.data.writing import ClipWriter
from lumos.lumos1.sequence import Clip
from lumos.lumos1.training.task import LumosTask, LumosTaskConfig
from tests.tiny_data import MODEL, VOCAB, write_clips


def write(folder: Path, *shapes: tuple[int, int, int], fps: int = 6, seconds: int = 2) -> str:
    with ClipWriter(folder) as writer:
        for number, shape in enumerate(shapes):
            codes, prompt = np.zeros(shape, np.uint16), np.array([256, 1, 2], np.int32)
            writer.add(Clip(prompt_ids=prompt, caption="", codes=codes, fps=fps, duration=seconds, source=str(number)))
    return str(folder)


def defaults(data: dict[str, str], **settings: Any) -> dict[str, Any]:
    task = LumosTask(LumosTaskConfig(data=data, model={**MODEL, "vocab": VOCAB}, **settings))
    return task.generation_defaults(task.build_dataset("train"))


def test_the_commonest_video_and_the_commonest_picture(tmp_path: Path) -> None:
    data = {
        "video": write(tmp_path / "video", (4, 4, 8), (4, 8, 4), (4, 8, 4)),
        "image": write(tmp_path / "image", (1, 12, 8), fps=1, seconds=1),
    }
    assert defaults(data) == {
        "width": 32, "height": 64, "fps": 6, "duration": 2, "sizes": [[32, 64], [64, 32]],
        "image_width": 64, "image_height": 96,
    }  # fmt: skip


def test_a_length_that_seconds_do_not_say_is_one_of_frames(tmp_path: Path) -> None:
    data = {"video": write(tmp_path / "video", (3, 4, 8))}
    assert defaults(data) == {"width": 64, "height": 32, "fps": 6, "num_frames": 9, "sizes": [[64, 32]]}


@pytest.mark.parametrize(("fps", "seconds"), [(0, 0), (6, 0), (0, 2)])
def test_a_rate_or_a_length_that_nobody_wrote_down_is_left_out(tmp_path: Path, fps: int, seconds: int) -> None:
    data = {"video": write(tmp_path / "video", (3, 4, 8), fps=fps, seconds=seconds)}
    found = defaults(data)
    assert found == {"width": 64, "height": 32, "num_frames": 9, "sizes": [[64, 32]]} | ({"fps": fps} if fps else {})


def test_clips_are_as_training_cuts_them_and_those_that_are_too_long_do_not_count(tmp_path: Path) -> None:
    data = {"video": write(tmp_path / "video", (4, 4, 8), (4, 4, 8), (4, 16, 16))}
    found = defaults(data, duration_s=1, max_length=300, too_long="drop")
    assert found == {"width": 64, "height": 32, "fps": 6, "duration": 1, "sizes": [[64, 32]]}


def test_of_pictures_alone_the_default_is_a_picture(tmp_path: Path) -> None:
    size = {"width": 32, "height": 64, "image_width": 32, "image_height": 64, "sizes": [[32, 64]]}
    assert defaults({"image": str(write_clips(tmp_path / "image", num_latent=1))}) == {**size, "num_frames": 1}


@pytest.mark.parametrize("number", [101])
def test_more_sizes_than_people_name_are_left_out(tmp_path: Path, number: int) -> None:
    data = {"video": write(tmp_path / "video", *((2, 2, 2 + 2 * n) for n in range(number)))}
    assert "sizes" not in defaults(data)
