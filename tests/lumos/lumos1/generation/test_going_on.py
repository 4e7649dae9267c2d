"""Going on from a clip, in windows and under a prompt that changes: the pipeline, whole and streamed."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from lumos.lumos1.pipeline import LumosPipeline
from lumos.media.writing import write_video
from tests.model_folder import make_model_folder

SHADES = np.arange(0, 250, 17, dtype=np.uint8)
CLIP = np.broadcast_to(SHADES[:, None, None, None], (15, 64, 96, 3))
"""15 frames, each grey of its own; the model's own clips have 8, of 3 latent frames."""
CHANGING = [(0, "a red circle"), (5, "a blue square")]


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> LumosPipeline:
    return LumosPipeline.from_pretrained(make_model_folder(tmp_path_factory.mktemp("ckpts") / "tiny"), device="cpu")


def pixels(frames: list[Image.Image]) -> np.ndarray:
    return np.stack([np.asarray(frame) for frame in frames])


def test_the_given_frames_come_back_as_they_are_and_new_ones_follow_their_codes(pipeline: LumosPipeline) -> None:
    made = pipeline("a red circle", given=CLIP[:6], num_frames=12, seed=4)
    frames, codes = pixels(made.frames[0]), made.codes[0]
    assert (len(frames), len(codes)) == (12, 4)  # frames 1..5 are coded, then eight are made and six taken
    assert (frames[:6] == CLIP[:6]).all()
    coded = pipeline.visual.encode(torch.from_numpy(CLIP[1:6].copy()).permute(3, 0, 1, 2)[None] / 127.5 - 1)
    assert torch.equal(codes[:2], coded[0])
    assert (frames[6:] == pixels(pipeline.decode(codes))[5:11]).all()


@pytest.mark.parametrize("how", [{}, {"history_frames": 1}, {"history_frames": 2, "history_positions": "clip"}])
def test_a_stream_goes_on_as_a_call_does(pipeline: LumosPipeline, how: dict[str, Any]) -> None:
    asked = {"given": list(map(Image.fromarray, CLIP)), "num_frames": 24, "seed": 4, **how}
    whole, stream = pipeline(CHANGING, **asked), pipeline.stream(CHANGING, **asked)
    assert (pixels(list(stream)) == pixels(whole.frames[0])).all()
    assert (stream.settings, stream.model_calls) == (whole.settings[0], whole.model_calls[0])


def test_a_window_sees_the_end_of_a_clip_alone(pipeline: LumosPipeline) -> None:
    darker = CLIP // np.where(np.arange(15) < 6, 2, 1).astype(np.uint8)[:, None, None, None]
    made = [pipeline("a star", given=clip, num_frames=20, history_frames=1, seed=1) for clip in (CLIP, darker)]
    assert torch.equal(made[0].codes[0], made[1].codes[0])
    assert len(made[0].codes[0]) == 5  # the last nine frames are coded
    assert (pixels(made[1].frames[0])[:15] == darker).all()


def test_arrays_and_files_go_on_alike(pipeline: LumosPipeline, tmp_path: Path) -> None:
    made = pipeline("a star", image=CLIP[:5], num_frames=9, seed=1, output_type="np")
    assert made.frames.shape == (1, 9, 64, 96, 3)
    assert np.allclose(made.frames[0, :5], CLIP[:5] / 255, atol=1e-6)
    write_video(tmp_path / "a.mp4", CLIP[:5], fps=4)
    named = pipeline("a star", image=tmp_path / "a.mp4", num_frames=9, seed=1)
    given = pipeline("a star", given=str(tmp_path / "a.mp4"), num_frames=9, seed=1)
    assert torch.equal(named.codes[0], given.codes[0])
    assert len(named.frames[0]) == 9


def test_a_prompt_changes_for_one_clip_and_not_for_the_other(pipeline: LumosPipeline) -> None:
    changed, same = pipeline([CHANGING, "a red circle"], num_frames=9, seed=[4, 5]).codes
    alone = pipeline("a red circle", num_frames=9, seed=[4]).codes[0]
    assert torch.equal(changed[:2], alone[:2])
    assert not torch.equal(changed[2], alone[2])
    assert torch.equal(same, pipeline("a red circle", num_frames=9, seed=[5]).codes[0])


def test_a_clip_in_windows_fits_a_model_that_its_whole_length_would_not(pipeline: LumosPipeline) -> None:
    with pytest.raises(ValueError, match="ask for fewer or smaller frames, or for windows: history_frames=1"):
        pipeline("a star", num_frames=80, seed=1)
    assert len(pipeline("a star", num_frames=80, history_frames=1, seed=1).frames[0]) == 80


def test_what_cannot_be_gone_on_from_is_refused(pipeline: LumosPipeline, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="image and given are both what the clip begins with"):
        pipeline("a star", given=CLIP, image=CLIP[0])
    write_video(tmp_path / "fast.mp4", CLIP[:5], fps=12)
    with pytest.raises(ValueError, match=r"fast.mp4 has 12 frames a second, and 4 are made; .* ffmpeg -i CLIP -r 4"):
        pipeline("a star", given=tmp_path / "fast.mp4", num_frames=9)
    with pytest.raises(ValueError, match="missing file"):
        pipeline("a star", given=tmp_path / "none.mp4", num_frames=9)
    with pytest.raises(ValueError, match="changes at frame 99"):
        pipeline([(0, "a star"), (99, "a ring")], num_frames=9)
