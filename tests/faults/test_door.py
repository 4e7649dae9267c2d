"""Whatever a file is that a command is given: no traceback, no silence about what is broken, one line, in no time."""

import dataclasses
import json
import random
import shutil
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from eval.check.__main__ import main as check
from eval.custom.__main__ import main as custom
from eval.geneval.__main__ import main as geneval
from eval.report.__main__ import main as report
from eval.shapes.__main__ import main as shapes
from eval.shapes.prompts import make_prompts
from eval.vbench.i2v import main as vbench_i2v
from eval.vbench.t2v import main as vbench
from lumos.cli.commands import main as lumos
from lumos.cli.training.training_run import main as train
from pre_tokenize.__main__ import main as pre_tokenize
from tests.faults.malformed import Case, broken_csv, broken_files, broken_json, broken_yaml, odd_json

SEED = 16
NUM_ODD = 12
LONGEST_S = 20

Main = Callable[[Sequence[str]], int]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """One place where a file enters."""

    main: Main
    words: tuple[str, ...]
    """Its command line; FILE stands for the file, FOLDER for its folder."""
    file: str
    """Name of the file."""
    valid: Any
    """What it should hold: a tree for JSON, text otherwise."""
    statuses: tuple[int, ...] = (0, 1, 2)
    """What an odd file may lead to."""


RECORD = {"prompt": "a cow", "prompt_rewrite_x": "a brown cow", "seed": 3, "name": "cow", "negative_prompt": "blur"}
METADATA = {
    "tag": "counting",
    "include": [{"class": "cow", "count": 2}],
    "exclude": [{"class": "cow", "count": 3}],
    "prompt": "two cows",
}
FULL_INFO = [{"prompt_en": "a cow walks", "dimension": ["subject_consistency", "color"]}]
RESULT = {
    "filename": "o/00000/samples/00000.png",
    "tag": "counting",
    "prompt": "two cows",
    "correct": True,
    "reason": "",
    "metadata": json.dumps(METADATA),
    "details": "[]",
}
ROW = {"kind": "train", "step": 3, "loss": 2.5, "video/loss": 2.5, "lr": 0.1}
SETTINGS = "trainer:\n  run_dir: RUN\n  max_steps: 1\n  device: cpu\ntask:\n  data: {video: nowhere}\n"
DATA = "META:\n  - {path: clips, ratio: 1.0}\n"
DEBUG = (
    "--config",
    "configs/train/debug.yaml",
    "trainer.run_dir=FOLDER/run",
    "trainer.max_steps=1",
    "trainer.progress=false",
    "trainer.device=cpu",
)

PROMPT_FILE = ("generate", "--prompt-file", "FILE", "--dry-run")
LIST = ("--prompts", "FILE", "--short", "--dry-run", "--out", "FOLDER/o")
SHAPES = [json.loads(json.dumps(one.to_dict())) for one in make_prompts("t2i", 2)]

