"""What is made of many clips at once is what is made of each."""

from pathlib import Path

import numpy as np
import pytest

from lumos.lumina_video.sizes import Compression
from lumos.lumina_video.training.items.clip_plans import ClipPlan, ClipPlanner, left_out
from lumos.lumina_video.training.items.listed_rows import UNSAID
from lumos.lumina_video.training.task import ScaleTask
from lumos.media.decoding.video_facts import VideoFacts
from lumos.media.media_error import MediaError


def planner(*, fps: float = 8.0, **fields: object) -> ClipPlanner:
    task = ScaleTask(data="list.jsonl", image_size=64, max_frames=20, target_fps=fps, **fields)  # type: ignore[arg-type]
    return ClipPlanner("task.tasks.raw", task, vae=Compression(spatial=8, temporal=4))


def one_by_one(planner: ClipPlanner, facts: np.ndarray) -> list[ClipPlan | str | None]:
    found: list[ClipPlan | str | None] = []
    for seconds, fps, width, height in facts.tolist():
        if np.isnan(fps):
            found.append(None)
            continue
        try:
            known = VideoFacts(seconds=seconds, fps=fps, width=int(width), height=int(height))
            found.append(planner.plan(Path("a.mp4"), known))
        except MediaError as error:
            found.append(error.reason)
    return found


@pytest.mark.parametrize(("fps", "scale"), [(8.0, 1), (7.5, 2), (12.0, 2), (0.3, 1)])
def test_plans_of_many_are_those_of_each(fps: float, scale: int) -> None:
    random = np.random.default_rng(0)
    facts = np.stack(
        [
            random.choice([0.1, 0.9999, 1.0, 1.125, 2.4999999, 2.5, 70.0, *random.uniform(0.1, 9, 20)], 500),
            random.choice([3.9, 4.0, 23.976, 24, 60], 500),
            random.choice([32, 63, 64, 96, 1280], 500),
            random.choice([32, 64, 65, 720], 500),
        ],
        axis=1,
    ).astype(np.float64)
    facts[::17] = UNSAID
    ours = planner(fps=fps, patch_size=scale, f_patch_size=scale)
    plans = ours.plans(facts)
    expected = one_by_one(ours, facts)
    assert list(plans) == expected
    assert plans.values == list(dict.fromkeys(expected))
    assert dict(left_out(plans)) == {one: expected.count(one) for one in set(expected) if isinstance(one, str)}


def test_of_no_clip_there_is_no_plan() -> None:
    assert list(planner().plans(np.empty((0, 4)))) == []
    assert list(planner().plans(np.array([UNSAID, UNSAID]))) == [None, None]
