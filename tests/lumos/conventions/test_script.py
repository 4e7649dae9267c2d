"""Prompts that change: what is taken, and what is refused with a remedy."""

from typing import Any

import pytest

from lumos.conventions.script import Script, scripts_of

CHANGING = [(0, "a red circle moves right"), (8, "it moves up")]


def test_a_list_of_frames_and_texts_is_one_prompt() -> None:
    assert scripts_of(CHANGING) == [Script(text=CHANGING[0][1], changes=((8, "it moves up"),))]
    assert scripts_of([list(pair) for pair in CHANGING]) == scripts_of(CHANGING)  # as JSON has it


def test_a_list_of_prompts_may_hold_both_kinds() -> None:
    assert scripts_of(["a star", CHANGING]) == [Script(text="a star"), *scripts_of(CHANGING)]
    assert scripts_of([CHANGING, CHANGING]) == 2 * scripts_of(CHANGING)  # two pairs of pairs are no pair


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ([(1, "a")], "the first text of the prompt is at frame 1; it must be at 0"),
        ([(0, "a"), (8, "b"), (8, "c")], "changes at frame 8 after frame 8; put changes in order"),
        ([(0, "a"), (8, "b"), (4, "c")], "changes at frame 4 after frame 8; put changes in order"),
        ([(0, "a"), (8, " ")], "at frame 8 is ' '; describe what is to be seen"),
        ([(0, "a"), (8, None)], "at frame 8 is None; describe"),
        ([(0, "a"), (1.5, "b")], "changes at 1.5; give the number of a frame"),
        ([(0, "a"), (True, "b")], "changes at True; give the number of a frame"),
        ([7], "prompt is 7; give a text, or a list of"),
    ],
)
def test_what_is_out_of_order_or_empty_is_refused(prompt: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("(", r"\(")):
        scripts_of(prompt)
