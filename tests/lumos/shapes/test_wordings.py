"""Many wordings of a clip: true, readable, in every manner, and never where the usual ones are asked for."""

import random
import re

import pytest

from eval.shapes.parse import claims_of
from lumos.shapes import COLOURS, GROUNDS, MOTIONS, Prompt, ShapeSpec, is_reserved, sample_spec, tags_of
from lumos.shapes.dataset import Format, example
from lumos.shapes.lexicon import MOTION_WORDS, SHAPE_WORDS, attribute, finite, gerund
from lumos.shapes.spec import EXTRA_COLOURS
from lumos.shapes.wordings import wording, wording_for


def drawn(num: int, *, moving: bool = True) -> list[tuple[ShapeSpec, Prompt]]:
    rng = random.Random(0)
    specs = [sample_spec(rng, moving=moving, off_grid=0.5) for _ in range(num)]
    return [
        (spec, wording_for(spec, rng, tag=rng.choice(tags_of(spec, moving=moving)), moving=moving)) for spec in specs
    ]


def test_what_is_said_is_true_of_the_clip() -> None:
    for spec, prompt in drawn(1500):
        claims = [claim for claim in prompt.include for _ in range(claim.count)]
        named = spec.objects
        if len(named) == 2 and prompt.relation is None and spec.relation in ("right", "below"):
            named = named[::-1]  # places that are not said are those of reading
        for claim, item in zip(claims, named, strict=True):
            assert claim.shape == item.shape
            assert claim.colour in (None, item.colour)
            assert claim.motion in (None, item.motion)
        assert prompt.ground in (None, spec.ground)
        assert prompt.relation in (None, spec.relation)


@pytest.mark.parametrize("moving", [True, False])
def test_the_words_say_what_is_claimed(moving: bool) -> None:
    """Read back by the rules of `eval.shapes look`."""
    prompts = [prompt for _, prompt in drawn(1500, moving=moving)]
    asked = [(prompt.include, prompt.relation, prompt.ground) for prompt in prompts]
    read = [(said.include, said.relation, said.ground) for said in (claims_of(prompt.text) for prompt in prompts)]
    wrong = [prompt.text for prompt, a, b in zip(prompts, asked, read, strict=True) if a != b]
    assert len(wrong) <= 3, wrong


def test_there_are_many_and_in_every_manner() -> None:
    texts = [prompt.text for _, prompt in drawn(3000)]
    assert len(set(texts)) > 2900
    patterns = {re.sub(rf"\b({'|'.join((*COLOURS, *GROUNDS, *SHAPE_WORDS))})s?\b", "_", text.lower()) for text in texts}
    assert len(patterns) > 1500
    for manner in (
        "show me .* that (is )?", "[a-z]ing up", "whirl", "^draw ", "i want ", "a pair of", r"\b2 ", "does not move",
        "swell", "a (turning|rotating|spinning)", "on black", "against ", "backdrop", ", please", r"\?$", "!$", "donut",
        "crimson",
    ):  # fmt: skip
        assert any(re.search(manner, text, re.IGNORECASE) for text in texts), manner
    assert any(map(str.isupper, texts))


def test_a_clause_is_said_of_nobody_else() -> None:
    """Not "a dot that goes right above a box", "a dot that sinks with a box", "a box that goes right on top"."""
    pairs = [prompt for _, prompt in drawn(4000) if len(prompt.include) == 2 and prompt.tag == "motion"]
    clause, place = r"\b(that|which)\b", r" (on|at) (the )?(left|right|top|bottom)\b"
    wrong = [p.text for p in pairs if re.search(clause + ("" if p.include[0].motion else f".*{place}"), p.text, re.I)]
    assert wrong == []
    assert any(re.search(f" and{place} .*{clause}", p.text, re.I) for p in pairs)


def test_sentences_are_of_one_number_and_asked_as_one_asks() -> None:
    texts = [prompt.text for moving in (True, False) for _, prompt in drawn(4000, moving=moving)]
    assert not any(
        re.match("(there is|here is|this is) (2|two|a pair|a couple|exactly two) ", text, re.I) for text in texts
    )
    assert any(text.startswith(("there are two", "these are two")) for text in texts)
    assert any(re.match("(show|draw).*, (the )?background ", text) for text in texts)
    assert [text for text in texts if "?" in text and not re.search("can you", text, re.I)] == []
    assert not any(text[:9].isupper() and text.endswith("please") for text in texts)


def test_verbs_bend() -> None:
    assert [finite(p) for p in ("go left", "not move", "be at rest", "get bigger")] == [
        "goes left", "does not move", "is at rest", "gets bigger",
    ]  # fmt: skip
    assert [gerund(p) for p in ("rise", "spin", "shrink", "not move", "be still")] == [
        "rising", "spinning", "shrinking", "not moving", "still",
    ]  # fmt: skip
    assert (attribute("spin"), attribute("get bigger"), attribute("be motionless")) == ("spinning", None, "motionless")
    phrases = [phrase for motion in MOTIONS for phrase in set(MOTION_WORDS[motion])]
    assert len(set(phrases)) == len(phrases), "a phrase of two motions"


def test_a_data_set_has_them_where_they_are_asked_for_and_none_that_is_reserved() -> None:
    many = [example(index, seed=0, form=Format(wordings="many", extras=0.4)) for index in range(200)]
    assert not any(spec.held_out or is_reserved(text) for spec, text in many)
    for spec, text in many:
        assert all(item.colour in text.lower() for item in spec.objects if item.colour in EXTRA_COLOURS), text
    few = [example(index, seed=0, form=Format()) for index in range(200)]
    asking = re.compile("^(show|draw|make|give|i want)", re.IGNORECASE)
    assert (any(asking.match(text) for _, text in many), any(asking.match(text) for _, text in few)) == (True, False)


def test_a_tag_that_a_clip_has_not_is_worded_in_no_way() -> None:
    spec = sample_spec(random.Random(0), num_objects=1)
    assert wording(spec, random.Random(0), tags=("position",)) is None
