"""The runner of jobs, with a model that is a few lines: whatever pipeline there is, it asks this much of it."""

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from lumos.cli.jobs.outputs import PlainFolder
from lumos.cli.jobs.pipeline import Pipeline, SettingsFor
from lumos.cli.jobs.runner import Job, Made, Recipe, plan_jobs, run_jobs
from lumos.cli.jobs.workers import Worker
from lumos.hub.hashes import sha256_of
from lumos.media.reading import read_image
from xllmx.settings.setting import SettingError

SIZE = (32, 16)


@dataclass(frozen=True)
class FakeSettings:
    """Height and width differ, and a video has three frames."""

    steps: int
    num_output_frames: int
    width: int = SIZE[0]
    height: int = SIZE[1]
    fps: int = 4

    def to_dict(self) -> dict[str, Any]:
        return {"steps": self.steps, "num_frames": self.num_output_frames}


def settings_for(given: Mapping[str, Any], *, image: Path | Image.Image | None) -> FakeSettings:
    if given.get("steps", 1) < 1:
        raise SettingError("steps", f"is {given['steps']}; it must be at least 1")
    frames = 1 if image is None else 3
    return FakeSettings(steps=given.get("steps", 1), num_output_frames=given.get("num_frames", frames))


@dataclass
class FakeOutput:
    frames: list[list[Image.Image]]
    seeds: list[int]
    model_calls: list[int]


@dataclass
class FakePipeline:
    """Every frame is of one shade: that of its seed and of its batch, so that another batch makes another picture."""

    batches: list[list[str]] = field(default_factory=list)
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def check(self, prompt: str, settings: FakeSettings) -> None:
        if len(prompt) > 20:
            raise ValueError(f"the prompt has {len(prompt)} letters; shorten it")

    def __call__(
        self,
        prompt: Sequence[str],
        *,
        image: Sequence[Path | None],
        negative_prompt: Sequence[str | None],
        seed: Sequence[int],
        callback: Callable[..., None] | None,
        **settings: Any,
    ) -> FakeOutput:
        self.batches.append(list(prompt))
        number = settings_for(settings, image=image[0]).num_output_frames
        shades = [(one * 16 + len("".join(prompt))) % 256 for one in seed]
        if callback is not None:
            callback(0, shades)
        frames = [[Image.new("RGB", SIZE, (shade, 0, 0))] * number for shade in shades]
        return FakeOutput(frames=frames, seeds=list(seed), model_calls=[7] * len(prompt))


RECIPE = Recipe(given={"steps": 2}, settings_for=settings_for, model={"model": "fake", "model_hash": "0", "dtype": "f"})


@dataclass(frozen=True)
class ScorerFolder(PlainFolder):
    """Records apart, and nothing but outputs."""

    holds_only_outputs = True

    def recorded(self, name: str) -> Path:
        return self.path.with_name("records") / name


def jobs_of(number: int, **more: Any) -> list[Job]:
    return [Job(name=f"{n}.png", prompt=f"shape {'x' * n}", seed=n, **more) for n in range(number)]


def made_by(
    jobs: Sequence[Job], folder: PlainFolder, recipe: Recipe = RECIPE, **more: Any
) -> tuple[list[Made], FakePipeline]:
    pipeline = FakePipeline()
    return list(run_jobs(plan_jobs(jobs, folder, recipe, **more), lambda: pipeline)), pipeline


def pictures(folder: Path) -> dict[str, bytes]:
    return {path.name: read_image(path).tobytes() for path in folder.glob("*.png")}


def test_the_fake_is_a_pipeline() -> None:
    assert isinstance(FakePipeline(), Pipeline)
    assert isinstance(settings_for, SettingsFor)


def test_a_record_says_how_its_output_was_made(tmp_path: Path) -> None:
    Image.new("RGB", SIZE).save(tmp_path / "start.png")
    job = Job(name="clip.gif", prompt="it moves", image=tmp_path / "start.png", seed=3, notes={"index": 4})
    (made,), _ = made_by([job], PlainFolder(tmp_path / "o"))
    assert (made.output, made.seed, made.replaced) == (tmp_path / "o" / "clip.gif", 3, False)
    record = json.loads((tmp_path / "o" / "clip.gif.json").read_text())
    wanted = "prompt then negative_prompt image image_hash seed settings model model_hash dtype"
    made_as = "device code num_frames model_calls seconds output output_hash index"
    assert " ".join(record) == f"{wanted} {made_as}"
    assert (record["num_frames"], record["model_calls"], record["output"], record["index"]) == (3, 7, "clip.gif", 4)
    assert record["settings"] == {"steps": 2, "num_frames": 3}
    kept = tmp_path / "o" / record["image"]
    assert kept.read_bytes() == (tmp_path / "start.png").read_bytes()
    assert sorted(path.name for path in (tmp_path / "o").iterdir()) == ["clip.gif", "clip.gif.json", kept.name]


