"""A fault of a setting is said in the words of the command line, in one line."""

import pytest

from lumos.cli.option import OptionParser, said_as_options
from xllmx.setting import SettingError


@pytest.mark.parametrize(
    ("name", "separator", "said"),
    [
        ("batch_size", "-", "--batch-size is 0"),
        ("batch_size", "_", "--batch_size is 0"),
        ("num_inference_steps", "-", "--steps is 0"),
        ("not_given", "-", "not_given is 0"),
        ("no_option", "-", "no_option is 0"),
    ],
)
def test_a_setting_that_was_given_is_said_as_its_option(name: str, separator: str, said: str) -> None:
    options = {"batch_size": 0, "num_inference_steps": 0, "not_given": None}
    with pytest.raises(ValueError, match=f"^{said}$"), said_as_options(options, separator=separator):
        raise SettingError(name, "is 0")


def test_a_wrong_option_is_one_line_that_names_it() -> None:
    parser = OptionParser(prog="program")
    parser.add_argument("--num", type=int)
    with pytest.raises(ValueError, match=r"^argument --num: invalid int value: 'x'; see program --help$"):
        parser.parse_args(["--num", "x"])


@pytest.mark.parametrize("separator", ["-", "_"])
def test_an_option_is_understood_in_both_spellings(separator: str) -> None:
    parser = OptionParser(prog="program", separator=separator)
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
