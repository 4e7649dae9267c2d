"""Command lines with a word in the place of another: of every program, and of every setting of a training."""

import dataclasses
import re
import typing
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from random import Random

from lumos.cli.training.training_run import RunConfig
from tests.faults.attempt import Attempt, Kind
from tests.faults.forked import ended
from tests.faults.mutations import WORDS, copied
from tests.faults.world import LUMOS, SMALL, TOKENIZE, TRAIN, World, tokenize_words, train_words

_SHAPES = "eval.shapes.__main__"
_MODEL = ("--model", "WORLD/model")
_LIST = ("--prompts", "FOLDER/metadata.jsonl")

PROGRAMS: dict[str, tuple[str, tuple[str, ...]]] = {
    "generate": (LUMOS, ("generate", "--prompt", "a circle", *_MODEL, "--out", "FOLDER/o.mp4", *SMALL)),
    "generate_lumina": (
        LUMOS,
        ("generate", "--prompt", "a circle", "--model", "WORLD/lumina", "--out", "FOLDER/o.mp4", *SMALL),
    ),
    "generate_list": (
        LUMOS,
        ("generate", "--prompt-file", "WORLD/media/prompts.json", *_MODEL, "--out", "FOLDER/out", *SMALL),
    ),
    "generate_dry": (LUMOS, ("generate", "--prompt", "x", *_MODEL, "--dry-run")),
    "generate_again": (
        LUMOS,
        ("generate", "--from-json", "WORLD/out/a.mp4.json", *_MODEL, "--out", "FOLDER/o.mp4"),
    ),
    "train_dry": (
        LUMOS,
        (
            "train",
            "--config",
            "CONFIGS/train/1B_pretrain_image.yaml",
            "--dry-run",
            "--gpus",
            "8",
            "task.model_config=CONFIGS/model/1B.yaml",
        ),
    ),
    "plot": (LUMOS, ("plot", "WORLD/run", "--out", "FOLDER/o.png")),
    "export": (LUMOS, ("export", "WORLD/run", "FOLDER/out")),
    "doctor": (LUMOS, ("doctor", *_MODEL)),
    "tokenize": (TOKENIZE, ()),
    "concat": ("pre_tokenize.concat_record", ("--output_dir", "FOLDER/tokenized")),
    "custom": (
        "eval.custom.__main__",
        ("t2v", "--prompts", "WORLD/media/prompts.json", *_MODEL, "--out", "FOLDER/out", "--dry-run"),
    ),
    "geneval": ("eval.geneval.__main__", (*_LIST, "--short", *_MODEL, "--out", "FOLDER/out", "--dry-run")),
    "check": ("eval.check.__main__", ("geneval", "FOLDER", *_LIST)),
    "report": ("eval.report.__main__", ("geneval", "FOLDER/results.jsonl", "--out", "FOLDER/out")),
    "shapes_prompts": (_SHAPES, ("prompts", "--kind", "t2i", "--num", "3", "--out", "FOLDER/o.json")),
    "shapes_run": (_SHAPES, ("run", *_MODEL, "--kinds", "t2i", "--num", "1", "--out", "FOLDER/out", "--steps", "1")),
    "shapes_look": (_SHAPES, ("look", "WORLD/media/a.png", "--prompt", "a red circle")),
    "shapes_gallery": (_SHAPES, ("gallery", "WORLD/shapes/t2i", "--out", "FOLDER/o.png")),
    "shapes_codec": (_SHAPES, ("codec", *_MODEL, "--num", "1")),
    "shapes_files": ("lumos.shapes.dataset", ("--out", "FOLDER/out", "--num", "2")),
    "shapes_shards": ("pre_tokenize.shapes", ("--out", "FOLDER/out", "--num", "2", "--tokenizer", "WORLD/model")),
    "text_tokenizer": (
        "lumos.tokenizer.text_training",
        ("--out", "FOLDER/o.json", "--num-codes", "5", "--num-captions", "20", "--num-merges", "3"),
    ),
}
"""Commands that end well, by a name."""


