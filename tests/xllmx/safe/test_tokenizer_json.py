"""Tokenizers of strangers: what has bounds is read as the library reads it, everything else is one line."""

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from xllmx.safe.tokenizer_json import read_tokenizer, token_ids

PLAIN: dict[str, Any] = {
    "version": "1.0",
    "added_tokens": [],
    "model": {"type": "WordLevel", "vocab": {"a": 0, "b": 1, "?": 2}, "unk_token": "?"},
}


def split(expression: str) -> dict[str, Any]:
    return {"type": "Split", "pattern": {"Regex": expression}, "behavior": "Isolated", "invert": False}


def replace(pattern: dict[str, str], content: str) -> dict[str, Any]:
    return {"type": "Replace", "pattern": pattern, "content": content}


def write(folder: Path, **changed: Any) -> Path:
    path = folder / "tokenizer.json"
    path.write_text(json.dumps(PLAIN | changed))
    return path


GPT = (
    r"""'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"""
)


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"pre_tokenizer": split(GPT)},
        {"pre_tokenizer": split(r"(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z|\(x+\)*|[(+)]+|[^]a]+")},
        {"normalizer": {"type": "Sequence", "normalizers": [replace({"String": " "}, "\u2581"), {"type": "NFKC"}]}},
        {"normalizer": {"type": "Prepend", "prepend": "\u2581"}},
        {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}]}},
        {"padding": {"strategy": {"Fixed": 10**9}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0,
                     "pad_type_id": 0, "pad_token": "?"}},
        {"truncation": {"direction": "Right", "max_length": 1, "strategy": "LongestFirst", "stride": 0}},
    ],
)  # fmt: skip
def test_what_has_bounds_is_read(changed: dict[str, Any], tmp_path: Path) -> None:
    path = write(tmp_path, **changed)
    whole = Tokenizer.from_file(str(path))
    whole.no_truncation()
    whole.no_padding()
    assert token_ids(read_tokenizer(path, remedy="no"), "a b", special=False) == whole.encode("a b").ids


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"pre_tokenizer": split("(a+)+$")}, "repeats a repetition"),
        ({"pre_tokenizer": split("(?:(a|b)*c?)*$")}, "repeats a repetition"),
        ({"pre_tokenizer": split("((a{2,}))+$")}, "repeats a repetition"),
        ({"pre_tokenizer": split("(a+){2,}$")}, "repeats a repetition"),
        ({"pre_tokenizer": split("(a*){30}$")}, "repeats a repetition"),
        ({"pre_tokenizer": split("a" * 3000)}, "more than 2000 characters"),
        ({"pre_tokenizer": split("(((")}, "unmatched parenthesis"),
        ({"pre_tokenizer": split("a{99999}{99999}")}, "tokenizers-library file"),
        ({"normalizer": replace({"Regex": "([a-z]+)*x"}, "")}, "repeats a repetition"),
        (
            {"normalizer": {"type": "Sequence", "normalizers": [replace({"String": "a"}, "aa")] * 22}},
            "many times as long",
        ),
        ({"normalizer": {"type": "Sequence", "normalizers": [replace({"Regex": ""}, "aa")] * 9}}, "many times as long"),
        ({"normalizer": replace({"String": "a"}, "a" * 10**6)}, "many times as long"),
        ({"normalizer": {"type": "Prepend", "prepend": "a" * 10**6}}, "many times as long"),
        ({"normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}] * 100}}, "at most 64 are taken"),
        ({"normalizer": {"type": "Nobody"}}, "tokenizers-library file"),
        ({"normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAAA"}}, "tokenizers-library file"),
        ({"normalizer": 5}, "tokenizers-library file"),
        ({"model": None}, "it has no model"),
        ({"model": {"type": "WordLevel", "vocab": {"a": -1}}}, "tokenizers-library file"),
        ({"model": {"type": "WordLevel", "vocab": {"a": 10**30}}}, "does not fit into 64 bits"),
    ],
)
def test_what_has_no_bounds_is_one_line(changed: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = write(tmp_path, **changed)
    with pytest.raises(ValueError, match=message) as caught:
        read_tokenizer(path, remedy="take another")
    assert str(caught.value).startswith(str(path))
    assert str(caught.value).endswith("; take another")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ["[" * 200_000, "[]", "{}", "", '{"model": {}}', "\ud800"])
def test_what_is_no_tokenizer_is_one_line(content: str, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_bytes(content.encode("utf-8", "surrogatepass"))
    with pytest.raises(ValueError, match=r"tokenizer\.json is not ") as caught:
        read_tokenizer(tmp_path / "tokenizer.json", remedy="take another")
    assert len(str(caught.value)) < 500


def test_a_failure_inside_the_library_is_a_plain_error(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, pre_tokenizer=split("(a+)+$"))
    hostile = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    with pytest.raises(ValueError, match=r"cannot be tokenized .*retry-limit"):
        token_ids(hostile, "a" * 300 + "!", special=False)
    capfd.readouterr()
