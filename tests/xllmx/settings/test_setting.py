"""A fault of a setting keeps its name apart from what is wrong; an unknown word meets the one that was meant."""

import doctest
import pickle

import pytest

from xllmx.settings import setting
from xllmx.settings.setting import SettingError, suggestion, whole_number


def test_the_examples_are_so() -> None:
    assert doctest.testmod(setting).failed == 0


def test_a_fault_is_said_after_the_settings_name() -> None:
    with pytest.raises(ValueError, match=r"^num is 0; give 1$") as caught:
        raise SettingError("num", "is 0; give 1")
    assert caught.value.name == "num"
    assert caught.value.fault == "is 0; give 1"


@pytest.mark.parametrize(
    ("word", "said"),
    [("cfgg", "did you mean a.cfg? known are a.cfg, a.step"), ("zzz", "known are a.cfg, a.step")],
)
def test_an_unknown_word_meets_the_one_that_was_meant_or_all(word: str, said: str) -> None:
    assert suggestion(word, iter(["cfg", "step"]), prefix="a.") == said


def test_of_many_known_words_only_the_nearest_is_said() -> None:
    assert suggestion("witdh", ["width", *(f"setting_{number}" for number in range(12))]) == "did you mean width?"


def test_whole_numbers_of_any_type_count() -> None:
    assert [whole_number("fps", value) for value in (24, 24.0, 1)] == [24, 24, 1]
    assert isinstance(whole_number("fps", 24.0), int)


@pytest.mark.parametrize("value", [0, -3, 2.5, True, "24", None, [8], float("nan"), float("inf")])
def test_what_counts_nothing_is_refused(value: object) -> None:
    with pytest.raises(SettingError, match=r"^fps is .*; it must be a whole number of at least 1$"):
        whole_number("fps", value)


def test_an_error_is_said_the_same_in_another_process() -> None:
    error = pickle.loads(pickle.dumps(SettingError("fps", "is 0; give 1")))
    assert (str(error), error.name, error.fault) == ("fps is 0; give 1", "fps", "is 0; give 1")
