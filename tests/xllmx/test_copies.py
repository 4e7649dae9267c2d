"""Copies to a GPU go through pinned memory and are not waited for; others are plain."""

import pytest
import torch

from xllmx.copies import to_device
from xllmx.kernels.attention import Spans, spans_of
from xllmx.task import move


class FromHost(torch.Tensor):
    """A tensor of the host that notes how it is copied."""

    notes: list[object]

    def pin_memory(self, *_: object) -> "FromHost":
        self.notes.append("pinned")
        return self

    def to(self, device: torch.device, *, non_blocking: bool = False) -> "FromHost":
        self.notes.append((device.type, non_blocking))
        return self


@pytest.mark.parametrize(
    ("device", "notes"), [("cuda", ["pinned", ("cuda", True)]), ("cpu", [("cpu", False)]), ("mps", [("mps", False)])]
)
def test_only_a_copy_from_pinned_memory_is_not_waited_for(
    device: str, notes: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    tensor = torch.ones(3).as_subclass(FromHost)
    tensor.notes = []
    to_device(tensor, device)
    assert tensor.notes == notes


def test_tensors_inside_dataclasses_move_too() -> None:
    spans = spans_of([3, 2], device="cpu")
    moved = move({"spans": spans, "rows": (torch.ones(2), "name")}, torch.device("meta"))
    assert isinstance(moved["spans"], Spans)
    assert (moved["spans"].bounds.device.type, moved["spans"].lengths) == ("meta", (3, 2))
    assert (moved["rows"][0].device.type, moved["rows"][1]) == ("meta", "name")