def as_it_should_be(name: str, world: World, folder: Path) -> Attempt:
    """Return a command that ends well."""
    module, words = PROGRAMS[name]
    (folder / "metadata.jsonl").write_text(
        '{"tag": "single_object", "include": [{"class": "cow", "count": 1}], "prompt": "a photo of a cow"}\n'
    )
    (folder / "results.jsonl").write_text(
        '{"filename": "o/00000/samples/00000.png", "tag": "counting", "prompt": "two cows", "correct": true, '
        '"reason": "", "metadata": "{}", "details": "[]"}\n'
    )
    if name == "tokenize":
        words = tuple(tokenize_words(world, world.media / "table.csv", folder / "out"))
    if name == "concat":
        copied(world.tokenized, folder)
    places = {"FOLDER": folder, "WORLD": world.folder, "CONFIGS": Path(__file__).resolve().parents[2] / "configs"}
    named = [re.sub("(FOLDER|WORLD|CONFIGS)(?=/|$)", lambda found: str(places[found[0]]), word) for word in words]
    return Attempt(module=module, words=named)


@cache
def options_of(module: str, command: str) -> tuple[str, ...]:
    """Return the options that a program's help names."""
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        words = [command, "--help"] if command else ["--help"]
        status, said = ended(module, words, log=Path(folder) / "log", patience_s=60)
    assert status == 0, said
    found = {name for line in said.splitlines() if line.startswith("  --") for name in re.findall(r"--[\w-]+", line)}
    return tuple(sorted(found - {"--help", "--hf-token"}))


def _kind(name: str) -> Kind:
    def one_word(world: World, folder: Path, rng: Random) -> Attempt:
        attempt = as_it_should_be(name, world, folder)
        words = attempt.words
        command = words[0] if words and not words[0].startswith("-") and "." not in words[0] else ""
        command = "" if attempt.module in ("eval.check.__main__", "eval.report.__main__") else command
        option, word = rng.choice(options_of(attempt.module, command)), rng.choice(WORDS)
        if option in words and rng.random() < 0.1:  # the option alone, its word forgotten
            del words[words.index(option) + 1]
        return Attempt(module=attempt.module, words=[*words, f"{option}={word}"], what=f"{option}={word!r}")

    one_word.__name__ = f"option_of_{name}"
    return one_word


def training_setting(world: World, folder: Path, rng: Random) -> Attempt:
    """A setting of a training is another one."""
    word = f"{rng.choice(list(_settings_of(RunConfig)))}={rng.choice(WORDS)}"
    words = [*train_words(folder / "run", world.clips), word]
    return Attempt(module=TRAIN, words=words, what=word)


def dry_training_setting(world: World, folder: Path, rng: Random) -> Attempt:
    """A setting of a large training that is looked at before it runs is another one."""
    attempt = as_it_should_be("train_dry", world, folder)
    word = f"{rng.choice(list(_settings_of(RunConfig)))}={rng.choice(WORDS)}"
    return Attempt(module=attempt.module, words=[*attempt.words, word], what=word)


def _settings_of(config: type, prefix: str = "") -> Iterator[str]:
    """Yield the keys of a config and of those within it, and one that there is not."""
    types = typing.get_type_hints(config)
    yield f"{prefix}nothing"
    for field in dataclasses.fields(config):
        yield f"{prefix}{field.name}"
        if dataclasses.is_dataclass(types[field.name]):
            yield from _settings_of(types[field.name], f"{prefix}{field.name}.")
    if prefix == "task.":
        yield from ("task.data.image", "task.model.hidden_size", "task.model.vocab", "task.model.num_attention_heads")


OPTION_KINDS: tuple[Kind, ...] = (*map(_kind, PROGRAMS), training_setting, dry_training_setting)
