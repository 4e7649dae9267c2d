"""The released ids, and what a Vocab refuses."""

import pytest
import torch

from lumos.tokenizer.vocab import Vocab, agreed_vocabulary

# A vocabulary of other numbers, its codes in reverse order.
REVERSED = Vocab(
    frame_end=4, frame_start=5, separator=6, row_end=7, number_base=8, num_numbers=12, mask=20, video_start=21,
    video_end=22, digit_base=23, code_base=40, num_codes=7, size=50, code_table=(46, 45, 44, 43, 42, 41, 40),
)  # fmt: skip


def test_defaults_are_the_released_ids():
    vocab = Vocab()
    assert (vocab.size, vocab.num_codes, vocab.code_base) == (129536, 64000, 65536)
    assert (vocab.resolution_placeholder, vocab.frames_placeholder, vocab.fps_placeholder) == (65538, 65539, 65540)
    assert vocab.number(12) == 8816
    assert vocab.number_of(8816) == 12
    assert vocab.digits(24) == [16401, 16403]
    assert vocab.code_base + vocab.num_codes == vocab.size


def test_placeholders_follow_the_code_base():
    assert REVERSED.frames_placeholder == 43


@pytest.mark.parametrize("vocab", [Vocab(), REVERSED])
def test_codes_and_ids_are_inverse(vocab):
    codes = torch.tensor([[0, 3, 1], [6, 2, 5]])
    ids = vocab.code_ids(codes)
    assert vocab.is_code(ids).all()
    assert torch.equal(vocab.codes_of(ids), codes)


def test_code_table_orders_the_ids():
    assert REVERSED.code_ids(torch.tensor([0, 1, 6])).tolist() == [46, 45, 40]


def test_is_code_ends_where_the_codes_end():
    assert Vocab().is_code(torch.tensor([65535, 65536, 129535, 129536])).tolist() == [False, True, True, False]


@pytest.mark.parametrize("vocab", [Vocab(), REVERSED])
def test_dict_round_trip(vocab):
    assert Vocab.from_dict(vocab.to_dict()) == vocab


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Vocab().number(199), r"0\.\.198"),
        (lambda: Vocab().number_of(9003), "9003"),
        (lambda: Vocab().digits(-1), "-1"),
        (lambda: Vocab(mask=129536), "vocab.mask is 129536"),
        (lambda: Vocab(code_base=70000), "vocab.code_base is 70000"),
        (lambda: Vocab(code_base=40, num_codes=2, size=50000, code_table=(40, 40)), "code_table"),
        (lambda: Vocab.from_dict({"msk": 3}), "no field msk"),
    ],
)
def test_wrong_values_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_tokenizer_of_another_model_is_refused_and_its_order_of_codes_is_taken() -> None:
    with pytest.raises(ValueError, match=r"disagree \(mask 9003 and 9100\)"):
        agreed_vocabulary(Vocab(), Vocab(mask=9100))
    table = tuple(reversed(range(65536, 65536 + 64000)))
    assert agreed_vocabulary(Vocab(), Vocab(code_table=table)).code_table == table
