"""Fresh rows of visual codes follow the levels of their tokenizer."""

import pytest
import torch
from torch.nn.functional import cosine_similarity

from lumos.lumos1.training.code_rows import code_digits, structured_rows
from lumos.tokenizer.fsq import FSQ

LEVELS = (8, 5, 3)


def rows(seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return structured_rows(120, LEVELS, width=48, std=0.04, generator=generator)


def test_digits_are_those_of_the_tokenizer() -> None:
    values = FSQ(LEVELS).values(torch.arange(120))
    halves = torch.tensor(LEVELS) // 2
    assert torch.equal(code_digits(120, LEVELS), (values * halves).round().long() + halves)


def test_rows_have_the_deviation_asked_for_and_follow_the_generator() -> None:
    assert rows().std().item() == pytest.approx(0.04, rel=0.02)
    assert torch.equal(rows(), rows())
    assert not torch.equal(rows(), rows(1))


def test_near_codes_start_nearer_than_far_ones() -> None:
    table = rows()
    near = cosine_similarity(table[0], table[1], dim=0)  # one step of the first dimension
    far = cosine_similarity(table[0], table[119], dim=0)  # the other end of every dimension
    assert near > 0.5 > far


def test_levels_of_another_tokenizer_are_named() -> None:
    with pytest.raises(ValueError, match=r"\(8, 5, 3\) make 120 codes, but the vocabulary has 64000"):
        structured_rows(64000, LEVELS, width=8, std=1.0, generator=torch.Generator())