@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_any_number_of_workers_makes_the_same_files_each_once(tmp_path: Path, batch_size: int) -> None:
    made_by(jobs_of(7), PlainFolder(tmp_path / "one"), batch_size=batch_size)
    prompts: list[str] = []
    for index in range(4):
        worker = Worker(index=index, count=4)
        _, pipeline = made_by(jobs_of(7), PlainFolder(tmp_path / "four"), batch_size=batch_size, worker=worker)
        prompts += [prompt for batch in pipeline.batches for prompt in batch]
    assert sorted(prompts) == sorted(job.prompt for job in jobs_of(7))
    assert pictures(tmp_path / "four") == pictures(tmp_path / "one")
    assert len(pictures(tmp_path / "one")) == 7


def test_a_batch_of_which_something_is_missing_is_made_whole_and_gives_the_same(tmp_path: Path) -> None:
    folder = PlainFolder(tmp_path / "o")
    made_by(jobs_of(6), folder, batch_size=3)
    whole, before = pictures(folder.path), (folder.path / "3.png").stat().st_mtime_ns
    (folder.path / "4.png").unlink()
    made, pipeline = made_by(jobs_of(6), folder, batch_size=3)
    assert [one.output.name for one in made] == ["4.png"]
    assert pipeline.batches == [[job.prompt for job in jobs_of(6)[3:]]]
    assert pictures(folder.path) == whole
    assert (folder.path / "3.png").stat().st_mtime_ns == before


def test_nothing_is_loaded_for_a_finished_list_nor_written_by_a_plan(tmp_path: Path) -> None:
    folder = PlainFolder(tmp_path / "o")
    plan = plan_jobs(jobs_of(2), folder, RECIPE)
    assert ([one.job.name for one in plan.missing], plan.finished) == (["0.png", "1.png"], [])
    assert not (tmp_path / "o").exists()
    made_by(jobs_of(2), folder)
    plan = plan_jobs(jobs_of(2), folder, RECIPE)
    assert [(one.output.name, one.seed) for one in plan.finished] == [("0.png", 0), ("1.png", 1)]

    def load() -> FakePipeline:
        raise AssertionError("the list is finished")

    assert list(run_jobs(plan, load)) == []


def test_an_open_seed_is_drawn_once_and_then_kept(tmp_path: Path) -> None:
    folder = PlainFolder(tmp_path / "o")
    jobs = [replace(job, seed=None) for job in jobs_of(2)]
    drawn = {one.output.name: one.seed for one in made_by(jobs, folder, batch_size=2)[0]}
    assert drawn["0.png"] != drawn["1.png"]
    assert {one.output.name: one.seed for one in plan_jobs(jobs, folder, RECIPE).finished} == drawn
    before = pictures(folder.path)
    (folder.path / "1.png").unlink()
    made_by(jobs, folder, batch_size=2)  # the first one's place in the batch is taken with its own seed
    assert pictures(folder.path)["0.png"] == before["0.png"]


def test_an_output_made_otherwise_is_kept_unless_it_may_be_replaced(tmp_path: Path) -> None:
    folder = PlainFolder(tmp_path / "o")
    made_by(jobs_of(2), folder)
    other = replace(RECIPE, given={"steps": 3})
    with pytest.raises(ValueError, match=r"0.png is there already, and it was made otherwise \(steps: 2 -> 3\); use"):
        plan_jobs(jobs_of(2), folder, other)
    made, _ = made_by(jobs_of(2), folder, other, overwrite=True)
    assert [one.replaced for one in made] == [True, True]


