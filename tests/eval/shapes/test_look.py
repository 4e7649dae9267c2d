"""Sentences read back into claims, and clips put into words."""

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest

from eval.shapes.__main__ import main
from eval.shapes.look import in_words, look
from eval.shapes.parse import claims_of
from lumos.media.writing import write_video
from lumos.shapes import Description, ObjectClaim, ObjectSpec, ShapeSpec, prompt_for, render, sample_spec, tags_of


def test_captions_are_read_back_into_their_claims():
    """Every phrasing of the grammar: shapes, colours, counts, motions, relation and ground, though not its tag."""
    rng = random.Random(0)
    agree, num = 0, 3000
    for index in range(num):
        moving = index % 3 > 0
        spec = sample_spec(rng, moving=moving, held_out=None)
        prompt = prompt_for(spec, rng, tag=rng.choice(tags_of(spec, moving=moving)))
        agree += replace(claims_of(prompt.text), tag=prompt.tag) == prompt
    assert agree >= 0.99 * num


@pytest.mark.parametrize(("text", "claims", "relation", "ground"), [
    ("three green triangles", [ObjectClaim(shape="triangle", colour="green", count=3)], None, None),
    ("two big red discs, both moving to the left",
     [ObjectClaim(shape="circle", colour="red", motion="left", count=2)], None, None),
    ("A red hoop and a blue square. The blue square is rotating slowly, in front of a grey ground!",
     [ObjectClaim(shape="ring", colour="red"), ObjectClaim(shape="square", colour="blue", motion="turn")],
     None, "gray"),
    ("a violet ring stays still to the left of an orange box that moves down",
     [ObjectClaim(shape="ring", colour="purple", motion="still"),
      ObjectClaim(shape="square", colour="orange", motion="down")], "left", None),
    ("a star growing smaller under a dot", [ObjectClaim(shape="star", motion="shrink"), ObjectClaim(shape="circle")],
     "below", None),
    ("show me a star that spins", [ObjectClaim(shape="star", motion="turn")], None, None),
    ("a red ball going up", [ObjectClaim(shape="circle", colour="red", motion="up")], None, None),
    ("Can you draw 2 golden donuts on black?", [ObjectClaim(shape="ring", colour="yellow", count=2)], None, "black"),
    ("a spinning box coloured red next to a still dot, white background",
     [ObjectClaim(shape="square", colour="red", motion="turn"), ObjectClaim(shape="circle", motion="still")],
     None, "white"),
    ("a pair of stars, one crimson and one violet",
     [ObjectClaim(shape="star", colour="red"), ObjectClaim(shape="star", colour="purple")], None, None),
    ("a ball at the top and a box at the bottom, over a pink backdrop",
     [ObjectClaim(shape="circle"), ObjectClaim(shape="square")], "above", "pink"),
    ("on the right a ring that swells, on the left a star",
     [ObjectClaim(shape="ring", motion="grow"), ObjectClaim(shape="star")], "right", None),
    ("a circle, green square", [ObjectClaim(shape="circle"), ObjectClaim(shape="square", colour="green")], None, None),
    ("a ball moves to the left side of the screen and a box stays still",
     [ObjectClaim(shape="circle", motion="left"), ObjectClaim(shape="square", motion="still")], None, None),
    ("a ring with a white border on the left side of a star",
     [ObjectClaim(shape="ring"), ObjectClaim(shape="star")], "left", None),
    ("a dot on a black coloured box", [ObjectClaim(shape="circle"), ObjectClaim(shape="square")], None, None),
    ("a dot on a white square", [ObjectClaim(shape="circle"), ObjectClaim(shape="square", colour="white")], None, None),
])  # fmt: skip
def test_other_sentences_are_read(text: str, claims: list[ObjectClaim], relation: str | None, ground: str | None):
    read = claims_of(text)
    assert (list(read.include), read.relation, read.ground) == (claims, relation, ground)


@pytest.mark.parametrize(("text", "tag"), [
    ("a star", "single_object"), ("two stars", "counting"), ("a red star", "colors"), ("a star, a ring", "two_object"),
    ("a star above a ring", "position"), ("a red star and a blue ring", "color_attr"), ("a star rises", "motion"),
])  # fmt: skip
def test_the_tag_follows_from_the_claims(text: str, tag: str):
    assert claims_of(text).tag == tag


@pytest.mark.parametrize("text", ["", "a lighthouse at dusk", "a star, a ring and a box"])
def test_a_sentence_that_claims_nothing_of_this_world_is_named(text: str):
    with pytest.raises(ValueError, match="names"):
        claims_of(text)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A red square that moves to the right, on white."""
    item = ObjectSpec(shape="square", colour="red", motion="right", x=0.3)
    path = tmp_path / "clip.mp4"
    write_video(path, render(ShapeSpec(objects=(item,), ground="white"), num_frames=13), fps=6)
    return path


def test_a_clip_is_put_into_words(clip: Path):
    assert look(clip).text == f"{clip}: 13 frame(s), red square (right) on white"
    assert in_words(Description(objects=(), ground="unknown")) == "nothing on unknown"


def test_what_was_asked_is_scored_with_reasons(clip: Path):
    assert look(clip, "A red box slides right.").text.endswith("score: 1, as asked")
    said = look(clip, "a blue square falls").text
    assert said.endswith("score: 0, colour: red instead of blue; motion: right instead of down")


def test_the_record_beside_a_clip_says_what_was_asked(clip: Path, capsys: pytest.CaptureFixture[str]):
    clip.with_name("clip.mp4.json").write_text(json.dumps({"prompt": "a red square moves to the right"}))
    assert main(["look", str(clip)]) == 0
    assert capsys.readouterr().out.endswith("  asked: a red square moves to the right\n  score: 1, as asked\n")


def test_prompts_that_cannot_be_read_are_passed_over_and_counted(clip: Path, capsys: pytest.CaptureFixture[str]):
    other = clip.with_name("other.mp4")
    other.write_bytes(clip.read_bytes())
    clip.with_name("clip.mp4.json").write_text(json.dumps({"prompt": "a lighthouse at dusk"}))
    other.with_name("other.mp4.json").write_text(json.dumps({"prompt": "a red square moves to the right"}))
    assert main(["look", str(clip), str(other)]) == 0
    said = capsys.readouterr().out
    assert "asked: a lighthouse at dusk\n  no score: 'a lighthouse at dusk' names no shape" in said
    assert "score: 1, as asked" in said
    assert said.endswith("1 of 2 clips have no score: their prompts ask for nothing that is read here\n")


def test_a_record_without_a_prompt_is_none(clip: Path):
    clip.with_name("clip.mp4.json").write_text(json.dumps({"prompt": 7}))
    assert look(clip).text.endswith("on white")


def test_a_file_that_is_no_clip_ends_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "no.mp4").write_text("no")
    assert main(["look", str(tmp_path / "no.mp4")]) == 2
    assert "no.mp4: undecodable" in capsys.readouterr().err
