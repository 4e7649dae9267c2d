"""Clips of several jobs side by side: each the one that it is alone, whatever happens beside it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from lumos.cli.models.door import find_model
from lumos.cli.serving.loaded_models import loaded
from lumos.cli.serving.side_by_side import SideBySide
from lumos.media.writing import write_video
from lumos.serve.app import create_app
from lumos.serve.generation.engine import Broken, Engine, Event, FrameMade, Made, Progressed, Stopped, Tell, Work
from lumos.serve.generation.models import ServedModel
from lumos.serve.limits import Limits
from lumos.serve.serving import put_together
from tests.lumos.serve.standin import events

FEW = {"num_inference_steps": 2}
SHORT = {**FEW, "num_frames": 5}


@pytest.fixture(scope="module")
def models(ckpts: Path) -> dict[str, ServedModel]:
    names = ("lumos-tiny", "lumina-tiny")
    return {name: loaded(name, find_model(name, ckpts, device="cpu")) for name in names}


def work(name: str, **changes: Any) -> Work:
    usual = {"model": "lumos-tiny", "prompt": "a red circle", "negative_prompt": None, "picture": None, "seed": 1}
    return Work(**{**usual, "id": name, "given": SHORT, **changes})


def all_told(engine: SideBySide, *works: Work) -> list[Event]:
    told = list[Event]()
    for one in works:
        assert engine.has_room
        engine.submit(one)
    all_steps(engine, told.append)
    return told


def all_steps(engine: SideBySide, tell: Tell) -> None:
    while not engine.is_idle:
        engine.step(tell)


def frames_of(told: list[Event], name: str) -> np.ndarray:
    assert Broken not in kinds(told, name), told
    return np.stack([event.image for event in told if isinstance(event, FrameMade) and event.id == name])


def kinds(told: list[Event], name: str) -> list[type]:
    return list(dict.fromkeys(type(event) for event in told if event.id == name))


def test_each_is_the_clip_of_a_call_and_its_progress_rises_to_the_end(
    models: dict[str, ServedModel], ckpts: Path
) -> None:
    engine = SideBySide(models, at_once=3)
    assert isinstance(engine, Engine)
    asked = [
        work("a"),
        work("b", seed=2, given={**FEW, "num_frames": 9}, then=[[5, "a blue square"]], negative_prompt="a star"),
        work("c", model="lumina-tiny", given={**FEW, "num_frames": 8}),
    ]
    told = all_told(engine, *asked)
    for one in asked:
        pipeline: Any = find_model(one.model, ckpts, device="cpu").load([])
        own = {} if one.negative_prompt is None else {"negative_prompt": one.negative_prompt}
        prompt: Any = [(0, one.prompt), *map(tuple, one.then)] if one.then else one.prompt
        output = pipeline(prompt, seed=one.seed, **own, **one.given)
        assert np.array_equal(frames_of(told, one.id), np.stack(output.frames[0]))
        shares = [event.share for event in told if isinstance(event, Progressed) and event.id == one.id]
        assert (shares, shares[-1]) == (sorted(set(shares)), 1.0)
        assert [event.model_calls for event in told if isinstance(event, Made) and event.id == one.id] == (
            output.model_calls
        )
    ends = [event.id for event in told if isinstance(event, Made)]
    assert ends.index("a") < ends.index("b")
    first_of_b = next(index for index, event in enumerate(told) if isinstance(event, FrameMade) and event.id == "b")
    assert first_of_b < told.index(next(event for event in told if isinstance(event, Made)))  # before any has ended


def test_one_that_fails_or_is_cancelled_disturbs_no_other(models: dict[str, ServedModel], tmp_path: Path) -> None:
    engine = SideBySide(models, at_once=4)
    alone = frames_of(all_told(engine, work("a")), "a")
    for one in (work("a"), work("bad", picture=tmp_path / "none.png"), work("gone", seed=2), work("late", seed=3)):
        engine.submit(one)
    assert not engine.has_room
    engine.cancel("late")
    engine.cancel("nobody")
    told = list[Event]()
    engine.step(told.append)
    engine.cancel("gone")
    all_steps(engine, told.append)
    assert kinds(told, "bad") == [Broken]
    assert kinds(told, "late") == [Stopped]
    assert kinds(told, "gone")[-1] is Stopped
    assert FrameMade not in kinds(told, "gone")
    assert np.array_equal(frames_of(told, "a"), alone)


def test_a_clip_that_is_gone_on_from_comes_first_as_it_is(models: dict[str, ServedModel], tmp_path: Path) -> None:
    usual = models["lumos-tiny"].pipeline.settings_for({})
    before = np.full((6, usual.height, usual.width, 3), 77, np.uint8)
    write_video(tmp_path / "before.mp4", before, fps=usual.fps)
    longer = work("a", before=tmp_path / "before.mp4", given={**FEW, "num_frames": 10})
    frames = frames_of(all_told(SideBySide(models, at_once=1), longer), "a")
    assert frames.shape == (10, *before.shape[1:])
    assert np.ptp(frames[:6]) <= 4


def test_what_a_broken_step_left_is_told_by_the_next(models: dict[str, ServedModel]) -> None:
    engine, told = SideBySide(models, at_once=1), list[Event]()
    engine.submit(work("a", given={**FEW, "num_frames": 1}))

    def breaks(event: Event) -> None:
        if isinstance(event, FrameMade):
            raise OSError("a slip")
        told.append(event)

    with pytest.raises(OSError, match="a slip"):
        all_steps(engine, breaks)
    all_steps(engine, breaks)
    assert isinstance(told[-1], Made)


def test_a_job_of_lumina_video_x_one_of_lumos_1(models: dict[str, ServedModel], tmp_path: Path) -> None:
    serving = put_together(models, SideBySide(models, at_once=2), data=tmp_path / "data", limits=Limits(at_once=2))
    asked = {"prompt": "a red circle", "num_inference_steps": 2, "seed": 1}
    longer = {"lumos-tiny": 9, "lumina-tiny": 8}
    with TestClient(create_app(serving)) as client:
        assert [one["id"] for one in client.get("/v1/models").json()["data"]] == list(models)
        made = {
            name: client.post("/v1/videos", json={**asked, "model": name, "num_frames": number}).json()
            for name, number in longer.items()
        }
        for name, video in made.items():
            seen = list(events(client, video["id"]))
            assert (seen[-1][0], seen[-1][1]["model"]) == ("video.completed", name)
            assert client.get(f"/v1/videos/{video['id']}/content").content[4:8] == b"ftyp"
        listed = client.get("/v1/videos", params={"order": "asc"}).json()["data"]
    assert [one["id"] for one in listed] == [video["id"] for video in made.values()]
