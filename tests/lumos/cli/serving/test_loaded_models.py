"""Both models behind the engine of a server."""

from pathlib import Path

import pytest

from lumos.cli.models.door import find_model
from lumos.cli.serving.loaded_models import loaded
from lumos.serve.engine import Event, FrameMade, Made, OneByOne, Progressed, Stopped, Work
from lumos.serve.models import ServedModel


@pytest.fixture(scope="module", params=["lumos-tiny", "lumina-tiny"])
def served(request: pytest.FixtureRequest, ckpts: Path) -> ServedModel:
    return loaded(request.param, find_model(request.param, ckpts, device="cpu"))


def work(served: ServedModel) -> Work:
    given = {"num_inference_steps": 2}
    return Work(
        id="w", model=served.name, prompt="a red circle", negative_prompt=None, picture=None, seed=1, given=given
    )


def test_a_clip_is_told_frame_by_frame_and_step_by_step(served: ServedModel) -> None:
    engine, told = OneByOne({served.name: served}), list[Event]()
    engine.submit(work(served))
    assert not engine.has_room
    while not engine.is_idle:
        engine.step(told.append)
    settings = served.pipeline.settings_for({"num_inference_steps": 2})
    frames = [event.image.size for event in told if isinstance(event, FrameMade)]
    assert frames == [(settings.width, settings.height)] * settings.num_output_frames
    shares = [event.share for event in told if isinstance(event, Progressed)]
    assert shares == sorted(shares)
    assert (len(shares), shares[-1]) == (served.num_units(settings, None), 1)
    assert isinstance(told[-1], Made)
    assert told[-1].model_calls > 0
    assert served.num_steps(settings) == 2


def test_a_clip_that_is_cancelled_ends_at_its_next_step(served: ServedModel) -> None:
    engine, told = OneByOne({served.name: served}), list[Event]()

    def tell(event: Event) -> None:
        told.append(event)
        engine.cancel("w")

    engine.submit(work(served))
    while not engine.is_idle:
        engine.step(tell)
    assert [type(event) for event in told] == [Progressed, Stopped]
    engine.submit(work(served))  # and the model is whole
    engine.step(lambda event: None)
