"""What a model of Lumina-Video is asked for by itself are clips such as it was trained on."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from lumos.lumina_video.training.task import LuminaVideoTask
from tests.lumos.lumina_video.latents import task_config, write_latents, write_raw_clips
from tests.lumos.lumina_video.tiny import tiny_vae_folder


def defaults(folder: Path, tasks: dict[str, dict[str, Any]], **settings: Any) -> dict[str, Any]:
    config = task_config(folder, **settings)
    chosen = {name: replace(config.tasks[name], **fields) for name, fields in tasks.items()}
    task = LuminaVideoTask(replace(config, tasks=chosen))
    return task.generation_defaults(task.build_dataset("train"))


def test_the_commonest_video_at_its_rate(tmp_path: Path) -> None:
    clip = {"width": 96, "height": 64, "fps": 8}
    assert defaults(tmp_path, {"images": {}, "fine": {}}) == {**clip, "num_frames": 12}
    unsaid = {"target_fps": None, "max_frames": None}
    assert defaults(tmp_path, {"fine": unsaid}) == {**clip, "num_frames": 16}
    other = str(write_latents(tmp_path / "other", num=40, shape=(2, 4, 8), fps=None))
    assert defaults(tmp_path, {"fine": {}, "middle": {**unsaid, "data": other}}) == {
        "width": 64, "height": 32, "num_frames": 8,
    }  # fmt: skip


def test_its_length_is_one_that_every_scale_divides(tmp_path: Path) -> None:
    found = defaults(tmp_path, {"fine": {}, "coarse": {"data": str(write_latents(tmp_path / "few", num=2))}})
    assert found == {"width": 96, "height": 64, "num_frames": 8, "fps": 8}


def test_videos_that_are_no_latents_yet_and_pictures_alone(tmp_path: Path) -> None:
    vae = str(tiny_vae_folder(tmp_path / "vae"))
    raw = {"data": str(write_raw_clips(tmp_path / "raw")), "image_size": 64, "target_fps": 8.0}
    assert defaults(tmp_path, {"fine": raw}, vae=vae) == {"width": 64, "height": 32, "num_frames": 12, "fps": 8}
    assert defaults(tmp_path, {"images": {}}) == {"width": 32, "height": 64, "num_frames": 1}
    (tmp_path / "list.json").write_text('[{"path": "0.png", "prompt": "a"}, {"path": "1.png", "prompt": "b"}]')
    listed = {"data": str(tmp_path / "list.json"), "image_size": 112}
    assert defaults(tmp_path, {"images": listed}, vae=vae) == {"width": 96, "height": 96, "num_frames": 1}
