"""Valid text tokens and their mean."""

import pytest
import torch

from lumos.lumina_video.network.text_states import mean_of, valid_tokens


def test_padding_is_left_out_wherever_it_stands() -> None:
    features = torch.arange(1.0, 11.0).view(2, 5, 1)
    mask = torch.tensor([[True, False, True, True, False], [False, True, False, False, False]])
    valid, lengths = valid_tokens(features, mask)
    assert lengths == [3, 1]
    assert valid[..., 0].tolist() == [[1, 3, 4], [7, 0, 0]]


def test_tokens_keep_their_order() -> None:
    mask = torch.arange(300)[None] % 3 == 0
    valid, lengths = valid_tokens(torch.arange(300.0).view(1, 300, 1), mask)
    assert lengths == [100]
    assert valid.flatten().tolist() == list(range(0, 300, 3))


def test_without_a_mask_every_token_is_valid() -> None:
    features = torch.randn(2, 5, 3)
    valid, lengths = valid_tokens(features, None)
    assert valid is features
    assert lengths == [5, 5]


def test_what_stands_in_the_padding_does_not_matter() -> None:
    features = torch.randn(1, 4, 3)
    mask = torch.tensor([[True, True, False, False]])
    poisoned = features.masked_fill(~mask[..., None], float("nan"))
    assert torch.equal(valid_tokens(poisoned, mask)[0], features[:, :2])


def test_the_mean_is_of_valid_tokens_in_fp32() -> None:
    features = torch.randn(2, 5, 3).bfloat16()
    mask = torch.tensor([[True, True, True, True, True], [True, True, False, False, False]])
    found = mean_of(*valid_tokens(features, mask))
    torch.testing.assert_close(found, torch.stack([features[0].float().mean(0), features[1, :2].float().mean(0)]))


def test_a_text_without_a_token_is_refused() -> None:
    mask = torch.tensor([[True, False], [False, False]])
    with pytest.raises(ValueError, match="text_mask leaves item 1 without a token"):
        valid_tokens(torch.randn(2, 2, 3), mask)
