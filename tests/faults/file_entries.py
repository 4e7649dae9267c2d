"""Every place where a file of text enters: what it should hold, and the command that reads it."""

import json
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from eval.shapes.prompts import make_prompts
from tests.faults.attempt import Attempt, Kind
from tests.faults.mutations import damage
from tests.faults.world import LUMOS, PRESET, TOKENIZE, TRAIN, World


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One place where a file enters."""

    module: str
    """The program that reads it."""
    words: tuple[str, ...]
    """Its command line; FILE stands for the file, FOLDER for its folder."""
    file: str
    """Name of the file."""
    valid: Any
    """What it should hold: a tree for JSON, a list of them for JSON lines, text otherwise."""
    done: bool = True
    """Whether the command succeeds with it as it should be."""


RECORD = {"prompt": "a cow", "seed": 3, "name": "cow", "negative_prompt": "blur"}
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
INDEX = {"format": "lumos-clips", "version": 1, "num_clips": 9, "shards": [{"file": "a.parquet", "num_clips": 9}]}
DEBUG = (
    "--config",
    str(Path(__file__).resolve().parents[2] / "configs/train/debug.yaml"),
    "trainer.run_dir=FOLDER/run",
    "trainer.max_steps=1",
    "trainer.progress=false",
    "trainer.device=cpu",
)
LIST = ("--prompts", "FILE", "--short", "--dry-run", "--out", "FOLDER/o")
SHAPES = [json.loads(json.dumps(one.to_dict())) for one in make_prompts("t2i", 2)]
PROMPT_FILE = ("generate", "--prompt-file", "FILE", "--dry-run")
SAMPLING = ("generate", "--prompt", "x", "--model", "LUMINA", "--preset", "FILE", "--dry-run", "--gpu", "H200")

ENTRIES = {
    "prompts.json": Entry(module=LUMOS, words=PROMPT_FILE, file="p.json", valid=[RECORD, "a bird"]),
    "prompts.jsonl": Entry(module=LUMOS, words=PROMPT_FILE, file="p.jsonl", valid=[RECORD, "a bird"]),
    "prompts.txt": Entry(module=LUMOS, words=PROMPT_FILE, file="p.txt", valid="a cow\na bird\n"),
    "captions.json": Entry(
        module="eval.custom.__main__",
        words=("t2v", "--prompts", "FILE", "--dry-run", "--out", "FOLDER/o"),
        file="p.json",
        valid={"a.mp4": "a cow walks"},
    ),
    "geneval": Entry(module="eval.geneval.__main__", words=LIST, file="p.jsonl", valid=[METADATA]),
    "long prompts": Entry(
        module="eval.geneval.__main__",
        words=("--prompts", "FOLDER/valid.jsonl", "--long", "FILE", "--dry-run", "--out", "FOLDER/o"),
        file="l.json",
        valid={"two cows": "two brown cows"},
    ),
    "vbench": Entry(module="eval.vbench.t2v", words=LIST, file="p.json", valid=FULL_INFO),
    "vbench_i2v": Entry(
        module="eval.vbench.i2v",
        words=(*LIST, "--images", "FOLDER"),
        file="p.json",
        valid=[{**FULL_INFO[0], "image_name": "a.png"}],
        done=False,
    ),
    "check": Entry(
        module="eval.check.__main__",
        words=("geneval", "FOLDER", "--prompts", "FILE"),
        file="p.jsonl",
        valid=[METADATA],
        done=False,
    ),
    "geneval results": Entry(
        module="eval.report.__main__",
        words=("geneval", "FILE", "--out", "FOLDER/r"),
        file="results.jsonl",
        valid=[RESULT],
    ),
    "vbench results": Entry(
        module="eval.report.__main__",
        words=("vbench", "FILE", "--out", "FOLDER/r"),
        file="a_eval_results.json",
        valid={"color": [0.5, []], "scene": [0.25, []]},
        done=False,
    ),
    "shapes prompts": Entry(
        module="eval.shapes.__main__",
        words=("score", "--prompts", "FILE", "--folder", "FOLDER"),
        file="p.json",
        valid=SHAPES,
        done=False,
    ),
    "metrics": Entry(module=LUMOS, words=("plot", "FOLDER"), file="metrics.jsonl", valid=[ROW, {**ROW, "step": 4}]),
    "settings": Entry(module=TRAIN, words=("--config", "FILE"), file="s.yaml", valid=SETTINGS, done=False),
    "data YAML": Entry(module=TRAIN, words=(*DEBUG, "task.data.video=FILE"), file="d.yaml", valid=DATA, done=False),
    "index of clips": Entry(
        module=TRAIN, words=(*DEBUG, "task.data.video=FILE"), file="index.json", valid=INDEX, done=False
    ),
    "table": Entry(
        module=TOKENIZE,
        words=("--input_file", "FILE", "--output_dir", "FOLDER/o", "--modality", "image", "--target_size", "64"),
        file="t.csv",
        valid="path,text\na.png,a cow\n",
        done=False,
    ),
    "preset.json": Entry(module=LUMOS, words=SAMPLING, file="preset.json", valid=PRESET),
    "preset.yaml": Entry(module=LUMOS, words=SAMPLING, file="preset.yaml", valid=json.dumps(PRESET) + "\n"),
}


def as_it_should_be(entry: Entry, world: World, folder: Path) -> Attempt:
    """Return the command with a valid file."""
    (folder / "valid.jsonl").write_text(json.dumps(METADATA))
    path, valid = folder / entry.file, entry.valid
    if entry.file.endswith(".jsonl"):
        path.write_text("".join(json.dumps(row) + "\n" for row in valid))
    else:
        path.write_text(valid if isinstance(valid, str) else json.dumps(valid))
    names = {"FILE": str(path), "FOLDER": str(folder), "LUMINA": str(world.lumina)}
    words = []
    for word in entry.words:
        for name, place in names.items():
            word = word.replace(name, place)
        words.append(word)
    return Attempt(module=entry.module, words=words)


def _kind(name: str) -> Kind:
    def damaged_file(world: World, folder: Path, rng: Random) -> Attempt:
        entry = ENTRIES[name]
        attempt = as_it_should_be(entry, world, folder)
        done = damage(folder / entry.file, rng)
        return Attempt(module=attempt.module, words=attempt.words, broken=done.broken, what=f"{name}: {done.name}")

    damaged_file.__name__ = name.replace(" ", "_")
    return damaged_file


FILE_KINDS: tuple[Kind, ...] = tuple(map(_kind, ENTRIES))
