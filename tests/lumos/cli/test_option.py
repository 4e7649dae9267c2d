"""A fault of a setting is said in the words of the command line, in one line."""

import pytest

from lumos.cli.option import said_as_options
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
