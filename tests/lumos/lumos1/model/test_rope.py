"""MM-RoPE: channel groups and angles of the release, plain RoPE for text."""

import numpy as np
import pytest
import torch

from lumos.lumos1.model.rope import mm_rope, mm_rope_angles, mm_rotation
from lumos.lumos1.rotary import axis_of_channel
from lumos.lumos1.sequence import positions_of
from lumos.tokenizer.vocab import Vocab


@pytest.mark.parametrize("head_dim", [32, 64, 128])
def test_golden_channel_groups_and_frequencies(golden, head_dim):
    numbers = np.load(golden / "forward.npz")
    axes = axis_of_channel(head_dim)
    for axis, name in enumerate(["frame", "h", "w"]):
        assert np.array_equal((axes == axis).nonzero().flatten(), numbers[f"rope_hd{head_dim}_indices_{name}"])
    cos, sin = mm_rope_angles(torch.ones(1, 3, 1, dtype=torch.long), head_dim=head_dim, theta=10000.0)
    frequencies = numbers[f"rope_hd{head_dim}_inv_freq"]
    np.testing.assert_allclose(torch.atan2(sin, cos)[0, 0], frequencies, rtol=1e-5)


@pytest.mark.parametrize("name", ["S1", "S2"])
def test_golden_cos_and_sin(golden, name):
    numbers = np.load(golden / "forward.npz")
    positions = positions_of(torch.from_numpy(numbers[f"{name}_full_ids"])[None], Vocab())
    chosen = torch.from_numpy(numbers[f"{name}_rope_positions"]).long()
    cos, sin = mm_rope_angles(positions[:, :, chosen], head_dim=32, theta=10000.0)
    np.testing.assert_allclose(torch.cat([cos, cos], -1)[0], numbers[f"{name}_cos_hd32"], atol=1e-6)
    np.testing.assert_allclose(torch.cat([sin, sin], -1)[0], numbers[f"{name}_sin_hd32"], atol=1e-6)


@pytest.mark.parametrize(("head_dim", "theta"), [(12, 10000.0), (40, 500.0)])
def test_channel_pair_j_rotates_by_position_times_frequency_j(head_dim, theta):
    positions = torch.tensor([[[3, 50], [7, 0], [11, 1]]])
    x = torch.randn(1, 2, 5, head_dim)
    rotated = mm_rope(x, mm_rotation(positions, head_dim=head_dim, theta=theta))
    half, axes = head_dim // 2, axis_of_channel(head_dim)
    pairs = torch.complex(x[..., :half], x[..., half:])
    for token in range(2):
        for j in range(half):
            angle = positions[0, axes[j], token] * theta ** (-2 * j / head_dim)
            expected = pairs[0, token, :, j] * torch.polar(torch.tensor(1.0), angle.float())
            torch.testing.assert_close(rotated[0, token, :, j], expected.real, atol=1e-5, rtol=1e-5)
            torch.testing.assert_close(rotated[0, token, :, j + half], expected.imag, atol=1e-5, rtol=1e-5)


def test_scores_depend_on_distances_only():
    q, k = torch.randn(2, 1, 3, 1, 32).unbind()
    scores = []
    for shift in (0, 1000):
        positions = torch.tensor([[[1, 2, 5], [4, 4, 9], [8, 0, 3]]]) + shift
        rotation = mm_rotation(positions, head_dim=32, theta=10000.0)
        scores.append(mm_rope(q, rotation)[0, :, 0] @ mm_rope(k, rotation)[0, :, 0].T)
    torch.testing.assert_close(*scores, atol=2e-3, rtol=0)


def test_rotation_keeps_the_dtype():
    positions, x = torch.ones(1, 3, 2, dtype=torch.long), torch.randn(1, 2, 3, 8, dtype=torch.bfloat16)
    rotation, once = (mm_rotation(positions, head_dim=8, theta=1e4, dtype=dtype) for dtype in (torch.float32, x.dtype))
    assert rotation.cos.dtype == torch.float32
    assert mm_rope(x, rotation).dtype == torch.bfloat16
    assert mm_rope(x, rotation).equal(mm_rope(x, once)), "rounded by the pass or by each block, it is the same"
