"""The frozen encoders of training beside the training itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch import Tensor

from lumos.lumina_video.training.items.encoders import FrozenEncoders
from tests.lumos.lumina_video.latents import task_config
from tests.lumos.lumina_video.tiny import TEXT_WIDTH


@pytest.mark.parametrize(("device", "around"), [("cuda", ["a stream", "left"]), ("cpu", [])])
def test_captions_are_encoded_in_a_stream_of_their_own_on_a_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str, around: list[str]
) -> None:
    seen: list[str] = []

    @contextmanager
    def stream(one: str) -> Iterator[None]:
        seen.append(one)
        yield
        seen.append("left")

    def encoded(*_: object, **__: object) -> tuple[Tensor, Tensor]:
        seen.append("encoded")
        return torch.zeros(1, 2, TEXT_WIDTH), torch.ones(1, 2, dtype=torch.bool)

    encoders = FrozenEncoders(task_config(tmp_path), width=TEXT_WIDTH)
    encoders.device = torch.device(device)
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: "a stream")
    monkeypatch.setattr(torch.cuda, "stream", stream)
    monkeypatch.setattr(encoders._text, "of", encoded)
    encoders.features(["a red circle"])
    assert seen == [*around[:1], "encoded", *around[1:]]
