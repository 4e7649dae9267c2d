"""Text to ids: any prompt has ids, text never becomes a special token, and a file's names say what its ids mean."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer

from lumos.tokenizer.text import TOKEN_NAMES, TextTokenizer, code_name, number_name, prompt_text
from lumos.tokenizer.text_training import NUM_NUMBERS, save_text_tokenizer, train_text_tokenizer
from lumos.tokenizer.vocab import Vocab

NUM_CODES = 23
TEXTS = [
    "a red circle moves to the right",
    "a blue square stands still",
    prompt_text("", width=6, height=4, num_frames=2, fps=1),
]


@pytest.fixture(scope="session")
def trained() -> Tokenizer:
    return train_text_tokenizer(TEXTS * 5, num_merges=80, num_codes=NUM_CODES)


@pytest.fixture(scope="session")
def text(trained: Tokenizer) -> TextTokenizer:
    return TextTokenizer(Tokenizer.from_str(trained.to_str()))


def rewritten(trained: Tokenizer, tmp_path: Path, rename: dict[str, str | None]) -> Path:
    """The file with names of its vocabulary exchanged; None is a name that nothing asks for."""
    stored = json.loads(trained.to_str())
    names = {name: rename.get(name, name) or f"<other {index}>" for name, index in stored["model"]["vocab"].items()}
    stored["model"]["vocab"] = {names[name]: index for name, index in stored["model"]["vocab"].items()}
    path = tmp_path / "text_tokenizer.json"
    path.write_text(json.dumps(stored), encoding="utf-8")
    return path


def no_text(vocab: Vocab) -> set[int]:
    """Ids that text may never have."""
    numbers = range(vocab.number_base, vocab.number_base + vocab.num_numbers)
    codes = range(vocab.code_base, vocab.code_base + vocab.num_codes)
    return {getattr(vocab, field) for field in TOKEN_NAMES} | {*numbers, *codes}


# --- any prompt -------------------------------------------------------------------------------------------------------


@given(prompt=st.text(st.characters(codec="utf-8")))
def test_any_unicode_text_comes_back(text: TextTokenizer, prompt: str) -> None:
    assert text.decode(text.encode(prompt)) == prompt


@given(prompt=st.text(st.characters()))  # lone surrogates too, which no file can hold
def test_no_text_fails(text: TextTokenizer, prompt: str) -> None:
    assert all(0 <= token_id < text.vocab.size for token_id in text.encode(prompt))


NAMES = [*TOKEN_NAMES.values(), number_name(0), number_name(127), code_name(0), code_name(NUM_CODES - 1), "circle", " "]


@given(parts=st.lists(st.sampled_from(NAMES) | st.text(max_size=2), max_size=6))
def test_text_that_spells_tokens_stays_text(text: TextTokenizer, parts: list[str]) -> None:
    ids = text.encode("".join(parts))
    assert no_text(text.vocab).isdisjoint(ids)


@pytest.mark.parametrize("special", [True, False])
def test_names_stay_text_also_where_a_file_lists_them_as_added_tokens(trained: Tokenizer, special: bool) -> None:
    """The library finds added tokens in text before anything else."""
    tokenizer = Tokenizer.from_str(trained.to_str())
    names = ["<s>", code_name(0), code_name(7), number_name(3)]
    tokenizer.add_tokens([AddedToken(name, special=special, normalized=False) for name in names])
    text = TextTokenizer(tokenizer)
    prompt = f"a red {'circle '.join(names)} moves"
    assert no_text(text.vocab).isdisjoint(text.encode(prompt))
    assert text.decode(text.encode(prompt)) == prompt


def test_merges_shorten_what_they_were_learnt_from(text: TextTokenizer) -> None:
    assert len(text.encode(TEXTS[0])) < len(TEXTS[0]) / 2
    assert len(text.encode("日本")) == len("日本".encode())


def test_decoding_leaves_out_special_and_visual_tokens(text: TextTokenizer) -> None:
    vocab = text.vocab
    ids = [vocab.bos, *text.encode("a ring"), vocab.code_base + 3, vocab.number(5), vocab.separator]
    assert text.decode(ids) == "a ring"


# --- prompts ----------------------------------------------------------------------------------------------------------


def test_a_prompt_is_the_sentence_of_the_specification_after_bos(text: TextTokenizer) -> None:
    """lumos/lumos1/README.md, section 2, to the letter."""
    ids = text.prompt_ids("a red circle", width=96, height=64, num_frames=24, fps=12)
    assert ids[0] == text.vocab.bos
    assert text.decode(ids) == (
        "Generate a video with a resolution of 96x64, consisting of 24 frames at 12 frames per second, "
        "according to the following prompt:\n a red circle"
    )
    assert prompt_text("a red circle", width=96, height=64, num_frames=24, fps=12) == text.decode(ids)
    assert no_text(text.vocab).isdisjoint(ids[1:])


def test_numbers_are_written_digit_by_digit(text: TextTokenizer) -> None:
    vocab = text.vocab
    ids = text.prompt_ids("", width=480, height=32, num_frames=24, fps=1)
    digits = [token_id - vocab.digit_base for token_id in ids if 0 <= token_id - vocab.digit_base < 10]
    assert digits == [4, 8, 0, 3, 2, 2, 4, 1]


def test_a_prompt_without_numbers_holds_their_placeholders(text: TextTokenizer) -> None:
    """Training fills them; everything else is as in the prompt with numbers."""
    vocab = text.vocab
    left_open = text.prompt_ids("a ring", width=64, height=96)
    whole = text.prompt_ids("a ring", width=64, height=96, num_frames=24, fps=6)
    filled = []
    for token_id in left_open:
        number = {vocab.frames_placeholder: 24, vocab.fps_placeholder: 6}.get(token_id)
        filled += [token_id] if number is None else vocab.digits(number)
    assert filled == whole
    assert (left_open.count(vocab.frames_placeholder), left_open.count(vocab.fps_placeholder)) == (1, 1)
    assert vocab.resolution_placeholder not in left_open


@pytest.mark.parametrize("caption", ["", "\ud800", "</s> VIDVIDAZ", "\n\n", "🟥 → 🟦"])
def test_any_caption_makes_a_prompt(text: TextTokenizer, caption: str) -> None:
    ids = text.prompt_ids(caption, width=64, height=64, num_frames=13, fps=6)
    assert no_text(text.vocab).isdisjoint(ids[1:])


# --- the vocabulary of a file -----------------------------------------------------------------------------------------


def test_the_vocabulary_follows_from_the_names(text: TextTokenizer, trained: Tokenizer) -> None:
    vocab = text.vocab
    for field, name in TOKEN_NAMES.items():
        assert getattr(vocab, field) == trained.token_to_id(name)
    assert vocab.num_numbers == NUM_NUMBERS
    assert [vocab.number(n) for n in (0, 12)] == [trained.token_to_id(number_name(n)) for n in (0, 12)]
    assert vocab.digits(907) == [trained.token_to_id(digit) for digit in "907"]
    assert (vocab.num_codes, vocab.code_table, vocab.size) == (NUM_CODES, None, trained.get_vocab_size())
    assert vocab.code_base == trained.token_to_id("VIDVIDAZ")


def test_names_of_codes_and_numbers() -> None:
    assert [code_name(code) for code in (0, 9, 204, 63999)] == ["VIDVIDAZ", "VIDVIDJZ", "VIDVIDCAEZ", "VIDVIDGDJJJZ"]
    assert [number_name(n) for n in (0, 12)] == ["<reserved08800>", "<reserved08812>"]


def test_the_mask_token_is_no_number(trained: Tokenizer, tmp_path: Path) -> None:
    """`<reserved08999>` would be number 199 (lumos/lumos1/README.md, section 1)."""
    names = [number_name(n) for n in range(NUM_NUMBERS)]
    rename = {names[50]: TOKEN_NAMES["mask"], TOKEN_NAMES["mask"]: names[50]}
    vocab = TextTokenizer.from_file(rewritten(trained, tmp_path, rename)).vocab
    assert vocab.num_numbers == 50


def test_codes_in_another_order_are_read_as_a_table(trained: Tokenizer, tmp_path: Path) -> None:
    order = [(5 * code + 2) % NUM_CODES for code in range(NUM_CODES)]
    rename = {code_name(place): code_name(code) for code, place in enumerate(order)}
    vocab = TextTokenizer.from_file(rewritten(trained, tmp_path, rename)).vocab
    assert vocab.code_table == tuple(vocab.code_base + place for place in order)


@pytest.mark.parametrize("field", ["bos", "row_end", "mask"])
def test_a_file_without_a_special_token_is_refused(trained: Tokenizer, tmp_path: Path, field: str) -> None:
    path = rewritten(trained, tmp_path, {TOKEN_NAMES[field]: None})
    with pytest.raises(ValueError, match=f"has no token {TOKEN_NAMES[field]}: it is not a Lumos text tokenizer"):
        TextTokenizer.from_file(path)


def test_a_file_without_visual_tokens_is_refused(trained: Tokenizer, tmp_path: Path) -> None:
    path = rewritten(trained, tmp_path, {code_name(code): None for code in range(NUM_CODES)})
    with pytest.raises(ValueError, match=r"no visual tokens .*; use the text_tokenizer\.json that belongs"):
        TextTokenizer.from_file(path)


@pytest.mark.parametrize("rename", [{"<reserved08800>": None}, {"3": None}, {"3": "4", "4": "3"}])
def test_a_file_whose_numbers_or_digits_are_not_in_a_row_is_refused(
    trained: Tokenizer, tmp_path: Path, rename: dict[str, str | None]
) -> None:
    with pytest.raises(ValueError, match=r"no number tokens \(<reserved08800> \.\.\.\) or its digits"):
        TextTokenizer.from_file(rewritten(trained, tmp_path, rename))


@pytest.mark.parametrize("content", ["", "{", "[1, 2]", '{"version": "1.0"}'])
def test_a_file_that_is_no_tokenizer_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "text_tokenizer.json"
    path.write_text(content)
    with pytest.raises(ValueError, match="is not a tokenizers-library file"):
        TextTokenizer.from_file(path)


def test_a_missing_file_is_named_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"none\.json is missing: `lumos download"):
        TextTokenizer.from_file(tmp_path / "none.json")


def test_a_saved_file_is_the_same_tokenizer(trained: Tokenizer, text: TextTokenizer, tmp_path: Path) -> None:
    save_text_tokenizer(trained, tmp_path / "text_tokenizer.json")
    again = TextTokenizer.from_file(tmp_path / "text_tokenizer.json")
    assert again.vocab == text.vocab
    assert again.encode(TEXTS[1]) == text.encode(TEXTS[1])
