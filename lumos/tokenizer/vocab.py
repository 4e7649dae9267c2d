"""Every token id and id range, as the data of one object; no id is written anywhere else in the code."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from typing import Annotated, Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from xllmx.settings.number_range import Range, check_numbers
from xllmx.settings.setting import SettingError, shown

_SINGLE = (
    *("bos", "pad", "eos", "frame_end", "frame_start", "separator", "row_end", "mask", "video_start", "video_end"),
)
"""Fields that are the id of one token."""
_OR_UNSET = Range(-1, 2**28)
_AFTER_CODE_BASE = {"resolution_placeholder": 2, "frames_placeholder": 3, "fps_placeholder": 4}


@dataclass(frozen=True, kw_only=True)
class Vocab:
    """The token ids of a checkpoint; the defaults are those of the released ones.

    Visual code c has the id `code_base + c`, or `code_table[c]` when a tokenizer file orders the codes otherwise. The
    placeholders stand for text that is written later; they share ids with visual codes and mean a placeholder only
    before `video_start`.

    Raises:
        ValueError: an id lies outside the vocabulary, or `code_table` is no permutation of the visual ids.
    """

    bos: int = 0
    """First token of a prompt, `<s>`."""
    pad: int = 1
    """Fills shorter rows of a batch on the left."""
    eos: int = 2
    """`</s>`; unused in video sequences."""
    frame_end: int = 8196
    """Last token of a frame."""
    frame_start: int = 8197
    """First token of a frame."""
    separator: int = 8710
    """Ends the prompt and the answer."""
    row_end: int = 8803
    """Ends one row of a frame's codes."""
    number_base: int = 8804
    """Id of the number token for 0; number n is `number_base + n`."""
    num_numbers: Annotated[int, Range(1, 2**20)] = 199
    """How many number tokens there are."""
    mask: int = 9003
    """Stands where a token is to be predicted."""
    video_start: int = 9004
    """First token of the answer."""
    video_end: int = 9005
    """Comes after the last frame."""
    digit_base: int = 16399
    """Id of the text digit 0; the ten digits are consecutive."""
    code_base: int = 65536
    """First id of the visual codes."""
    num_codes: Annotated[int, Range(1, 2**28)] = 64000
    """How many visual codes there are."""
    size: Annotated[int, Range(1, 2**28)] = 129536
    """Number of ids: rows of the embedding and of the head."""
    resolution_placeholder: Annotated[int, _OR_UNSET] = -1
    """In a prompt: the resolution. -1 means `code_base + 2`."""
    frames_placeholder: Annotated[int, _OR_UNSET] = -1
    """In a prompt: the number of frames. -1 means `code_base + 3`."""
    fps_placeholder: Annotated[int, _OR_UNSET] = -1
    """In a prompt: the frames per second. -1 means `code_base + 4`."""
    code_table: tuple[int, ...] | None = None
    """Id of every visual code, when it is not `code_base + code`."""

    def __post_init__(self) -> None:
        check_numbers(self, "vocab.")
        for name, offset in _AFTER_CODE_BASE.items():
            if getattr(self, name) == -1:
                object.__setattr__(self, name, self.code_base + offset)
        ranges = {"number_base": self.num_numbers, "digit_base": 10, "code_base": self.num_codes}
        for name, value in self.to_dict().items():
            if name in ("code_table", "size", "num_numbers", "num_codes"):
                continue
            if not 0 <= value <= self.size - ranges.get(name, 1):
                raise ValueError(
                    f"vocab.{name} is {value}, but {ranges.get(name, 1)} id(s) from there must lie in a vocabulary of "
                    f"size {self.size}; correct {name} or size"
                )
        self._check_apart()
        codes = range(self.code_base, self.code_base + self.num_codes)
        if self.code_table is not None and sorted(self.code_table) != list(codes):
            raise ValueError(
                f"vocab.code_table has {len(self.code_table)} entries and must hold every id of "
                f"{codes.start}..{codes.stop - 1} once; rebuild it from the tokenizer file"
            )

    def _check_apart(self) -> None:
        """Raise ValueError where two names share an id; the placeholders may, with visual codes."""
        spans = {name: range(getattr(self, name), getattr(self, name) + 1) for name in _SINGLE}
        for name, number in (("number_base", self.num_numbers), ("digit_base", 10), ("code_base", self.num_codes)):
            spans[name] = range(getattr(self, name), getattr(self, name) + number)
        order = sorted(spans, key=lambda name: (spans[name].start, spans[name].stop))
        for first, second in itertools.pairwise(order):
            if spans[second].start < spans[first].stop:
                end = f"{spans[first].start}..{spans[first].stop - 1}" if len(spans[first]) > 1 else spans[first].start
                raise SettingError(
                    f"vocab.{second}", f"is {spans[second].start}, an id of {first} ({end}) too; give each its own"
                )

    def number(self, n: int) -> int:
        """Return the id of number token `n` (grid sizes, seconds, frames per second).

        Raises:
            ValueError: there is no such number token.
        """
        if not 0 <= n < self.num_numbers:
            raise ValueError(f"number token {n} does not exist: choose a whole number in 0..{self.num_numbers - 1}")
        return self.number_base + n

    def number_of(self, token_id: int) -> int:
        """Return n of the number token `token_id`.

        Raises:
            ValueError: `token_id` is not a number token.
        """
        if not 0 <= token_id - self.number_base < self.num_numbers:
            raise ValueError(f"token {token_id} is not a number token: these start at {self.number_base}")
        return token_id - self.number_base

    def digits(self, n: int) -> list[int]:
        """Return the text ids of `n` >= 0 written digit by digit: 24 is [16401, 16403].

        Raises:
            ValueError: `n` is negative.
        """
        if n < 0:
            raise ValueError(f"number {n} cannot be written in digits: it must be 0 or more")
        return [self.digit_base + int(digit) for digit in str(n)]

    def code_ids(self, codes: Int[Tensor, "*shape"]) -> Int[Tensor, "*shape"]:
        """Return the token ids (int64) of visual codes 0..num_codes-1."""
        if self.code_table is None:
            return codes.long() + self.code_base
        return self._id_of_code.to(codes.device)[codes.long()]

    def codes_of(self, ids: Int[Tensor, "*shape"]) -> Int[Tensor, "*shape"]:
        """Return the visual codes (int64) of token ids that all satisfy `is_code`."""
        if self.code_table is None:
            return ids.long() - self.code_base
        return self._code_of_id.to(ids.device)[ids.long() - self.code_base]

    def is_code(self, ids: Int[Tensor, "*shape"]) -> Bool[Tensor, "*shape"]:
        """Return a mask, True where the id is a visual code."""
        return (ids >= self.code_base) & (ids < self.code_base + self.num_codes)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values, the way config.json stores them; no `code_table` when it is None."""
        values = asdict(self)
        if self.code_table is None:
            del values["code_table"]
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Vocab":
        """Return the vocabulary that `to_dict` described; fields left out have the released values.

        Raises:
            ValueError: a field is unknown.
        """
        if not isinstance(values, Mapping):
            raise ValueError(f"vocab is {shown(values)}; it must be a group of fields: name -> id")
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ValueError(f"vocab has no field {', '.join(unknown)}; the fields are {', '.join(sorted(known))}")
        for name in set(values) - {"code_table"}:
            if type(values[name]) is not int:
                raise ValueError(f"vocab.{name} is {values[name]!r}; it must be a whole number")
        table = values.get("code_table")
        if not isinstance(table, Sequence | None):
            raise ValueError(f"vocab.code_table is {table!r}; it must be a list of ids")
        return cls(**{**values, "code_table": None if table is None else tuple(table)})

    @cached_property
    def _id_of_code(self) -> Tensor:
        return torch.tensor(self.code_table)

    @cached_property
    def _code_of_id(self) -> Tensor:
        return torch.argsort(self._id_of_code)


def agreed_vocabulary(model: Vocab, text: Vocab) -> Vocab:
    """Return the vocabulary of a model, its codes in the order in which the tokenizer file names them.

    The tokenizer may know fewer tokens than the model has rows, but not more.

    Raises:
        ValueError: they differ otherwise.
    """
    mine, other = model.to_dict(), text.to_dict()
    compared = mine.keys() - {"code_table", "size", "num_numbers"}
    differ = [
        f"{name} {mine[name]} and {other[name]}" for name in mine if name in compared and mine[name] != other[name]
    ]
    if text.size > model.size:
        differ.append(f"size {model.size} and {text.size}")
    if differ:
        raise ValueError(f"model and text tokenizer disagree ({', '.join(differ)}); use the tokenizer of this model")
    return replace(model, code_table=text.code_table)
