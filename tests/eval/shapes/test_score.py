"""The scorer of the shapes world: right clips score 1, wrong ones 0, and each wrong detail is noticed."""

import json
import random
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from eval.shapes.__main__ import main
from eval.shapes.outputs import find_output, read_output, save_output, score_folder
from eval.shapes.prompts import (
    KINDS,
    TAGS_OF_KIND,
    Record,
    first_frames_of,
    load_prompts,
    make_prompts,
    names_held_out,
    save_prompts,
)
from eval.shapes.run import PipelineGenerator, RunConfig, evaluate, fill_folder, run
from eval.shapes.score import check, score, summarise, table
from lumos.cli.models.door import KINDS as MODEL_KINDS
from lumos.cli.models.kind import Model
from lumos.lumos1.sampling.settings import Settings, resolve_settings
from lumos.shapes import (
    MOTIONS,
    Description,
    ObjectClaim,
    ObjectReading,
    ObjectSpec,
    Prompt,
    ShapeSpec,
    describe,
    is_reserved,
    render,
)


def clip_of(record: Record) -> np.ndarray:
    return render(record.spec, num_frames=13 if record.moving else 1)


@pytest.fixture(scope="module")
def seen() -> dict[str, list[tuple[Record, Description]]]:
    """Of every kind, prompts and what their own clips show."""
    return {kind: [(r, describe(clip_of(r))) for r in make_prompts(kind, 56)] for kind in KINDS}


# --- prompts ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_prompts_are_reserved_wordings_each_used_once(kind: str):
    texts = [record.prompt.text for record in make_prompts(kind, 280)]
    assert len({"".join(filter(str.isalnum, text.lower())) for text in texts}) == 280
    assert all(map(is_reserved, texts))


@pytest.mark.parametrize("kind", KINDS)
def test_tags_and_motions_come_in_turn(kind: str):
    records = make_prompts(kind, 8 * len(TAGS_OF_KIND[kind]))
    tags = [record.prompt.tag for record in records]
    assert {tag: tags.count(tag) for tag in set(tags)} == dict.fromkeys(TAGS_OF_KIND[kind], 8)
    asked = [c.motion for record in records for c in record.prompt.include if c.motion]
    assert asked == ([] if kind == "t2i" else list(MOTIONS))


def test_only_held_out_prompts_show_held_out_combinations_and_they_name_them():
    for kind in ("t2v", "t2i", "i2v"):
        assert not any(record.spec.held_out for record in make_prompts(kind, 70))
    assert all(names_held_out(record.prompt) for record in make_prompts("held_out", 70))


def test_prompts_follow_their_seed():
    assert make_prompts("t2v", 20, seed=1) == make_prompts("t2v", 30, seed=1)[:20]
    assert make_prompts("t2v", 20, seed=1) != make_prompts("t2v", 20, seed=2)


def test_an_unknown_kind_is_named():
    with pytest.raises(ValueError, match="kind='v2v' is not one of t2v, t2i"):
        make_prompts("v2v", 3)


def test_prompts_and_first_frames_survive_their_file(tmp_path: Path):
    records = make_prompts("i2v", 5)
    save_prompts(records, tmp_path / "i2v.json", width=48, height=40)
    assert load_prompts(tmp_path / "i2v.json") == records
    pictures = sorted(first_frames_of(tmp_path / "i2v.json").iterdir())
    assert [path.name for path in pictures] == [f"0000{i}.png" for i in range(5)]
    expected = render(records[3].spec, width=48, height=40, num_frames=1)[0]
    np.testing.assert_array_equal(np.asarray(Image.open(pictures[3])), expected)


def test_a_file_that_holds_no_prompts_is_named(tmp_path: Path):
    path = tmp_path / "other.json"
    for content in ('{"a": 1}', "[1, 2]", "no json", "[]", "{}"):
        path.write_text(content)
        with pytest.raises(ValueError, match=r"other\.json.* make one with"):
            load_prompts(path)


# --- scores -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_clips_of_the_prompts_themselves_score_one_under_every_tag(kind: str, seen):
    report = summarise([score(record, description) for record, description in seen[kind]])
    assert set(report.tags) == set(TAGS_OF_KIND[kind])
    assert min(tag["accuracy"] for tag in report.tags.values()) >= 0.99
    assert report.overall >= 0.99
    assert report.missing == []
    if kind == "i2v":
        assert (report.kept, report.followed) == (1.0, 1.0)


