"""The jobs of the ablations: data, trainings, samplings. Each is done when what it makes is there.

FOLDER/data/{video,eval_video}       clips, as codes of the bundled tokenizer; all runs share them
FOLDER/runs/NAME                     a training
FOLDER/models/NAME                   its model
FOLDER/scores/NAME/POINT.json        its scores, sampled in one way
FOLDER/crossed/NAME.json             its losses under masks of every kind
"""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from eval.ablations.crossed import all_losses
from eval.ablations.plan import BASE, BUNDLED, MASKED, Point, Run, compared_points, runs, swept_points
from eval.ablations.sampling import Scores, chance, sample
from lumos.hub.bundled import bundled
from xllmx.disk.files import write_text
from xllmx.safe.json_text import read_object
from xllmx.settings.config import convert
from xllmx.settings.setting import suggestion

_CLIPS = {"video": (6000, 51), "eval_video": (128, 52)}
"""Folder -> clips of single moving shapes, and their seed."""
_TRAINING_MIN = 35
_PASS_S = (0.025, 0.05)
"""Seconds of a refinement of all frames of a clip, in one branch: of the small models, of the bundled one."""
DATA, CHANCE = "data", "chance"
NUM_PROMPTS = 128
"""Of every sampling."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One thing to do."""

    of: str
    """What it is a part of: a run (`random-1`), the bundled model, `data` or `chance`."""
    what: str
    """It does, in words."""
    made: Path
    """File that is there once it is done."""
    minutes: float
    """It takes, about, on one core (exps/ABLATIONS.md)."""
    do: Callable[[], None]
    """Does it."""
    needs: tuple[Path, ...] = ()
    """Files without which it cannot be done."""

    @property
    def done(self) -> bool:
        """Whether what it makes is there."""
        return self.made.is_file()

    @property
    def ready(self) -> bool:
        """Whether what it needs is there."""
        return all(path.is_file() for path in self.needs)


def jobs(folder: Path, *, seeds: int, num: int = NUM_PROMPTS, only: Sequence[str] = ()) -> list[Job]:
    """Return the jobs in order, done ones included.

    Args:
        folder: holds all that they make.
        seeds: trainings of each variant.
        num: prompts of a sampling.
        only: runs or variants; of the others nothing is returned. Empty: all.

    Raises:
        ValueError: `only` names something else.
    """
    trained = runs(seeds)
    names = {name for run in trained for name in (run.name, run.variant)} | {DATA, CHANCE, BUNDLED}
    for name in only:
        if name not in names:
            raise ValueError(f"--only {name} is no part of the ablations; {suggestion(name, sorted(names))}")
    found = [_chance(folder, num), *_data(folder)]
    for run in trained:
        found += [_training(folder, run), *_samplings(folder, run.name, compared_points(), num)]
        if run.variant in MASKED:
            found.append(_crossed(folder, run))
    for name in (*(run.name for run in trained if run.variant == BASE), BUNDLED):
        found += _samplings(folder, name, swept_points(), num)
    found = list({job.made: job for job in found}.values())  # a point of both comes once, where it came first
    wanted = {*only, *(run.name for run in trained if run.variant in only)}
    if wanted - {CHANCE, BUNDLED}:
        wanted.add(DATA)
    return [job for job in found if not only or job.of in wanted]


def scores_in(folder: Path, name: str) -> dict[Point | None, Scores]:
    """Return the scores of a model that are there, by the way it was sampled; None is chance."""
    found: dict[Point | None, Scores] = {}
    for path in sorted((folder / "scores" / name).glob("*.json")):
        content = read_object(path, remedy="delete it, and give the same command again")
        point = None if content["point"] is None else convert(Point, content["point"], str(path))
        found[point] = convert(Scores, content["scores"], str(path))
    return found


