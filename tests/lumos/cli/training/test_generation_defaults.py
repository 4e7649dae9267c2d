"""An exported model is asked for the clips it was trained on, and says so where it cannot make any yet."""

import json
from pathlib import Path
from typing import Any

import pytest

from lumos.cli import main
from lumos.cli.training.generation_defaults import write_trained_clips
from lumos.lumos1.sampling.settings import resolve_settings
from tests.tiny_data import MODEL, VOCAB, write_clips

VIDEO = {"width": 32, "height": 64, "fps": 6, "duration": 2, "sizes": [[32, 64]]}
PICTURE = {"width": 16, "height": 24, "num_frames": 1, "image_width": 16, "image_height": 24, "sizes": [[16, 24]]}


def exported(folder: Path, clips: Any, before: dict[str, Any] | None = None) -> dict[str, Any]:
    """The defaults of a model of a checkpoint that says `clips`, and whose base has those of `before`."""
    folder.mkdir(exist_ok=True)
    (folder / "checkpoint.json").write_text(json.dumps({"step": 1} | ({"generation": clips} if clips else {})))
    file = folder / "generation_config.json"
    file.unlink(missing_ok=True)
    if before is not None:
        file.write_text(json.dumps(before))
    write_trained_clips(folder, folder)
    return json.loads(file.read_text()) if file.is_file() else {}


def test_the_clips_of_training_take_the_place_of_those_of_the_base(tmp_path: Path) -> None:
    base = {"width": 8, "height": 8, "num_frames": 99, "target_size": 8, "image_width": 8, "guidance_scale": 2.0}
    assert exported(tmp_path, VIDEO, base) == {"image_width": 8, "guidance_scale": 2.0, **VIDEO}
    assert exported(tmp_path, VIDEO) == VIDEO
    unsaid = {"width": 64, "height": 32, "num_frames": 8}
    assert exported(tmp_path, unsaid, {"fps": 24, "duration": 4}) == {**unsaid, "fps": 24}
    assert exported(tmp_path, None, base) == base
    assert exported(tmp_path, {}) == {}


def test_pictures_alone_leave_a_model_its_videos(tmp_path: Path) -> None:
    assert exported(tmp_path, PICTURE, VIDEO) == {**VIDEO, "image_width": 16, "image_height": 24}
    assert exported(tmp_path, PICTURE, {"guidance_scale": 2.0}) == {"guidance_scale": 2.0, **PICTURE}


def test_frames_kept_of_a_long_clip_are_fewer_than_a_trained_clip_has(tmp_path: Path) -> None:
    short = {"width": 64, "height": 64, "fps": 6, "num_frames": 5}
    found = exported(tmp_path, short, {"history_frames": 2})
    assert found["history_frames"] == 1
    assert resolve_settings(found, {}).num_latent_frames == 2
    assert exported(tmp_path, VIDEO, {"history_frames": 2})["history_frames"] == 2
    assert exported(tmp_path, short, {"history_frames": "all"})["history_frames"] == "all"


@pytest.mark.parametrize(
    "clips", [[1], {"width": -1}, {"width": "a"}, {"sizes": [1]}, {"command": 2}, {"num_frames": 10**9}]
)
def test_clips_that_there_cannot_be_are_refused(tmp_path: Path, clips: Any) -> None:
    with pytest.raises(
        ValueError, match=r"does not say which clips it was trained on \(.*; bring its checkpoint\.json"
    ):
        exported(tmp_path, clips)


def test_a_model_from_fresh_weights_says_what_it_lacks_and_keeps_its_clips(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, run, model = write_clips(tmp_path / "data", num_latent=4), tmp_path / "run", tmp_path / "model"
    words = [f"trainer={{run_dir: {run}, max_steps: 1, device: cpu, progress: false}}", f"task.data.video={data}"]
    assert main(["train", *words, f"task.model={json.dumps({**MODEL, 'vocab': VOCAB})}"]) == 0
    capsys.readouterr()
    none = ["--ckpts", str(tmp_path / "none")]
    assert main(["export", str(run), str(model), *none]) == 0
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"lumos: {model} has no tokenizers and cannot generate yet; give it those that made the codes of its clips: "
        f"lumos export {run} {model} --tokenizers MODEL --overwrite (MODEL is a model that has them, or tiny-visual; "
        "the released ones: lumos download cosmos)"
    )
    assert json.loads((model / "generation_config.json").read_text()) == VIDEO
    assert main(["export", str(run), str(model), *none, "--tokenizers", "tiny-visual", "--overwrite"]) == 0
    assert "tokenizers" not in capsys.readouterr().err
