"""JSON of a stranger: what is refused, and that the line says file, place and remedy."""

import json
import os
from pathlib import Path

import pytest

from xllmx.safe.json_text import (
    filled_lines,
    json_lines,
    lines_of_file,
    parse_json,
    read_json,
    read_object,
    read_text,
    without_cut_line,
)

BAD = {
    "deep list": ("[" * 200_000, "more than 64 levels"),
    "deep object": ('{"a":' * 65 + "1" + "}" * 65, "more than 64 levels"),
    "deep but whole": ("[" * 900 + "]" * 900, "more than 64 levels"),
    "a name twice": ('{"seed": 1, "seed": 2}', "the name 'seed' stands twice in one object"),
    "not a number": ('{"a": NaN}', "NaN is no number of JSON"),
    "infinity": ("[-Infinity]", "-Infinity is no number of JSON"),
    "too large for a float": ("[1e999]", "a number too large for 64 bits"),
    "5000 digits": ("[" + "9" * 5000 + "]", "a number of thousands of digits"),
    "20 digits": ("[-9223372036854775809]", "a whole number that does not fit into 64 bits"),
    "half a character": ('["\\ud800"]', "holds half a character (a lone surrogate)"),
    "half a character in a name": ('{"\\ud83d": 1}', "holds half a character (a lone surrogate)"),
    "cut": ('{"a": [1,', "Expecting value: line 1, column 10"),
    "nothing": ("", "Expecting value: line 1, column 1"),
    "two values": ("{}\n{}", "Extra data: line 2, column 1"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_refused_is_said_with_file_place_and_remedy(tmp_path: Path, case: str) -> None:
    text, reason = BAD[case]
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError) as caught:
        read_json(tmp_path / "a.json", remedy="bring it back")
    said = str(caught.value)
    assert said.startswith(f"{tmp_path / 'a.json'} is not valid JSON (")
    assert reason in said
    assert said.endswith("; bring it back")
    assert "\n" not in said


@pytest.mark.parametrize(
    "content", [b"\xff\xfe{\x00}\x00", b'{"a": "\xe4"}', "{}".encode("utf-16"), "{}".encode("utf-32")]
)
def test_only_utf_8_is_read(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"is not UTF-8 text|is not valid JSON"):
        read_json(tmp_path / "a.json")
    with pytest.raises(ValueError, match=r"is not UTF-8 text|is not valid JSON"):
        parse_json(content, "x")


def test_what_is_no_file_or_too_large_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, what in (("pipe", "a folder, a pipe or a device"), ("absent", "No such file"), (".", "a folder")):
        with pytest.raises(ValueError, match=rf"is no file \({what}.*; copy or download it again"):
            read_text(tmp_path / name)
    (tmp_path / "large").write_text("[" + "1," * 50 + "1]")
    with pytest.raises(ValueError, match="has 103 bytes where at most 100 are read"):
        read_json(tmp_path / "large", most_bytes=100)


def test_what_is_well_formed_is_what_json_makes_of_it(tmp_path: Path) -> None:
    text = '\ufeff{"a": [1, -2.5e-3, true, null, "\u00e4\\n\\ud83d\\ude00"], "b": {"a": 18446744073709551615}}'
    (tmp_path / "a.json").write_text(text, encoding="utf-8")
    assert read_object(tmp_path / "a.json") == json.loads(text[1:])
    assert parse_json("[" * 60 + "]" * 60, "x") == json.loads("[" * 60 + "]" * 60)


def test_an_object_is_asked_for(tmp_path: Path) -> None:
    for text, kind in (("[1]", "list"), ("3", "int"), ("null", "null")):
        (tmp_path / "a.json").write_text(text)
        with pytest.raises(ValueError, match=f"holds a JSON {kind}, not an object"):
            read_object(tmp_path / "a.json")


def test_our_own_logs_may_hold_numbers_that_are_not_finite() -> None:
    assert [value for _, value in json_lines("[Infinity]\n[1e999]\n", "x", finite=False)] == [[float("inf")]] * 2


def test_only_a_newline_ends_a_line() -> None:
    text = '{"a": "b\u2028c\x85d\x0be"}\n\n{"a": 2}\r\n'
    assert list(json_lines(text.replace("\x0b", "\\u000b"), "x")) == [(1, {"a": "b\u2028c\x85d\x0be"}), (3, {"a": 2})]
    with pytest.raises(ValueError, match="prompts, line 2 is not valid JSON"):
        list(json_lines("1\n{\n", "prompts"))


def test_many_names_of_which_two_are_alike_take_no_time() -> None:
    text = "{" + ",".join(f'"{number}": 1' for number in range(200_000)) + ', "199999": 1}'
    with pytest.raises(ValueError, match="'199999' stands twice"):
        parse_json(text, "x")


@pytest.mark.parametrize("content", [
    b"", b"\n", b"{}", b"{}\n{", b"{}\n{\n", b"{}\n{} ", b"\xef\xbb\xbf{}\n\n 1 \n", b"{}\r\n{}\r{}\r\n{\r", b"{}\r5",
    "{\u2028}\n\u2028\n{}".encode(),
])  # fmt: skip
def test_lines_of_a_file_are_those_of_its_text(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.jsonl").write_bytes(content)
    whole = list(filled_lines(without_cut_line(read_text(tmp_path / "a.jsonl"))))
    assert list(lines_of_file(tmp_path / "a.jsonl")) == whole


def test_a_file_of_lines_that_cannot_be_read_is_said_as_one_of_text(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"{}\n" * 5000 + b"\xff")
    for path, most in ((tmp_path / "a.jsonl", 10**6), (tmp_path / "a.jsonl", 10), (tmp_path, 10), (tmp_path / "b", 10)):
        with pytest.raises(ValueError, match="mend it") as of_text:
            read_text(path, remedy="mend it", most_bytes=most)
        with pytest.raises(ValueError, match="mend it") as of_lines:
            list(lines_of_file(path, remedy="mend it", most_bytes=most))
        assert str(of_lines.value) == str(of_text.value)