@pytest.mark.parametrize("kind", KINDS)
def test_clips_under_shuffled_captions_score_at_chance(kind: str, seen):
    """Chance is exact here: the mean over all pairs of a prompt with another one's clip; below one in twenty."""
    pairs = seen[kind]
    chance = {tag: [] for tag in TAGS_OF_KIND[kind]}
    for record, _ in pairs:
        others = [check(record.prompt, other).correct for owner, other in pairs if owner is not record]
        chance[record.prompt.tag].append(sum(others) / len(others))
    expected = sum(sum(values) / len(values) for values in chance.values()) / len(chance)
    assert expected < 0.05
    descriptions = [description for _, description in pairs]
    random.Random(0).shuffle(descriptions)
    shuffled = summarise([score(record, d) for (record, _), d in zip(pairs, descriptions, strict=True)])
    assert shuffled.overall == pytest.approx(expected, abs=0.05)


def reading(shape: str, colour: str, motion: str = "still", *, x: float = 0.5, y: float = 0.5) -> ObjectReading:
    unread = {"radius": 0.2, "travel_x": 0.0, "travel_y": 0.0, "growth": 1.0, "turn_deg": 0.0}
    return ObjectReading(shape=shape, colour=colour, motion=motion, x=x, y=y, **unread)


PAIR = Prompt(
    tag="motion",
    text="a red star left of a blue ring on a black ground, the star rises",
    include=(ObjectClaim(shape="star", colour="red", motion="up"), ObjectClaim(shape="ring", colour="blue")),
    relation="left",
    ground="black",
)
STAR, RING = reading("star", "red", "up", x=0.3), reading("ring", "blue", x=0.7)
RIGHT = Description(objects=(STAR, RING), ground="black")


def test_a_clip_as_asked_is_right_in_whatever_order_it_is_read():
    assert check(PAIR, RIGHT).correct
    assert check(PAIR, replace(RIGHT, objects=(RING, STAR))).correct


def test_what_is_not_claimed_is_free():
    assert check(PAIR, replace(RIGHT, objects=(STAR, replace(RING, motion="turn")))).correct
    assert check(replace(PAIR, ground=None), replace(RIGHT, ground="pink")).correct
    assert check(replace(PAIR, relation=None), replace(RIGHT, objects=(replace(STAR, x=0.9), RING))).correct


@pytest.mark.parametrize(("wrong", "reason"), [
    (replace(RIGHT, objects=(replace(STAR, colour="orange"), RING)), "colour: orange instead of red"),
    (replace(RIGHT, objects=(replace(STAR, shape="square"), RING)), "shape: square instead of star"),
    (replace(RIGHT, objects=(replace(STAR, shape="unknown"), RING)), "shape: unknown instead of star"),
    (replace(RIGHT, objects=(replace(STAR, motion="down"), RING)), "motion: down instead of up"),
    (replace(RIGHT, objects=(replace(STAR, motion="other"), RING)), "motion: other instead of up"),
    (replace(RIGHT, objects=(replace(STAR, x=0.9), RING)), "relation: right instead of left"),
    (replace(RIGHT, objects=(replace(STAR, x=0.7, y=0.1), RING)), "relation: above instead of left"),
    (replace(RIGHT, ground="white"), "ground: white instead of black"),
    (replace(RIGHT, objects=(STAR,)), "count: 1 instead of 2"),
    (replace(RIGHT, objects=(STAR, RING, STAR)), "count: 3 instead of 2"),
    (replace(RIGHT, objects=()), "count: 0 instead of 2"),
])  # fmt: skip
def test_a_single_wrong_detail_makes_the_clip_wrong_and_is_named(wrong: Description, reason: str):
    verdict = check(PAIR, wrong)
    assert not verdict.correct
    assert verdict.reasons == (reason,)


def test_swapped_colours_are_wrong():
    swapped = replace(RIGHT, objects=(replace(STAR, colour="blue"), replace(RING, colour="red")))
    assert not check(PAIR, swapped).correct


@pytest.mark.parametrize(("colours", "right"), [(("red", "red"), True), (("red", "blue"), False)])
def test_counting_wants_every_one_as_described(colours: tuple[str, str], right: bool):
    prompt = Prompt(tag="counting", text="two red dots", include=(ObjectClaim(shape="circle", colour="red", count=2),))
    circles = tuple(reading("circle", colour, x=0.2 + 0.5 * i) for i, colour in enumerate(colours))
    assert check(prompt, Description(objects=circles, ground="pink")).correct == right
    assert not check(prompt, Description(objects=circles[:1], ground="pink")).correct


@pytest.mark.parametrize("change", ["shape", "colour", "motion", "ground"])
def test_changing_one_word_of_a_spec_flips_the_verdict_on_its_pixels(change: str):
    """Rendered and read back, not made up: the claim of one clip against a clip that differs in one word."""
    other = {"shape": "square", "colour": "purple", "motion": "shrink", "ground": "gray"}
    item = ObjectSpec(shape="triangle", colour="green", motion="grow", radius=0.125)
    spec = ShapeSpec(objects=(item,), ground="pink")
    claim = ObjectClaim(shape="triangle", colour="green", motion="grow")
    prompt = Prompt(tag="motion", text="a green triangle grows on pink", include=(claim,), ground="pink")
    assert check(prompt, describe(render(spec))).correct
    changed = replace(spec if change == "ground" else item, **{change: other[change]})
    clip = changed if change == "ground" else replace(spec, objects=(changed,))
    assert not check(prompt, describe(render(clip))).correct


