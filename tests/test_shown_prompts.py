"""What is shown of the bundled models is true: every prompt, with its seed, is as asked by the project's own judge.

After a new model, `python -m tests.shown_prompts --model NAME` says how many seeds each is right with, and which.
"""

from collections import Counter

import pytest

from eval.shapes.parse import claims_of
from lumos.cli.generation.world import world_of
from lumos.hub.bundled import bundled_folder
from lumos.hub.models import DEFAULT_MODEL, read_json, resolve
from tests.shown_prompts import Shown, make, shown_prompts, with_seeds

ALL = shown_prompts()
SHOWN = [one for one in ALL if one.model == DEFAULT_MODEL]
OF_LUMINA = [one for one in ALL if one.model == "lumina-tiny"]
SEEDED = [one for one in SHOWN if one.seed is not None and "prompts/" not in one.place]
LISTED = [one for one in SHOWN if "prompts/" in one.place]
ANY_SEED = [one for one in SHOWN if one.seed is None]
MOST = 0.75
"""Share of the seeds that a prompt is right with where a reader gets any."""


def test_prompts_are_found_where_they_are_shown() -> None:
    places = Counter(one.place for one in SHOWN)
    assert places["README.md"] >= 5
    assert places["exps/quickstart.sh"] == 2
    assert {one.place for one in ALL if one not in SHOWN + OF_LUMINA} == set()
    assert places["lumos/serve/page/examples.json"] >= 3  # one of them, with its seed, is the README's
    assert "a red circle moves to the right" in {one.prompt for one in ANY_SEED}  # of several pages, listed once
    assert {place for place in places if "prompts/" in place} == {
        "eval/prompts/custom_t2i.jsonl", "eval/prompts/custom_t2v.json", "eval/prompts/custom_i2v.json",
    }  # fmt: skip
    assert [one.prompt for one in SHOWN if one.image and one.place == "README.md"] == ["a blue square rises"]
    assert {one.settings.get("num_frames") for one in SHOWN} == {None, 1}


def test_every_prompt_is_one_that_the_model_knows_and_the_judge_reads() -> None:
    world = world_of(resolve("lumos-tiny").defaults)
    assert world is not None
    assert [str(one) for one in SHOWN if not world.is_named_in(one.prompt)] == []
    assert [one for one in SHOWN if not claims_of(one.prompt).include] == []


def test_prompts_of_the_second_model_have_seeds_and_are_found_where_they_are_shown() -> None:
    assert {one.place for one in OF_LUMINA} == {"README.md", "lumos/serve/page/examples.json", "exps/quickstart.sh"}
    assert [str(one) for one in OF_LUMINA if one.seed is None] == []
    assert [one for one in OF_LUMINA if not claims_of(one.prompt).include] == []


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_what_is_shown_of_the_second_model_is_as_asked() -> None:
    folder = bundled_folder("lumina-tiny")
    if folder is None or not (folder / "model.safetensors").is_file():
        pytest.skip("ckpts/lumina-tiny has no model yet: exps/lumina_tiny.sh makes it")
    world = world_of(read_json(folder / "generation_config.json"))
    assert world is not None
    assert [str(one) for one in OF_LUMINA if not world.is_named_in(one.prompt)] == []
    assert wrong_of(OF_LUMINA) == []


def test_images_and_the_first_video_are_as_asked() -> None:
    few = [one for one in SEEDED if one.settings.get("num_frames") == 1] + SEEDED[:1]
    assert len(few) >= 2
    assert wrong_of(few) == []


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_what_is_shown_with_a_seed_is_as_asked() -> None:
    assert wrong_of(SEEDED) == []


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("shown", [LISTED, with_seeds(ANY_SEED, range(4))], ids=["lists", "without a seed"])
def test_what_is_shown_with_any_seed_is_mostly_as_asked(shown: list[Shown]) -> None:
    def key(one: Shown) -> str:
        return f"{one.prompt} ({one.image.name if one.image else dict(one.settings)})"

    asked, right = Counter(map(key, shown)), Counter(key(one) for one, verdict in make(shown) if verdict.correct)
    assert {name: f"{right[name]} of {number}" for name, number in asked.items() if right[name] < MOST * number} == {}


def wrong_of(shown: list[Shown]) -> list[str]:
    return [f"{one}: {'; '.join(verdict.reasons)}" for one, verdict in make(shown) if not verdict.correct]
