"""A fault of a setting is said in the words of the command line, in one line."""

import pytest

from lumos.cli.options.spelling import read_size, said_as_options
from xllmx.settings.setting import SettingError


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


@pytest.mark.parametrize("text", ["1248", "x704", "1248x", "1248*704", "-8x8", "1248x704x3", "²x8", f"{'9' * 5000}x8"])
def test_a_size_is_two_whole_numbers(text: str) -> None:
    assert read_size("1248X704", setting="resolution") == (1248, 704)
    with pytest.raises(SettingError, match=r"^size is .*; write width x height in pixels, as in 1248x704"):
        read_size(text, setting="size")
