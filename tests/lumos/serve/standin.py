"""A server in this process whose model is a stand-in: frames of plain colours, made at once or when a test says so."""

import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from fastapi.testclient import TestClient
from PIL import Image

from lumos.lumos1.sampling.settings import SETTING_NAMES, Settings, settings_for
from lumos.serve.app import create_app
from lumos.serve.engine import OneByOne
from lumos.serve.jobs import JobRequest
from lumos.serve.limits import Limits
from lumos.serve.models import ServedModel
from lumos.serve.serving import Serving, put_together

DEFAULTS = {
    "width": 64, "height": 32, "fps": 4, "duration": 1, "num_inference_steps": 2, "sizes": [[64, 32], [32, 64]],
}  # fmt: skip
"""5 frames of 64x32 at 4 frames a second."""
VIDEO = {"prompt": "a red circle", "seed": 7}
REQUEST = JobRequest(
    model="red", prompt="a red circle", seed=5, given={}, width=64, height=32, num_frames=5, fps=4, num_seconds=1.0
)


class Frames:
    """A stream of a clip's frames (`lumos.media.frame_stream.FrameStream`)."""

    at_once = False
    model_calls = 11

    def __init__(self, frames: Iterator[Image.Image], settings: Settings, seed: int) -> None:
        self._frames, self.settings, self.seed = frames, settings, seed

    def __iter__(self) -> "Frames":
        return self

    def __next__(self) -> Image.Image:
        return next(self._frames)

    def close(self) -> None:
        pass


@dataclass
class StandIn:
    """A pipeline that holds its second frame back while `gate` is closed, and breaks where a prompt says so."""

    gate: threading.Event = field(default_factory=threading.Event)
    made: list[Mapping[str, Any]] = field(default_factory=list)
    """What it was called with."""
    device = torch.device("cpu")
    advance: Any = None

    def __post_init__(self) -> None:
        self.gate.set()

    def settings_for(self, given: Mapping[str, Any], *, image: Any = None) -> Settings:
        return settings_for(DEFAULTS, given, image=image)

    def check(self, prompt: str, settings: Any) -> None:
        if not prompt.strip():
            raise ValueError("the prompt is empty; describe what is to be seen")

    def watch(self, advance: Any) -> None:
        self.advance = advance

    def stream(self, prompt: str, **words: Any) -> Frames:
        self.made.append({"prompt": prompt, **words})
        own = {name: value for name, value in words.items() if name in SETTING_NAMES}
        settings = self.settings_for(own, image=words["image"])
        return Frames(self._frames(prompt, settings, words["seed"]), settings, words["seed"])

    def _frames(self, prompt: str, settings: Settings, seed: int) -> Iterator[Image.Image]:
        for index in range(settings.num_output_frames):
            if index == 1:
                while not self.gate.wait(0.01):
                    self.advance(0)
                if "break" in prompt:
                    raise RuntimeError("the decoder fell over at /secret/place")
                if "full disk" in prompt:
                    raise OSError(28, "No space left on device", "/secret/place")
            self.advance(1)
            yield Image.new("RGB", (settings.width, settings.height), (seed % 256, 40 * index % 256, 0))


@dataclass
class Server:
    """A stand-in behind a client."""

    client: TestClient
    serving: Serving
    model: StandIn

    def create(self, **fields: Any) -> dict[str, Any]:
        """The video object of a new job."""
        answer = self.client.post("/v1/videos", json={**VIDEO, **fields})
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def state(self, video_id: str) -> dict[str, Any]:
        """The video object now."""
        answer = self.client.get(f"/v1/videos/{video_id}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def finished(self, video_id: str) -> dict[str, Any]:
        """The video object once there is nothing more to come."""
        for event, message in events(self.client, video_id):
            if event in ("video.completed", "video.failed", "video.deleted"):
                return message
        raise AssertionError("the events ended before the video did")


def events(client: TestClient, video_id: str, **words: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """(event, data) of the server-sent events of a video."""
    with client.stream("GET", f"/v1/videos/{video_id}/events", **words) as answer:
        assert answer.status_code == 200
        event = ""
        for line in answer.iter_lines():
            name, _, value = line.partition(": ")
            if name == "event":
                event = value
            elif name == "data":
                yield event, json.loads(value)


def served(name: str, model: StandIn, **changes: Any) -> ServedModel:
    """The stand-in as clients see it."""
    about: dict[str, Any] = {
        "name": name,
        "title": "Lumos-1",
        "pipeline": model,
        "setting_names": SETTING_NAMES,
        "fast": {"entropy_bound": 0.02},
        "presets": (),
        "tasks": ("t2i", "t2v", "i2v"),
        "num_units": lambda settings, picture: settings.num_output_frames,
        "num_steps": lambda settings: settings.sampler.num_steps,
        "num_seconds": lambda settings: float(settings.duration),
        "watch": model.watch,
    }
    return ServedModel(**{**about, **changes})


def parts(data: Path, model: StandIn, **limits: Any) -> Serving:
    """The parts of a server on a folder, not begun; models `red`, and `flow`, which makes videos from text alone."""
    models = {"red": served("red", model), "flow": served("flow", model, tasks=("t2v",), title="Lumina-Video")}
    return put_together(models, OneByOne(models), data=data, limits=Limits(**limits))


def behind_client(serving: Serving, **how: Any) -> TestClient:
    """A client of a server, a context manager within which the server lives."""
    return TestClient(create_app(serving, **how), raise_server_exceptions=False)
