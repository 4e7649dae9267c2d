"""The small text tokenizer: learnt from the captions of the shapes world, the same in every run."""

from pathlib import Path

from tokenizers import pre_tokenizers

from lumos.tokenizer.text import TOKEN_NAMES, TextTokenizer
from lumos.tokenizer.text_training import NUM_NUMBERS, main, train_text_tokenizer


def test_ids_are_special_tokens_numbers_bytes_merges_codes() -> None:
    tokenizer = train_text_tokenizer(["a red ring"] * 9, num_merges=4, num_codes=6)
    names = sorted(tokenizer.get_vocab(), key=tokenizer.token_to_id)
    num_named = len(TOKEN_NAMES) + NUM_NUMBERS
    assert names[: len(TOKEN_NAMES)] == list(TOKEN_NAMES.values())
    assert set(names[num_named : num_named + 256]) == set(pre_tokenizers.ByteLevel.alphabet())
    assert all(len(name) > 1 for name in names[num_named + 256 : -6])
    assert [name[6:] for name in names[-6:]] == ["AZ", "BZ", "CZ", "DZ", "EZ", "FZ"]


def test_at_most_as_many_merges_as_asked_for_and_none_of_rare_pairs() -> None:
    def size(text: str, num_merges: int) -> int:
        return train_text_tokenizer([text] * 9, num_merges=num_merges, num_codes=1).get_vocab_size()

    none = size("red ring", 0)
    assert size("red ring", 3) == none + 3
    assert train_text_tokenizer(["red ring"], num_merges=3, num_codes=1).get_vocab_size() == none


def test_the_command_writes_the_same_file_twice(tmp_path: Path) -> None:
    words = ["--num-codes", "40", "--num-captions", "200", "--num-merges", "300"]
    for name in ("one.json", "two.json"):
        assert main(["--out", str(tmp_path / name), *words]) == 0
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()
    text = TextTokenizer.from_file(tmp_path / "one.json")
    assert text.vocab.num_codes == 40
    prompt = "a small red circle moves to the right on a white ground"
    assert len(text.encode(prompt)) < len(prompt) / 2