@pytest.mark.parametrize("kind", [PlainFolder, ScorerFolder])
@pytest.mark.parametrize("harm", ["file", "record"])
def test_a_damaged_output_is_made_again_where_nobody_else_keeps_files(
    tmp_path: Path, kind: Callable[[Path], PlainFolder], harm: str
) -> None:
    folder = kind(tmp_path / "o")
    made_by(jobs_of(2), folder)
    before = pictures(folder.path)
    record = folder.recorded("1.png").with_name("1.png.json")
    (folder.path / "1.png" if harm == "file" else record).write_bytes(b"cut")
    if folder.holds_only_outputs:
        made, _ = made_by(jobs_of(2), folder)
        assert [(one.output.name, one.replaced) for one in made] == [("1.png", True)]
    else:
        with pytest.raises(ValueError, match=r"not the file its record speaks of|is not valid JSON.*use --overwrite"):
            plan_jobs(jobs_of(2), folder, RECIPE)
        made_by(jobs_of(2), folder, overwrite=True)
    assert pictures(folder.path) == before


def test_records_lie_where_the_folder_says(tmp_path: Path) -> None:
    made_by(jobs_of(2), ScorerFolder(tmp_path / "o"))
    assert sorted(path.name for path in (tmp_path / "o").iterdir()) == ["0.png", "1.png"]
    assert sorted(path.name for path in (tmp_path / "records").iterdir()) == ["0.png.json", "1.png.json"]