def test_image_to_video_tells_looks_from_motion(seen):
    record, _ = next((r, d) for r, d in seen["i2v"] if len(r.spec.objects) == 1 and r.spec.objects[0].motion == "left")
    item = record.spec.objects[0]
    recoloured = replace(record.spec, objects=(replace(item, colour="red" if item.colour != "red" else "blue"),))
    result = score(record, describe(render(recoloured)))
    assert (result.kept, result.followed, result.verdict.correct) == (False, True, False)
    result = score(record, describe(render(record.spec)[::-1]))
    assert (result.kept, result.followed, result.verdict.correct) == (True, False, False)


def test_overall_is_the_mean_of_tags_not_of_prompts(seen):
    by_tag = {}
    for record, description in seen["t2i"]:
        by_tag.setdefault(record.prompt.tag, []).append(score(record, description))
    nothing = [score(result.record, None) for result in by_tag["colors"][:2]]
    report = summarise([*by_tag["counting"][:6], *nothing])
    assert report.overall == 0.5
    assert report.tags["counting"] == {"num": 6, "correct": 6, "accuracy": 1.0}


def test_a_report_is_about_one_kind(seen):
    with pytest.raises(ValueError, match="one kind of prompts"):
        summarise([score(*seen["t2v"][0]), score(*seen["t2i"][0])])


# --- folders ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["t2v", "t2i"])
def test_a_folder_scores_as_its_clips_do(kind: str, tmp_path: Path):
    records = make_prompts(kind, 12)
    for record in records:
        save_output(tmp_path, record, clip_of(record), fps=6)
    assert {path.suffix for path in tmp_path.iterdir()} == {".png" if kind == "t2i" else ".mp4"}
    assert summarise(score_folder(records, tmp_path)).overall == 1.0


@pytest.mark.parametrize("suffix", [".gif", ".npz"])
def test_other_formats_are_read(suffix: str, tmp_path: Path):
    record = make_prompts("t2v", 1)[0]
    frames, path = clip_of(record), tmp_path / f"00000{suffix}"
    if suffix == ".npz":
        np.savez(path, frames=frames)
    else:
        first, *rest = map(Image.fromarray, frames)
        first.save(path, save_all=True, append_images=rest, duration=160)
    assert find_output(tmp_path, record) == path
    assert read_output(path).shape[1:] == (64, 64, 3)
    assert score_folder([record], tmp_path)[0].verdict.correct


def test_missing_and_broken_outputs_are_wrong_and_listed(tmp_path: Path):
    records = make_prompts("i2v", 4)
    save_output(tmp_path, records[0], clip_of(records[0]), fps=6)
    (tmp_path / "00002.mp4").write_bytes(b"no video")
    (tmp_path / "00003.npz").write_bytes(b"")
    report = summarise(score_folder(records, tmp_path))
    assert report.missing == ["00001", "00002", "00003"]
    assert (report.overall, report.kept, report.followed) == (0.25, 0.25, 0.25)
    assert "missing outputs, counted as wrong: 3 (00001, 00002, 00003)" in table(report)


def test_filling_a_folder_makes_only_what_is_not_there(tmp_path: Path):
    records = make_prompts("t2v", 7)
    asked = []

    def generate(batch) -> list[np.ndarray]:
        asked.append([record.id for record in batch])
        return [clip_of(record) for record in batch]

    fill_folder(records[2:4], generate, tmp_path, batch_size=5)
    fill_folder(records, generate, tmp_path, batch_size=3)
    assert asked == [[2, 3], [0, 1, 4], [5, 6]]
    assert summarise(score_folder(records, tmp_path)).overall == 1.0


def test_evaluation_in_memory_equals_the_folder(tmp_path: Path):
    records = make_prompts("t2v", 7)
    generate = lambda batch: [clip_of(record)[:: -1 if record.id % 2 else 1] for record in batch]  # noqa: E731
    results = evaluate(records, generate, batch_size=3)
    fill_folder(records, generate, tmp_path, batch_size=4)
    assert [r.verdict for r in results] == [r.verdict for r in score_folder(records, tmp_path)]


# --- generation -------------------------------------------------------------------------------------------------------


