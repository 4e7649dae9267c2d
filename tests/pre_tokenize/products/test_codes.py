"""What a target may ask of the vocabulary."""

import pytest

from lumos.media import crop
from lumos.media.crop import crop_sizes
from lumos.tokenizer.vocab import Vocab
from pre_tokenize.products import codes
from pre_tokenize.products.codes import Target


@pytest.mark.parametrize("aspect", [1, 4, 5, 8])
def test_every_side_of_a_size_that_is_taken_has_a_token(aspect: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crop, "MAX_ASPECT", aspect)
    monkeypatch.setattr(codes, "MAX_ASPECT", aspect)
    vocab = Vocab()
    for patches in range(1, vocab.num_numbers + 1):
        size = patches * crop.PATCH_PX
        try:
            Target(modality="image", size=size, fps=1, duration=1).check(vocab)
        except ValueError:
            break
        assert max(map(max, crop_sizes(size))) // crop.PATCH_PX < vocab.num_numbers
    assert 1 < patches <= vocab.num_numbers