@pytest.mark.parametrize(
    ("jobs", "given", "message"),
    [
        ([Job(name="a.mp4", prompt="a"), Job(name="a.mp4", prompt="b")], {}, "two prompts would go to a.mp4"),
        (
            [Job(name="a.avi", prompt="a")],
            {},
            "a.avi is of no known format; its name must end in mp4, webm, gif, png, jpg",
        ),
        ([Job(name="a.png", prompt="a")], {"num_frames": 3}, "a.png is to hold 3 frames; use mp4, webm or gif"),
        ([Job(name="a.jpg", prompt="a")], {"num_frames": 3}, "a.jpg is to hold 3 frames; use mp4, webm or gif"),
        ([Job(name="a.png", prompt="a"), Job(name="b.png", prompt="b", seed=-1)], {}, r"prompt 2 of 2 \('b'\): seed"),
        (jobs_of(3), {"steps": 0}, "^steps is 0; it must be at least 1$"),
    ],
)
def test_a_job_that_cannot_be_done_is_found_before_a_model_is_loaded(
    tmp_path: Path, jobs: list[Job], given: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        plan_jobs(jobs, PlainFolder(tmp_path), replace(RECIPE, given=given))


def test_a_prompt_that_the_model_does_not_take_is_named_before_anything_is_made(tmp_path: Path) -> None:
    jobs = [*jobs_of(2), Job(name="long.png", prompt="a shape and " * 9)]
    plan, pipeline = plan_jobs(jobs, PlainFolder(tmp_path / "o"), RECIPE), FakePipeline()
    with pytest.raises(ValueError, match=r"prompt 3 of 3 \('a shape and .*\.\.\.'\): the prompt has 108 letters"):
        list(run_jobs(plan, lambda: pipeline))
    assert pipeline.batches == []
    assert not (tmp_path / "o").exists()


def test_progress_within_a_batch_is_the_pipeline_s_own(tmp_path: Path) -> None:
    seen: list[Any] = []
    plan = plan_jobs(jobs_of(3), PlainFolder(tmp_path), RECIPE, batch_size=2)
    list(run_jobs(plan, FakePipeline, on_frame=lambda index, shades: seen.append((index, len(shades)))))
    assert seen == [(0, 2), (0, 1)]


def test_an_interrupt_leaves_whole_outputs_and_no_staging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = PlainFolder(tmp_path / "o")
    making = run_jobs(plan_jobs(jobs_of(3), folder, RECIPE), FakePipeline)
    next(making)
    making.close()
    assert sorted(path.name for path in folder.path.iterdir()) == ["0.png", "0.png.json"]
    assert [one.output.name for one in made_by(jobs_of(3), folder)[0]] == ["1.png", "2.png"]
    assert np.array_equal(read_image(folder.path / "2.png")[0, 0], [2 * 16 + len("shape xx"), 0, 0])


KILLED = """
import os, sys
from pathlib import Path
from lumos.cli.jobs import runner
from tests.lumos.cli.jobs.test_runner import RECIPE, FakePipeline, PlainFolder, jobs_of, replace
move, left = runner.move, [int(sys.argv[2])]
def counted(made, place):
    left[0] -= 1
    if left[0] < 0: os.kill(os.getpid(), 9)
    move(made, place)
runner.move = counted
runner.OutputFolder, folder = None, PlainFolder(Path(sys.argv[1]))
type(folder).put = lambda self, name, made: (counted(made, self.path / name), self.path / name)[1]
recipe = replace(RECIPE, given={"steps": int(sys.argv[3])})
list(runner.run_jobs(runner.plan_jobs(jobs_of(1), folder, recipe, overwrite=True), FakePipeline))
"""


@pytest.mark.parametrize("renames", [0, 1, 2])
@pytest.mark.parametrize("before", [False, True])
def test_a_kill_between_the_two_renames_is_mended_by_the_next_run(
    tmp_path: Path, repo: Path, renames: int, before: bool
) -> None:
    """Nowhere a file beside a record of another one, and the same command makes what is missing."""
    folder = PlainFolder(tmp_path / "o")
    if before:
        made_by(jobs_of(1), folder)
    command = [sys.executable, "-c", KILLED, str(folder.path), str(renames), "3"]
    ended = subprocess.run(command, cwd=repo, env={**os.environ, "PYTHONPATH": str(repo)}, check=False)
    assert ended.returncode == (0 if renames == 2 else -9)
    if (folder.path / "0.png").exists():
        record = json.loads((folder.path / "0.png.json").read_text())
        assert record["output_hash"] == sha256_of(folder.path / "0.png")
    recipe = replace(RECIPE, given={"steps": 3})
    made_by(jobs_of(1), folder, recipe, overwrite=True)
    assert sorted(path.name for path in folder.path.iterdir()) == ["0.png", "0.png.json"]
    assert [one.seed for one in plan_jobs(jobs_of(1), folder, recipe).finished] == [0]


def test_what_another_process_made_in_the_meantime_is_kept(tmp_path: Path) -> None:
    folder = PlainFolder(tmp_path / "o")
    ours, theirs = (plan_jobs([replace(jobs_of(1)[0], seed=seed)], folder, RECIPE) for seed in (1, 2))
    same = plan_jobs([replace(jobs_of(1)[0], seed=2)], folder, RECIPE)
    names = [one.output.name for plan in (theirs, ours, same) for one in run_jobs(plan, FakePipeline)]
    assert names == ["0.png", "0-2.png", "0.png"]
    for name, seed in (("0.png", 2), ("0-2.png", 1)):
        record = json.loads((folder.path / f"{name}.json").read_text())
        assert (record["seed"], record["output"]) == (seed, name)
        assert record["output_hash"] == sha256_of(folder.path / name)


def test_a_record_that_tells_how_another_output_was_made_is_kept(tmp_path: Path) -> None:
    folder = PlainFolder(tmp_path / "o")
    made_by(jobs_of(1), folder)
    (folder.path / "0.png").unlink()
    other = replace(RECIPE, given={"steps": 3})
    with pytest.raises(ValueError, match=r"0.png.json tells how another output was made \(steps: 2 -> 3\); use"):
        plan_jobs(jobs_of(1), folder, other)
    made_by(jobs_of(1), folder, other, overwrite=True)
    assert json.loads((folder.path / "0.png.json").read_text())["settings"]["steps"] == 3


def test_all_outputs_that_are_there_are_named_at_once(tmp_path: Path) -> None:
    made_by(jobs_of(5), PlainFolder(tmp_path / "o"))
    with pytest.raises(ValueError, match=r"0.png is there.*1.png is there.*2.png is there.*; and 2 more outputs are"):
        plan_jobs(jobs_of(5), PlainFolder(tmp_path / "o"), replace(RECIPE, given={"steps": 3}))


def test_a_full_disk_costs_the_outputs_that_do_not_fit_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = Image.Image.save

    def full(image: Image.Image, place: Path, **options: Any) -> None:
        if image.getpixel((0, 0))[0] == 16 + len("shape shape xshape xx"):  # that of seed 1
            Path(place).write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        save(image, place, **options)

    monkeypatch.setattr(Image.Image, "save", full)
    folder = PlainFolder(tmp_path / "o")
    with pytest.raises(ValueError, match=r"cannot write .*: No space left on device; free some space"):
        made_by(jobs_of(3), folder, batch_size=3)
    assert sorted(path.name for path in folder.path.glob("*.png")) == ["0.png", "2.png"]
    assert not list(folder.path.glob(".*"))
    monkeypatch.undo()
    assert [one.output.name for one in made_by(jobs_of(3), folder, batch_size=3)[0]] == ["1.png"]
