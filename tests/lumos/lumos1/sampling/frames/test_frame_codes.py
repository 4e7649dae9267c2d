"""Where codes are masked, counted without looking: the drawings, equal and different counts."""

import pytest
import torch

from lumos.lumos1.sampling.frames.frame_codes import FrameCodes, Leading


def test_masked_positions_come_first_and_in_order() -> None:
    frame = FrameCodes.of(torch.tensor([[5, -1, 3, -1], [-1, 2, 7, 1]]))
    assert frame.num_masked == (2, 1)
    assert frame.order.tolist() == [[1, 3, 0, 2], [0, 1, 2, 3]]


def test_leading_columns_are_the_drawing() -> None:
    leading = Leading(counts=(2, 1), device=torch.device("cpu"))
    flat = leading.flat(torch.tensor([[1, 2, 3], [4, 5, 6]]))
    assert flat.tolist() == [1, 2, 4]
    assert leading.padded(flat, 0).tolist() == [[1, 2], [4, 0]]


@pytest.mark.parametrize("counts", [(3, 3), (3, 0), (1, 2)])
def test_padded_is_the_inverse_of_flat(counts: tuple[int, int]) -> None:
    rows, leading = torch.randn(2, 5, 4), Leading(counts=counts, device=torch.device("cpu"))
    flat = leading.flat(rows)
    assert flat.equal(torch.cat([rows[row, :count] for row, count in enumerate(counts)]))
    padded = leading.padded(flat[:, 0], 9.0)
    assert padded.shape == (2, max(counts))
    assert leading.flat(padded).equal(flat[:, 0])


@pytest.mark.parametrize("codes", [[[5, -1, 3, -1], [-1, 2, -1, 1]], [[5, -1, 3, -1], [0, 2, 7, 1]]])
def test_drawn_codes_take_the_masked_places(codes: list[list[int]]) -> None:
    frame = FrameCodes.of(torch.tensor(codes))
    drawn = torch.arange(sum(frame.num_masked)) + 20
    expected = torch.tensor(codes)
    expected[expected == -1] = drawn
    assert frame.filled(drawn).equal(expected)
