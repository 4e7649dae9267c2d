"""Text to ids with a file in the `tokenizer.json` format, which also names the special and visual tokens."""

from pathlib import Path

from tokenizers import Tokenizer

from lumos.tokenizer.vocab import Vocab
from xllmx.safe.tokenizer_json import read_tokenizer, token_ids
from xllmx.settings.argument_types import checked_types

_BEFORE_FRAMES = "Generate a video with a resolution of {width}x{height}, consisting of "
_BEFORE_FPS = " frames at "
_AFTER_FPS = " frames per second, according to the following prompt:\n {caption}"

TOKEN_NAMES: dict[str, str] = {
    "bos": "<s>",
    "pad": "<pad>",
    "eos": "</s>",
    "frame_end": "<eoss>",
    "frame_start": "<racm3:break>",
    "separator": "<reserved08706>",
    "row_end": "<reserved08799>",
    "mask": "<reserved08999>",
    "video_start": "<reserved09000>",
    "video_end": "<reserved09001>",
}
"""Field of `Vocab` -> name in the tokenizer file (lumos1/README.md, section 1)."""


def number_name(n: int) -> str:
    """The name of number token n.

    >>> number_name(12)
    '<reserved08812>'
    """
    return f"<reserved{8800 + n:05d}>"


def code_name(code: int) -> str:
    """The name of a visual code: its number spelled with A..J for 0..9.

    >>> code_name(204)
    'VIDVIDCAEZ'
    """
    return "VIDVID" + "".join(chr(ord("A") + int(digit)) for digit in str(code)) + "Z"


def prompt_text(caption: str, *, width: int, height: int, num_frames: int, fps: int) -> str:
    """The whole text of a prompt (lumos1/README.md, section 2)."""
    before = _BEFORE_FRAMES.format(width=width, height=height)
    return f"{before}{num_frames}{_BEFORE_FPS}{fps}{_AFTER_FPS.format(caption=caption)}"


class TextTokenizer:
    """Prompts to ids with a tokenizer of the `tokenizers` library; owns the `Vocab` that the file describes."""

    def __init__(self, tokenizer: Tokenizer, *, source: str = "tokenizer") -> None:
        """Read the vocabulary from the token names.

        Raises:
            ValueError: a token that sequences need is not in the file.
        """
        self._tokenizer = tokenizer
        self._tokenizer.encode_special_tokens = True  # a prompt that spells "<s>" means those letters
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self.vocab = _vocab_of(tokenizer, source)
        self._not_text = _ids_of_no_text(self.vocab)

    @classmethod
    @checked_types
    def from_file(cls, path: str | Path) -> "TextTokenizer":
        """The tokenizer of a file.

        Raises:
            ValueError: the file is missing, is no tokenizer, or lacks the tokens of lumos1/README.md, section 1.
        """
        path = Path(path)
        if not path.is_file():
            raise ValueError(f"text tokenizer {path} is missing: `lumos download tokenizer` brings the released one")
        return cls(read_tokenizer(path, remedy="download it again"), source=str(path))

    @checked_types
    def encode(self, text: str) -> list[int]:
        """Ids of plain text, never of a special or visual token, even where the text spells one's name; never fails."""
        text = text.encode("utf-8", "replace").decode()
        ids = self._ids(text)
        if self._not_text.isdisjoint(ids):
            return ids
        return [token_id for character in text for token_id in self._ids(character)]

    def decode(self, ids: list[int]) -> str:
        """The text of ids; special and visual tokens are left out."""
        return self._tokenizer.decode([i for i in ids if i not in self._not_text])

    def prompt_ids(
        self, caption: str, *, width: int, height: int, num_frames: int | None = None, fps: int | None = None
    ) -> list[int]:
        """Ids of a prompt from `<s>` up to, not including, the separator (lumos1/README.md, section 2).

        Args:
            caption: what the video shows.
            width: pixels.
            height: pixels.
            num_frames: frames of the video; None leaves the placeholder, which training fills.
            fps: frames a second; None leaves the placeholder.
        """
        vocab = self.vocab
        frames_ids = [vocab.frames_placeholder] if num_frames is None else vocab.digits(num_frames)
        fps_ids = [vocab.fps_placeholder] if fps is None else vocab.digits(fps)
        return [
            vocab.bos,
            *self.encode(_BEFORE_FRAMES.format(width=width, height=height)),
            *frames_ids,
            *self.encode(_BEFORE_FPS),
            *fps_ids,
            *self.encode(_AFTER_FPS.format(caption=caption)),
        ]

    def _ids(self, text: str) -> list[int]:
        return token_ids(self._tokenizer, text, special=False)


def _ids_of_no_text(vocab: Vocab) -> frozenset[int]:
    numbers = range(vocab.number_base, vocab.number_base + vocab.num_numbers)
    codes = range(vocab.code_base, vocab.code_base + vocab.num_codes)
    return frozenset([*(getattr(vocab, field) for field in TOKEN_NAMES), *numbers, *codes])


def _vocab_of(tokenizer: Tokenizer, source: str) -> Vocab:
    known = {field: tokenizer.token_to_id(name) for field, name in TOKEN_NAMES.items()}
    ids = {field: token_id for field, token_id in known.items() if token_id is not None}
    missing = [TOKEN_NAMES[field] for field in known if field not in ids]
    if missing:
        raise ValueError(f"{source} has no token {', '.join(missing)}: it is not a Lumos text tokenizer")
    codes = _code_table(tokenizer)
    if not codes:
        raise ValueError(
            f"{source} has no visual tokens ({code_name(0)}, {code_name(1)}, ...): it cannot write images or videos; "
            "use the text_tokenizer.json that belongs to the model"
        )
    number_base, digit_base = tokenizer.token_to_id(number_name(0)), tokenizer.token_to_id("0") or 0
    digits = [tokenizer.token_to_id(str(digit)) for digit in range(10)]
    if number_base is None or digits != list(range(digit_base, digit_base + 10)):
        raise ValueError(f"{source} has no number tokens ({number_name(0)} ...) or its digits 0-9 are not in a row")
    base = min(codes)
    identity = codes == list(range(base, base + len(codes)))
    return Vocab(
        **ids,
        number_base=number_base,
        num_numbers=_count_numbers(tokenizer, number_base),
        digit_base=digit_base,
        code_base=base,
        num_codes=len(codes),
        size=max(tokenizer.get_vocab_size(with_added_tokens=True), base + len(codes)),
        code_table=None if identity else tuple(codes),
    )


def _code_table(tokenizer: Tokenizer) -> list[int]:
    codes: list[int] = []
    while (token_id := tokenizer.token_to_id(code_name(len(codes)))) is not None:
        codes.append(token_id)
    return codes


def _count_numbers(tokenizer: Tokenizer, base: int) -> int:
    count, mask = 0, tokenizer.token_to_id(TOKEN_NAMES["mask"])
    while (token_id := tokenizer.token_to_id(number_name(count))) == base + count and token_id != mask:
        count += 1
    return count
