"""RoPE over frames, rows and columns: golden entries, the axes of channels, adjacent pairs."""

import json
from pathlib import Path

import jaxtyping
import numpy as np
import pytest
import torch

from lumos.lumina_video.config import LuminaVideoConfig
from lumos.lumina_video.network.rope import rotate, rotation_of


@pytest.mark.parametrize("letter", "ABCWS")
def test_golden_angles(letter: str, golden_lumina: Path) -> None:
    fields = json.loads((golden_lumina / "configs.json").read_text())[letter]["config"]
    config = LuminaVideoConfig.from_dict(fields)
    with np.load(golden_lumina / "forward.npz") as stored:
        positions = stored[f"{letter}_rope_positions"]
        cos, sin = stored[f"{letter}_rope_cos"], stored[f"{letter}_rope_sin"]
    grid = tuple(int(n) for n in positions.max(0) + 1)
    tokens = np.ravel_multi_index(positions.T, grid)
    found = rotation_of([grid], head_dim=config.head_dim, theta=config.rope_theta)[tokens].numpy()
    np.testing.assert_allclose(found[..., 0], cos, atol=1e-6)
    np.testing.assert_allclose(found[..., 1], sin, atol=1e-6)


def test_two_eighths_of_the_pairs_follow_frames_three_rows_three_columns() -> None:
    """Drawn in the docstring for heads of 16 channels: f f r r r c c c."""
    angles = torch.atan2(*rotation_of([(2, 2, 2)], head_dim=16, theta=4.0).unbind(-1)[::-1]).view(2, 2, 2, 8)
    follows = {
        "frame": (angles[1, 0, 0] > 0).tolist(),
        "row": (angles[0, 1, 0] > 0).tolist(),
        "column": (angles[0, 0, 1] > 0).tolist(),
    }
    pairs = "ffrrrccc"
    assert follows == {name: [pair == name[0] for pair in pairs] for name in ("frame", "row", "column")}


def test_frequencies_fall_by_powers_of_theta() -> None:
    angles = rotation_of([(2, 1, 1)], head_dim=32, theta=16.0)[1, :4, 1].asin()
    torch.testing.assert_close(angles, torch.tensor([1.0, 16**-0.25, 16**-0.5, 16**-0.75]).sin().asin())


def test_items_follow_one_another_each_from_zero() -> None:
    first, second = (1, 2, 3), (2, 3, 1)
    both = rotation_of([first, second], head_dim=16, theta=9.0)
    assert torch.equal(both[:6], rotation_of([first], head_dim=16, theta=9.0))
    assert torch.equal(both[6:], rotation_of([second], head_dim=16, theta=9.0))


def test_positions_have_no_end() -> None:
    assert rotation_of([(70, 1, 2)], head_dim=16, theta=256.0).shape == (140, 8, 2)


def test_adjacent_channels_turn_together() -> None:
    x = torch.zeros(1, 1, 1, 16)
    x[..., 2], x[..., 3] = 3.0, 4.0
    turned = rotate(x, torch.stack([torch.full((1, 8), 0.6), torch.full((1, 8), 0.8)], dim=-1))
    assert turned[0, 0, 0, 2:4].tolist() == pytest.approx([3 * 0.6 - 4 * 0.8, 3 * 0.8 + 4 * 0.6])
    assert turned[0, 0, 0, [0, 1, *range(4, 16)]].abs().max() == 0


def test_rotation_is_made_in_fp32_and_given_back_as_it_came() -> None:
    x = torch.randn(2, 6, 3, 16).bfloat16()
    rotation = rotation_of([(1, 2, 3)], head_dim=16, theta=9.0)
    turned = rotate(x, rotation)
    assert turned.dtype == torch.bfloat16
    assert torch.equal(turned, rotate(x.float(), rotation).bfloat16())


def test_the_compiled_form_gives_the_same_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # the checker itself does not compile
    x = torch.randn(2, 6, 3, 16)
    rotation = rotation_of([(1, 2, 3)], head_dim=16, theta=9.0)
    compiled = torch.compile(rotate, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(x, rotation), rotate(x, rotation))


def test_tables_made_while_sampling_serve_training() -> None:
    """They are kept between calls; tensors of inference mode could not be saved for a backward pass."""
    theta = 7.25  # of no other test, so that the tables are made here
    with torch.inference_mode():
        rotation_of([(1, 2, 3)], head_dim=16, theta=theta)
    x = torch.randn(1, 6, 2, 16, requires_grad=True)
    rotate(x, rotation_of([(1, 2, 3)], head_dim=16, theta=theta)).square().sum().backward()
    torch.testing.assert_close(x.grad, 2 * x.detach())  # a rotation keeps lengths


def test_the_steps_of_a_run_share_one_table() -> None:
    first = rotation_of([(2, 3, 5)], head_dim=16, theta=9.0)
    assert rotation_of([(2, 3, 5)], head_dim=16, theta=9.0).data_ptr() == first.data_ptr()
    assert rotation_of([(2, 5, 3)], head_dim=16, theta=9.0).data_ptr() != first.data_ptr()


def test_a_table_made_in_inference_serves_training_too() -> None:
    with torch.inference_mode():
        rotation_of([(1, 5, 2)], head_dim=16, theta=9.0)
    x = torch.ones(1, 10, 1, 16, requires_grad=True)
    rotate(x, rotation_of([(1, 5, 2)], head_dim=16, theta=9.0)).sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()
