"""Options are written out in full, in both spellings; a mistake is one line."""

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
    with pytest.raises(ValueError, match=r"^unrecognized arguments: --num-fr 3; see program"):
        parser.parse_args(["make", "--num-fr", "3"])


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
