"""Options are written out in full, in both spellings; a mistake is one line."""

import re

import pytest

from xllmx.run.option_parser import OptionParser


def test_a_wrong_option_is_one_line_that_names_it() -> None:
    parser = OptionParser(prog="program")
    parser.add_argument("--num", type=int)
    with pytest.raises(ValueError, match=r"^argument --num: invalid int value: 'x'; see program --help$"):
        parser.parse_args(["--num", "x"])


@pytest.mark.parametrize("separator", ["-", "_"])
def test_an_option_is_understood_in_both_spellings(separator: str) -> None:
    parser = OptionParser(prog="program")
    parser.add_argument(f"--num{separator}frames", type=int)
    parser.add_argument("words", nargs="*")
    for word in ("--num-frames", "--num_frames"):
        assert parser.parse_args([word, "3"]).num_frames == 3
        assert parser.parse_args([f"{word}=3", "a_b-c"]).words == ["a_b-c"]
    assert parser.parse_args(["--", "--a-b_c"]).words == ["--a-b_c"]


def test_an_option_is_written_out_also_behind_a_command() -> None:
    parser = OptionParser(prog="program")
    command = parser.add_subparsers().add_parser("make")
    command.add_argument("--num-frames", type=int)
    assert parser.parse_args(["make", "--num_frames", "3"]).num_frames == 3
    with pytest.raises(
        ValueError, match=r"^unrecognized arguments: --num-fr 3; did you mean --num-frames\? see program"
    ):
        parser.parse_args(["make", "--num-fr", "3"])


def _program() -> OptionParser:
    parser = OptionParser(prog="program")
    commands = parser.add_subparsers(metavar="COMMAND")
    make = commands.add_parser("make", bare_words="--text")
    make.add_argument("--text")
    make.add_argument("--target_size")
    make.add_argument("--kind", choices=["video", "image"])
    commands.add_parser("show")
    return parser


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["make", "--txt", "a b"], "unrecognized arguments: --txt a b; did you mean --text? see program make --help"),
        (["make", "--target-sise=4"], "--target-sise=4; did you mean --target_size? see program make --help"),
        (["make", "--lead-text=4"], "unrecognized arguments: --lead-text=4; see program make --help"),
        (["make", "a b"], "unrecognized arguments: a b; did you mean --text 'a b'? see program make --help"),
        (["make", "--kind", "vidoe"], "; did you mean video? see program make --help"),
        (["mkae"], "did you mean make? see program --help"),
        (["show", "a b"], "unrecognized arguments: a b; see program show --help"),
        (["show", "--text"], "unrecognized arguments: --text; see program show --help"),
    ],
)
def test_what_an_unknown_word_was_meant_to_be_is_said(words: list[str], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said) + "$"):
        _program().parse_args(words)


def test_every_parser_has_debug_and_says_how_programs_end() -> None:
    parser = OptionParser(prog="program")
    parser.add_subparsers().add_parser("make")
    assert parser.parse_args(["make", "--debug"]).debug
    said = " ".join(parser.format_help().split())
    assert all(f" {status} " in said for status in (0, 1, 2, 70, 130, 141, 143))


def test_two_hyphens_are_no_value() -> None:
    parser = OptionParser(prog="program")
    parser.add_argument("--out")
    with pytest.raises(ValueError, match="argument --out: it is '--', which is no value"):
        parser.parse_args(["--out=--"])