ENTRIES = {
    "prompts.json": Entry(main=lumos, words=PROMPT_FILE, file="p.json", valid=[RECORD, "a bird"]),
    "prompts.jsonl": Entry(main=lumos, words=PROMPT_FILE, file="p.jsonl", valid=RECORD),
    "captions.json": Entry(
        main=custom,
        words=("t2v", "--prompts", "FILE", "--dry-run", "--out", "FOLDER/o"),
        file="p.json",
        valid={"a.mp4": "a cow walks"},
    ),
    "geneval": Entry(main=geneval, words=LIST, file="p.jsonl", valid=METADATA),
    "long prompts": Entry(
        main=geneval,
        words=("--prompts", "FOLDER/valid.jsonl", "--long", "FILE", "--dry-run", "--out", "FOLDER/o"),
        file="l.json",
        valid={"two cows": "two brown cows"},
    ),
    "vbench": Entry(main=vbench, words=LIST, file="p.json", valid=FULL_INFO),
    "vbench_i2v": Entry(
        main=vbench_i2v,
        words=(*LIST, "--images", "FOLDER"),
        file="p.json",
        valid=[{**FULL_INFO[0], "image_name": "a.png"}],
    ),
    "check": Entry(main=check, words=("geneval", "FOLDER", "--prompts", "FILE"), file="p.jsonl", valid=METADATA),
    "geneval results": Entry(
        main=report, words=("geneval", "FILE", "--out", "FOLDER/r"), file="results.jsonl", valid=RESULT
    ),
    "vbench results": Entry(
        main=report,
        words=("vbench", "FILE", "--out", "FOLDER/r"),
        file="a_eval_results.json",
        valid={"color": [0.5, []], "scene": [0.25, []]},
    ),
    "shapes prompts": Entry(
        main=shapes, words=("score", "--prompts", "FILE", "--folder", "FOLDER"), file="p.json", valid=SHAPES
    ),
    "metrics": Entry(main=lumos, words=("plot", "FOLDER"), file="metrics.jsonl", valid=ROW),
    "settings": Entry(main=train, words=("--config", "FILE"), file="s.yaml", valid=SETTINGS),
    "data YAML": Entry(main=train, words=(*DEBUG, "task.data.video=FILE"), file="d.yaml", valid=DATA),
    "index of clips": Entry(
        main=train,
        words=(*DEBUG, "task.data.video=FILE"),
        file="index.json",
        valid={
            "format": "lumos-clips",
            "version": 1,
            "num_clips": 9,
            "shards": [{"file": "a.parquet", "num_clips": 9}],
        },
    ),
    "table": Entry(
        main=pre_tokenize,
        words=("--input_file", "FILE", "--output_dir", "FOLDER/o", "--modality", "image", "--target_size", "64"),
        file="t.csv",
        valid="path,text\na.png,a cow\n",
    ),
}


def cases_of(entry: Entry, rng: random.Random) -> Iterator[Case]:
    """The malformed files of an entry."""
    tree = not isinstance(entry.valid, str)
    valid = json.dumps(entry.valid).encode() if tree else entry.valid.encode()
    yield from broken_files(valid, rng)
    if tree:
        yield from broken_json(valid, rng)
        yield from odd_json(entry.valid, rng, NUM_ODD, dump=lambda tree: json.dumps(tree).encode())
    elif entry.file.endswith(".csv"):
        yield from broken_csv(valid, rng)
    else:
        yield from broken_yaml(valid, rng)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ENTRIES)
def test_a_malformed_file_is_one_line(
    name: str, tmp_path: Path, repo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(repo)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    wrong = []
    for number, case in enumerate(cases_of(ENTRIES[name], random.Random(f"{SEED} {name}"))):
        if fault := fault_of(ENTRIES[name], case, tmp_path / str(number), capsys):
            wrong.append(f"{case.name}: {fault}")
    assert wrong == []


def fault_of(entry: Entry, case: Case, folder: Path, capsys: pytest.CaptureFixture[str]) -> str | None:
    """What a command does wrong that is given such a file; None where it does all right."""
    folder.mkdir()
    (folder / "valid.jsonl").write_text(json.dumps(METADATA))
    case.put(folder / entry.file)
    words = [word.replace("FILE", str(folder / entry.file)).replace("FOLDER", str(folder)) for word in entry.words]
    start = time.monotonic()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            status = entry.main(words)
        except BaseException as error:
            return f"{type(error).__name__} {error}"
    took, said = time.monotonic() - start, capsys.readouterr().err
    last = said.strip().split("\n")[-1]
    if took > LONGEST_S:
        return f"{took:.0f} s"
    if status not in entry.statuses or (case.broken and status == 0):
        return f"status {status}: {last}"
    if status == 2 and (said.count("\n") != 1 or ": error: " not in said or len(said) > 2000):
        return f"said: {said[:2000]}"
    shutil.rmtree(folder)
    return None