def _data(folder: Path) -> list[Job]:
    """Return the jobs that render and code the clips."""
    found = []
    for name, (num, seed) in _CLIPS.items():
        out = folder / "data" / name
        words = ["pre_tokenize.shapes", "--out", out, "--num", num, "--seed", seed, "--objects", 1]
        words += ["--tags", "motion", "colors", "--tokenizer", BUNDLED]
        what, minutes = f"renders and codes {num} clips", num / 900
        do = partial(_python, words)
        found.append(Job(of=DATA, what=what, made=out / "index.json", minutes=minutes, do=do))
    return found


def _training(folder: Path, run: Run) -> Job:
    """Return the job that trains a run, from its last checkpoint on, and exports its model."""
    out, model = folder / "runs" / run.name, folder / "models" / run.name
    config = bundled() / "configs" / "ablations" / f"{run.variant}.yaml"
    data = [f"task.data.video={folder / 'data' / 'video'}", f"task.eval_data.video={folder / 'data' / 'eval_video'}"]
    given = [f"trainer.run_dir={out}", f"trainer.seed={run.seed}", *data]

    def train() -> None:
        _python(["lumos.cli", "train", "--config", config, *given])
        _python(["lumos.cli", "export", out, model, "--tokenizers", BUNDLED, "--overwrite"])

    what = f"trains configs/ablations/{run.variant}.yaml with seed {run.seed}"
    made = model / "config.json"
    return Job(of=run.name, what=what, made=made, minutes=_TRAINING_MIN, do=train, needs=_clips(folder))


def _clips(folder: Path) -> tuple[Path, ...]:
    """Return the indexes of the clips, of training and held out."""
    return tuple(folder / "data" / name / "index.json" for name in _CLIPS)


def _samplings(folder: Path, name: str, points: Sequence[Point], num: int) -> list[Job]:
    """Return the jobs that sample a model in some ways."""
    model = BUNDLED if name == BUNDLED else str(folder / "models" / name)
    found = []
    for point in points:
        made = folder / "scores" / name / f"{point.name}.json"
        do = partial(_sample, made, model, point, num)
        branches = 1 if point.guidance == 1 else 2
        seconds = num * point.steps * branches * _PASS_S[name == BUNDLED]
        needs = () if name == BUNDLED else (Path(model) / "config.json", Path(model) / "model.safetensors")
        found.append(Job(of=name, what=f"samples {point.name}", made=made, minutes=seconds / 60, do=do, needs=needs))
    return found


def _crossed(folder: Path, run: Run) -> Job:
    """Return the job that measures a run's losses under masks of every kind."""
    made, model, clips = folder / "crossed" / f"{run.name}.json", folder / "models" / run.name, _clips(folder)[1]

    def measure() -> None:
        made.parent.mkdir(parents=True, exist_ok=True)
        write_text(made, all_losses(model, clips.parent))

    needs = (model / "config.json", model / "model.safetensors", clips)
    what = "measures its losses under masks of every kind"
    return Job(of=run.name, what=what, made=made, minutes=0.3, do=measure, needs=needs)


def _chance(folder: Path, num: int) -> Job:
    """Return the job that scores clips of other prompts."""
    made = folder / "scores" / CHANCE / "chance.json"

    def score() -> None:
        _write(made, None, chance(num))

    return Job(of=CHANCE, what="scores clips of other prompts", made=made, minutes=0.3, do=score)


def _sample(made: Path, model: str, point: Point, num: int) -> None:
    _write(made, point, sample(model, point, num=num))


def _write(made: Path, point: Point | None, scores: Scores) -> None:
    made.parent.mkdir(parents=True, exist_ok=True)
    content = {"point": None if point is None else asdict(point), "scores": asdict(scores)}
    write_text(made, json.dumps(content, indent=1) + "\n")


def _python(words: Sequence[object]) -> None:
    """Run a module in a process of its own, which is asked to end when this one is.

    Raises:
        subprocess.CalledProcessError: it ends with another status than 0; it has said why.
    """
    command = [sys.executable, "-m", *map(str, words)]
    process = subprocess.Popen(command)
    try:
        status = process.wait()
    except BaseException:
        process.terminate()  # a training saves after the step in hand
        process.wait()
        raise
    if status:
        raise subprocess.CalledProcessError(status, command)
