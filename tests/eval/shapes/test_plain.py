"""Prompts in plain words: none can come out of the grammar that training is worded in, and all can be scored."""

import re
from pathlib import Path

import pytest

from eval.shapes.plain import SENTENCES, plain_prompts
from eval.shapes.prompts import KINDS, PLAIN, make_prompts, names_held_out
from eval.shapes.run import RunConfig
from eval.shapes.score import check
from lumos.shapes import MOTIONS, TAGS, describe, is_reserved, render
from lumos.shapes.dataset import Format, example


def words_of(text: str) -> set[str]:
    return set(re.findall("[a-z]+", text.lower()))


def test_no_training_can_have_a_sentence_of_the_list() -> None:
    """Each is reserved, which training rejects however it is worded, and has a word of its own besides."""
    forms = [Format(wordings="many", moving=moving) for moving in (True, False)]
    said = set().union(*(words_of(example(index, seed=1, form=form)[1]) for form in forms for index in range(1500)))
    assert {"show", "ball", "spinning", "coloured", "backdrop"} <= said
    assert [text for text, _ in SENTENCES if not is_reserved(text)] == []
    assert [text for text, _ in SENTENCES if words_of(text) <= said] == []
    assert len({text for text, _ in SENTENCES}) == len(SENTENCES) >= 60


def test_every_tag_and_motion_is_asked_for_and_no_combination_is_held_out() -> None:
    prompts = plain_prompts()
    assert [prompt.tag for prompt in prompts[: len(TAGS)]] == list(TAGS)
    asked = [claim.motion for prompt in prompts for claim in prompt.include if claim.motion]
    assert min(asked.count(motion) for motion in MOTIONS) >= 4
    assert not any(map(names_held_out, prompts))


def test_clips_as_asked_are_right() -> None:
    records = make_prompts(PLAIN, 280)
    assert [record.prompt for record in records] == plain_prompts()
    assert not any(record.spec.held_out for record in records)
    wrong = [r.prompt.text for r in records if not check(r.prompt, describe(render(r.spec))).correct]
    assert len(wrong) <= 1, wrong
    assert make_prompts(PLAIN, 5) == records[:5]


def test_plain_words_are_made_only_where_asked_for() -> None:
    assert PLAIN not in KINDS
    assert RunConfig(model="m", out=Path("o"), kinds=(PLAIN,)).kinds == (PLAIN,)
    with pytest.raises(ValueError, match=r"kinds has 'v2v': choose from t2v, t2i, i2v, held_out, plain"):
        RunConfig(model="m", out=Path("o"), kinds=("v2v",))
