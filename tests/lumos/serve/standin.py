"""A server in this process whose model is a stand-in: frames of plain colours, made at once or when a test says so."""

import io
import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient
from PIL import Image

from lumos.cli.serving.side_by_side import SideBySide
from lumos.conventions.script import scripts_of
from lumos.lumos1.generation.prompt_changes import latent_changes
from lumos.lumos1.sampling.settings import SETTING_NAMES, Settings, settings_for
from lumos.media.reading import read_frames
from lumos.serve.app import create_app
from lumos.serve.generation.engine import Work
from lumos.serve.generation.models import ServedModel
from lumos.serve.limits import Limits
from lumos.serve.serving import Serving, put_together
from lumos.serve.storage.jobs import JobRequest

DEFAULTS = {
    "width": 64, "height": 32, "fps": 4, "duration": 1, "num_inference_steps": 2, "sizes": [[64, 32], [32, 64]],
}  # fmt: skip
"""5 frames of 64x32 at 4 frames a second."""
VIDEO = {"prompt": "a red circle", "seed": 7}
REQUEST = JobRequest(
    model="red", prompt="a red circle", seed=5, given={}, width=64, height=32, num_frames=5, fps=4, num_seconds=1.0
)


@dataclass
class StandIn:
    """A pipeline and what it makes: clips whose second new frame is held back while `gate` is closed."""

    gate: threading.Event = field(default_factory=threading.Event)
    made: list[Work] = field(default_factory=list)
    """What was begun."""

    def __post_init__(self) -> None:
        self.gate.set()

    def settings_for(self, given: Mapping[str, Any], *, image: Any = None) -> Settings:
        return settings_for(DEFAULTS, given, image=image)

    def check(self, prompt: Any, settings: Any) -> None:
        for script in scripts_of(prompt):
            latent_changes(script, settings)
            if not script.text.strip():
                raise ValueError("the prompt is empty; describe what is to be seen")

    def begin(self, work: Work) -> "StandInJob":
        self.made.append(work)
        return StandInJob(self.gate, work, self.settings_for(work.given, image=work.before or work.picture))


class StandInJob:
    """One clip, a frame a step (`lumos.conventions.job.Job`); it breaks where its prompt says so."""

    def __init__(self, gate: threading.Event, work: Work, settings: Settings) -> None:
        self._gate, self._work, self._settings, self._index = gate, work, settings, 0
        own = [] if work.before is None else read_frames(work.before, most=100)
        self._own = [Image.fromarray(frame) for frame in own]
        self._left = settings.num_output_frames - len(own)
        self.model_calls = 11

    @property
    def is_done(self) -> bool:
        return self._left == 0

    @property
    def progress(self) -> float:
        return self._index / (self._index + self._left)

    def advance(self) -> list[list[Image.Image]]:
        prompt, size = self._work.prompt, (self._settings.width, self._settings.height)
        if self._index == 1:
            if not self._gate.wait(0.01):
                return []
            if "break" in prompt:
                raise RuntimeError("the decoder fell over at /secret/place")
            if "full disk" in prompt:
                raise OSError(28, "No space left on device", "/secret/place")
        image = Image.new("RGB", size, (self._work.seed % 256, 40 * self._index % 256, 0))
        self._index, self._left = self._index + 1, self._left - 1
        own, self._own = self._own, []
        return [[*own, image]]

    def close(self) -> None:
        self._left = 0


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
        "changes_prompts": True,
        "num_steps": lambda settings: settings.sampler.num_steps,
        "num_seconds": lambda settings: float(settings.duration),
        "begin": model.begin,
    }
    return ServedModel(**{**about, **changes})


def parts(data: Path, model: StandIn, **limits: Any) -> Serving:
    """The parts of a server on a folder, not begun; models `red`, and `flow`, which makes videos from text alone."""
    flow = served("flow", model, tasks=("t2v",), title="Lumina-Video", changes_prompts=False)
    models = {"red": served("red", model), "flow": flow}
    bounds = Limits(**{"at_once": 1, **limits})
    return put_together(models, SideBySide(models, at_once=bounds.at_once), data=data, limits=bounds)


def behind_client(serving: Serving, **how: Any) -> TestClient:
    """A client of a server, a context manager within which the server lives."""
    return TestClient(create_app(serving, **how), raise_server_exceptions=False)


def picture(size: tuple[int, int] = (30, 50)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, "blue").save(file, "PNG")
    return file.getvalue()


def fault_of(answer: Any, status: int) -> dict[str, Any]:
    """The error of an answer, which is of this status and of OpenAI's form."""
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert "\n" not in error["message"]
    return dict(error)
