"""Estimators of flow: which package, which order of colours, which weights; and what is said where one is missing."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from lumos.lumina_video.data.flow_estimators import DISFlow, UniMatchFlow, estimator_named
from lumos.lumina_video.data.motion import motion_pictures
from tests.lumos.lumina_video.data.texture import moving_texture


class BlueFirst(nn.Module):
    """Stands for ptlflow's UniMatch: flow x is how much brighter the first colour became, y the last."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(3))

    def forward(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        images = inputs["images"]
        assert images.ndim == 5
        assert images.shape[1:3] == (2, 3)
        change = images[:, 1] - images[:, 0]
        return {"flows": torch.stack([change[:, 0], change[:, 2]], dim=1)[:, None] * self.gain[0]}


def pictures(*numbers: int) -> Tensor:
    frames = moving_texture(3, (2.0, 1.0))
    return motion_pictures(frames[list(numbers)])


@pytest.mark.parametrize("name", ["dis", "dis-fast"])
def test_dis_measures_in_which_direction_things_move(name: str) -> None:
    estimator = estimator_named(name)
    assert estimator.name == name
    flow = estimator.flow(pictures(0, 1), pictures(1, 2))
    assert flow.shape == (2, 2, 320, 576)
    x, y = flow[:, :, 40:-40, 40:-40].mean(dim=(0, 2, 3)).tolist()
    assert (x, y) == (pytest.approx(2 * 575 / 159, rel=0.05), pytest.approx(319 / 89, rel=0.05))


def test_unimatch_gets_blue_green_red_in_zero_to_one() -> None:
    a = torch.zeros(2, 3, 8, 16)
    b = a + torch.tensor([25.5, 0.0, 51.0])[:, None, None]
    flow = UniMatchFlow(BlueFirst()).flow(a, b)
    assert flow.shape == (2, 2, 8, 16)
    torch.testing.assert_close(flow[:, 0], torch.full((2, 8, 16), 0.2))
    torch.testing.assert_close(flow[:, 1], torch.full((2, 8, 16), 0.1))


@pytest.mark.parametrize("nested", [False, True])
def test_released_weights_go_into_the_network_of_ptlflow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nested: bool
) -> None:
    asked: list[str] = []
    stand_in = SimpleNamespace(get_model=lambda name: asked.append(name) or BlueFirst())
    monkeypatch.setitem(sys.modules, "ptlflow", stand_in)
    tensors = {"gain": torch.full((3,), 2.0)}
    torch.save({"model": tensors, "step": 7} if nested else tensors, tmp_path / "unimatch.pth")
    estimator = estimator_named("unimatch", weights=tmp_path / "unimatch.pth")
    assert (estimator.name, asked) == ("unimatch", ["unimatch_sc2_ref6"])
    flow = estimator.flow(torch.zeros(1, 3, 8, 8), torch.full((1, 3, 8, 8), 255.0))
    assert flow.unique().tolist() == [2.0]


def test_other_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ptlflow", SimpleNamespace(get_model=lambda name: BlueFirst()))
    torch.save({"gain": torch.ones(4)}, tmp_path / "other.pth")
    torch.save({"model": 5}, tmp_path / "none.pth")
    (tmp_path / "text.pth").write_text("no weights")
    for name, said in (
        ("other", "do not fit the model"),
        ("none", "does not map names to tensors"),
        ("text", "no file of plain weights"),
        ("absent", "no such file"),
    ):
        with pytest.raises(ValueError, match=said):
            estimator_named("unimatch", weights=tmp_path / f"{name}.pth")


def test_what_is_not_installed_comes_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    monkeypatch.setitem(sys.modules, "ptlflow", None)
    with pytest.raises(ValueError, match="run: pip install opencv-python-headless"):
        DISFlow()
    with pytest.raises(ValueError, match="run: pip install ptlflow"):
        UniMatchFlow.from_file("a.pth")


def test_weights_are_for_unimatch(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="needs none; leave it out"):
        estimator_named("dis", weights=tmp_path / "a.pth")
    with pytest.raises(ValueError, match="needs --weights"):
        estimator_named("unimatch")