class FakePipeline:
    """Draws what the prompt's own record shows, and keeps what it was called with."""

    def __init__(self, records: list[Record]) -> None:
        self.defaults = {"width": 64, "height": 64, "fps": 6, "duration": 2}
        self.records = {record.prompt.text: record for record in records}
        self.calls: list[dict] = []

    def settings_for(self, settings: dict) -> Settings:
        return resolve_settings(self.defaults, settings)

    def __call__(self, prompt: list[str], **settings) -> SimpleNamespace:
        self.calls.append(settings)
        clips = [render(self.records[text].spec, num_frames=settings.get("num_frames", 13)) for text in prompt]
        return SimpleNamespace(
            frames=[[Image.fromarray(frame) for frame in clip] for clip in clips], model_calls=[4] * len(clips)
        )


@pytest.mark.parametrize("kind", KINDS)
def test_the_pipeline_is_asked_for_what_each_kind_is(kind: str):
    records = make_prompts(kind, 8)
    pipeline = FakePipeline(records)
    generator = PipelineGenerator(pipeline, seed=100, settings={"guidance_scale": 3.0})
    assert summarise(evaluate(records, generator, batch_size=5)).overall == 1.0
    assert [call["seed"] for call in pipeline.calls] == [list(range(100, 105)), [105, 106, 107]]
    assert all(call["guidance_scale"] == 3.0 for call in pipeline.calls)
    assert all(call.get("num_frames") == (1 if kind == "t2i" else None) for call in pipeline.calls)
    assert all(("image" in call) == (kind == "i2v") for call in pipeline.calls)


def test_a_run_refuses_what_it_cannot_make(tmp_path: Path):
    with pytest.raises(ValueError, match="kinds has 'v2v': choose from t2v"):
        RunConfig(model="m", out=tmp_path, kinds=("v2v",))
    for name, value, least in (("num", 0, 1), ("batch_size", 0, 1), ("seed", -1, 0)):
        with pytest.raises(ValueError, match=f"{name} is {value}; it must be a whole number of at least {least}"):
            RunConfig(**{"model": "m", "out": tmp_path, name: value})


def test_a_run_writes_clips_sheets_and_report_and_resumes(tmp_path: Path, monkeypatch):
    pipeline = FakePipeline([record for kind in ("t2v", "t2i") for record in make_prompts(kind, 7)])
    (tmp_path / "config.json").write_text("{}")
    hashed = [tmp_path / "config.json"]
    files = SimpleNamespace(name="m", model=tmp_path, defaults=pipeline.defaults, paths_to_hash=hashed)
    model = Model(kind=replace(MODEL_KINDS["lumos1"], load=lambda model, todo: pipeline), files=files)
    monkeypatch.setattr("eval.shapes.run.find_model", lambda name, *, how: model)
    config = RunConfig(model="m", out=tmp_path, kinds=("t2v", "t2i"), num=7, batch_size=4)
    reports = run(config)
    assert {kind: report.overall for kind, report in reports.items()} == {"t2v": 1.0, "t2i": 1.0}
    assert json.loads((tmp_path / "report.json").read_text())["t2v"]["num"] == 7
    assert sorted(p.name for p in (tmp_path / "t2i").iterdir() if p.suffix != ".png") == ["prompts.json"]
    assert (tmp_path / "t2v" / "sheet.png").is_file()
    assert not (tmp_path / "t2v" / "wrong.png").exists()
    num_calls = len(pipeline.calls)
    (tmp_path / "t2v" / "00003.mp4").unlink()
    run(config)
    assert [call["seed"] for call in pipeline.calls[num_calls:]] == [[3]]
    with pytest.raises(ValueError, match=r"another run \(seed was 0, is 1\): choose another --out"):
        run(replace(config, seed=1))


# --- commands ---------------------------------------------------------------------------------------------------------


def test_the_commands_write_prompts_and_scores(tmp_path: Path, capsys):
    prompts, clips = tmp_path / "p.json", tmp_path / "clips"
    assert main(["prompts", "--kind", "t2i", "--num", "6", "--out", str(prompts)]) == 0
    for record in load_prompts(prompts)[1:]:
        save_output(clips, record, clip_of(record), fps=6)
    assert main(["score", "--prompts", str(prompts), "--folder", str(clips)]) == 0
    printed = capsys.readouterr().out
    assert "overall (mean of tags)" in printed
    assert "counted as wrong: 1 (00000)" in printed
    assert json.loads((clips / "report.json").read_text())["overall"] == pytest.approx(5 / 6)


def test_a_wrong_folder_ends_in_one_line(tmp_path: Path, capsys):
    prompts = tmp_path / "p.json"
    main(["prompts", "--kind", "t2v", "--num", "1", "--out", str(prompts)])
    assert main(["score", "--prompts", str(prompts), "--folder", str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err.startswith("eval.shapes: error: --folder")
    assert main(["score", "--prompts", str(tmp_path), "--folder", str(tmp_path)]) == 2
    assert f"{tmp_path} is no file" in capsys.readouterr().err
