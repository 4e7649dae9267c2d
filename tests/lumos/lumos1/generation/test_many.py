"""Clips of a pipeline made together: their images are those of a call."""

import numpy as np
import pytest
from PIL import Image

from lumos.conventions.job import Part
from lumos.lumos1.generation.many import clip_job
from lumos.lumos1.pipeline import LumosPipeline
from lumos.lumos1.sampling.scheduler import Scheduler
from tests.model_folder import make_model_folder

PICTURE = Image.fromarray(np.random.RandomState(0).randint(0, 256, (64, 96, 3), dtype=np.uint8))
ASKED = [
    {"prompt": "a red circle", "seed": 4},
    {"prompt": "a blue square moves to the left", "seed": 5, "num_frames": 7, "num_inference_steps": 3},
    {"prompt": "a red circle", "seed": 6, "image": PICTURE},
    {"prompt": "a ring", "seed": 7, "num_frames": 1, "negative_prompt": "a star"},
]


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> LumosPipeline:
    return LumosPipeline.from_pretrained(make_model_folder(tmp_path_factory.mktemp("ckpts") / "tiny"), device="cpu")


def test_images_are_those_of_a_call(pipeline: LumosPipeline) -> None:
    scheduler = Scheduler(max_in_flight=3)
    tickets = [scheduler.submit(clip_job(pipeline, **one)) for one in ASKED]
    events = [event for event in scheduler.run() if isinstance(event, Part)]
    for one, ticket in zip(ASKED, tickets, strict=True):
        parts = [event.value for event in events if event.ticket == ticket]
        whole = pipeline(**one).frames[0]
        assert len(parts[0]) == 1
        assert np.array_equal(np.stack([image for part in parts for image in part]), np.stack(whole))


def test_what_a_call_refuses_is_refused_before_it_is_queued(pipeline: LumosPipeline) -> None:
    with pytest.raises(ValueError, match="the prompt is empty"):
        clip_job(pipeline, " ")
    with pytest.raises(ValueError, match="there is no setting 'num_frame'"):
        clip_job(pipeline, "a red circle", num_frame=3)
