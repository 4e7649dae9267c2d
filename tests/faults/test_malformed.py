"""Malformed inputs of every kind: each is one line that says what to mend, or is done; none a traceback, none a hang.

LUMOS_FAULTS_SEED is another campaign, LUMOS_FAULTS_INPUTS its length.
"""

import json
import os
import random
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from lumos.media.writing import write_image, write_video
from tests.faults.forked import start
from tests.faults.mutations import WORDS, damaged, retyped, rewritten, written
from tests.lumos.lumina_video.tiny import tiny_lumina_folder
from tests.model_folder import make_model_folder
from tests.tiny_data import MODEL, VOCAB, make_clip, write_clips

SEED = int(os.environ.get("LUMOS_FAULTS_SEED", "0"))
INPUTS = int(os.environ.get("LUMOS_FAULTS_INPUTS", "300"))
PATIENCE_S = 60.0
"""On a busy machine; idle, the slowest takes some seconds."""
STATUSES = (0, 1, 2)
"""Done, a check failed, the user can mend it. 70 would be something nobody foresaw."""
MOST_CHARACTERS = 1500
"""Of what is said about a mistake."""


@dataclass(frozen=True, kw_only=True)
class World:
    """Valid inputs of all kinds, of which each case takes a copy."""

    model: Path
    """Lumos-1."""
    lumina: Path
    """Lumina-Video."""
    clips: Path
    """Shards."""
    run: Path
    """A training run with a checkpoint."""
    output: Path
    """A generated video with its record."""
    media: Path
    """A CSV, pictures and a video."""


Command = tuple[str, list[str]]
"""A module and its words."""
Case = Callable[[World, Path, random.Random], Command]
"""Copies what it needs into a folder, does damage to it, and says what is to be run."""

LUMOS = "lumos.cli"
_SMALL = ["--steps", "2", "--seed", "1"]


def _train_words(run: Path, clips: Path) -> list[str]:
    trainer = {"run_dir": str(run), "max_steps": 2, "device": "cpu", "precision": "fp32", "progress": False,
               "batch_size": {"image": 2}}  # fmt: skip
    task = {"data": {"image": str(clips)}, "model": {**MODEL, "vocab": VOCAB}}
    groups = {"trainer": trainer, "task": task}
    return [f"{group}.{key}={json.dumps(value)}" for group, keys in groups.items() for key, value in keys.items()]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Valid inputs of all kinds."""
    folder = tmp_path_factory.mktemp("world")
    media, rng = folder / "media", np.random.default_rng(0)
    media.mkdir()
    write_image(media / "a.png", rng.integers(0, 256, (64, 64, 3), dtype=np.uint8))
    write_image(media / "b.jpg", rng.integers(0, 256, (64, 96, 3), dtype=np.uint8))
    write_video(media / "c.mp4", rng.integers(0, 256, (12, 64, 64, 3), dtype=np.uint8), fps=4)
    (media / "table.csv").write_text('path,text\na.png,"a, picture"\nb.jpg,another\nc.mp4,a video\n')
    made = World(
        model=make_model_folder(folder / "model"),
        lumina=tiny_lumina_folder(folder / "lumina"),
        clips=write_clips(folder / "clips", num_latent=1),
        run=folder / "run",
        output=folder / "out" / "a.mp4",
        media=media,
    )
    log = folder / "log"
    generate = ["generate", "--prompt", "a red circle", "--model", str(made.model), "--out", str(made.output), *_SMALL]
    for module, words in ((LUMOS, generate), ("lumos.cli.training.training_run", _train_words(made.run, made.clips))):
        process = start(module, words, log=log)
        process.join(PATIENCE_S)
        assert process.exitcode == 0, log.read_text()
    return made


def _copied(source: Path, folder: Path) -> Path:
    target = folder / source.name
    shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
    return target


def _hurt(path: Path, rng: random.Random) -> None:
    """Damage a file in the way its kind is damaged."""
    if path.suffix in (".json", ".index") and rng.random() < 0.75:
        text = written(retyped(json.loads(path.read_text()), rng))
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
    elif path.suffix in (".json", ".jsonl", ".csv", ".yaml", ".txt", ".index"):
        path.write_bytes(rewritten(path.read_text(), rng))
    else:
        path.write_bytes(damaged(path.read_bytes(), rng))


def _any_file(folder: Path, rng: random.Random) -> Path:
    return rng.choice(sorted(path for path in folder.rglob("*") if path.is_file()))


def generate_option(world: World, folder: Path, rng: random.Random) -> Command:
    """A value of an option is another one."""
    model = rng.choice((world.model, world.lumina))
    options = ["--width", "--height", "--fps", "--duration", "--guidance-scale", "--steps", "--batch-size", "--seed",
               "--device", "--dtype", "--num-frames", "--resolution", "--format", "--prompt", "--negative-prompt",
               "--out", "--image", "--lora", "--motion", "--preset", "--top-k", "--temperature", "--entropy-bound",
               "--mask-history-ratio", "--guidance-tolerance", "--later-steps", "--from-json", "--prompt-file",
               "--confidence-temperature", "--model", "--gpu", "--weights"]  # fmt: skip
    given = {"--prompt": "a red circle", "--model": str(model), "--out": str(folder / "out"), "--steps": "2"}
    given[rng.choice(options)] = rng.choice(WORDS)
    return LUMOS, ["generate", *(f"{name}={value}" for name, value in given.items())]


def prompt_list(world: World, folder: Path, rng: random.Random) -> Command:
    """A list of prompts is not what it should be."""
    content = [{"prompt": "a red circle", "seed": 3, "name": "a"}, {"prompt": "two", "negative_prompt": "x"}, "three"]
    suffix = rng.choice((".json", ".jsonl", ".txt"))
    path = folder / f"list{suffix}"
    path.write_text(json.dumps(content) if suffix == ".json" else "\n".join(map(json.dumps, content)))
    _hurt(path, rng)
    words = ["--model", str(world.model), "--out", str(folder / "out"), *_SMALL]
    if rng.random() < 0.5:
        return LUMOS, ["generate", "--prompt-file", str(path), *words]
    return "eval.custom.__main__", ["t2v", "--prompts", str(path), *words[:4], "num_inference_steps=1"]


def record(world: World, folder: Path, rng: random.Random) -> Command:
    """A record is not what it was."""
    for path in world.output.parent.iterdir():
        _copied(path, folder)
    _hurt(folder / f"{world.output.name}.json", rng)
    return LUMOS, ["generate", "--from-json", str(folder / f"{world.output.name}.json"), "--model", str(world.model),
                   "--out", str(folder / "again.mp4")]  # fmt: skip


def lumos_model(world: World, folder: Path, rng: random.Random) -> Command:
    """A file of a model is damaged."""
    return _with_model(_copied(world.model, folder), folder, rng)


def lumina_model(world: World, folder: Path, rng: random.Random) -> Command:
    """A file of the other model is damaged."""
    return _with_model(_copied(world.lumina, folder), folder, rng)


def _with_model(model: Path, folder: Path, rng: random.Random) -> Command:
    _hurt(_any_file(model, rng), rng)
    if rng.random() < 0.3:
        return LUMOS, ["doctor", "--model", str(model)]
    return LUMOS, ["generate", "--prompt", "x", "--model", str(model), "--out", str(folder / "o.mp4"), *_SMALL]


def training_word(world: World, folder: Path, rng: random.Random) -> Command:
    """A setting of a training is another one."""
    keys = ["trainer.max_steps", "trainer.batch_size", "trainer.seed", "trainer.precision", "trainer.device",
            "trainer.save_every", "trainer.keep", "trainer.ema_decay", "trainer.clip_grad_norm", "trainer.schedule",
            "trainer.epochs", "trainer.resume", "optim.lr", "optim.betas", "optim.eps", "optim.weight_decay",
            "optim.name", "optim.warmup_steps", "task.data", "task.data.image", "task.model", "task.model.hidden_size",
            "task.model.num_attention_heads", "task.ardf", "task.max_length", "task.z_loss_weight", "task.init_from",
            "task.duration_s", "task.focal_gamma", "task.frame_decay", "lora.rank", "parallel.engine",
            "parallel.replicas", "samples.every", "task", "trainer", "optim", "nothing", "trainer.nothing"]  # fmt: skip
    words = _train_words(folder / "run", world.clips)
    return "lumos.cli.training.training_run", [*words, f"{rng.choice(keys)}={rng.choice(WORDS)}"]


def training_config(world: World, folder: Path, rng: random.Random) -> Command:
    """The YAML of a training is not what it should be."""
    content = {
        "trainer": {"max_steps": 1, "device": "cpu", "precision": "fp32", "batch_size": {"image": 2}},
        "optim": {"lr": 1e-3},
        "task": {"data": {"image": str(world.clips)}, "model": {**MODEL, "vocab": VOCAB}},
    }
    content["trainer"] |= {"run_dir": str(folder / "run"), "progress": False}
    path = folder / "config.yaml"
    if rng.random() < 0.7:
        content = retyped(content, rng)
    path.write_bytes(written(content).encode("utf-8", "surrogatepass"))
    if rng.random() < 0.3:
        _hurt(path, rng)
    return "lumos.cli.training.training_run", ["--config", str(path)]


def checkpoint(world: World, folder: Path, rng: random.Random) -> Command:
    """A file of a run is damaged; it is exported, gone on with or drawn."""
    run = _copied(world.run, folder)
    _hurt(_any_file(run, rng), rng)
    choice = rng.randrange(3)
    if choice == 0:
        return LUMOS, ["export", str(run), str(folder / "exported")]
    if choice == 1:
        words = [*_train_words(run, world.clips), "trainer.max_steps=3"]
        return "lumos.cli.training.training_run", words
    return LUMOS, ["plot", str(run), *(["--out", str(folder / "a.png")] if rng.random() < 0.5 else [])]


def shards(world: World, folder: Path, rng: random.Random) -> Command:
    """Pre-tokenised clips are damaged."""
    clips = _copied(world.clips, folder)
    _hurt(_any_file(clips, rng), rng)
    return "lumos.cli.training.training_run", _train_words(folder / "run", clips)


def released_shards(world: World, folder: Path, rng: random.Random) -> Command:
    """Released pickles and their record are damaged."""
    import pickle

    import torch

    from lumos.lumos1.sequence import sequence_of
    from lumos.tokenizer.vocab import Vocab

    vocab, entries = Vocab.from_dict(VOCAB), []
    for number in range(4):
        clip = make_clip(number, 1)
        codes, prompt = torch.from_numpy(clip.codes.astype("int64")), torch.from_numpy(clip.prompt_ids).long()
        tokens = sequence_of(prompt, codes, vocab=vocab, fps=1, duration=1).tolist()
        (folder / f"{number}.pkl").write_bytes(pickle.dumps({"token": tokens, "label": tokens, "id": number}))
        entries.append({"file": f"{number}.pkl", "len": len(tokens), "id": number})
    (folder / "merge-record.json").write_text(json.dumps(entries))
    _hurt(_any_file(folder, rng), rng)
    return "lumos.cli.training.training_run", _train_words(folder / "run", folder / "merge-record.json")


def table(world: World, folder: Path, rng: random.Random) -> Command:
    """A CSV or a file that it names is damaged."""
    media = _copied(world.media, folder)
    _hurt(_any_file(media, rng), rng)
    modality = rng.choice(("image", "video"))
    size = ["--target_size", "64", "--target_fps", "4", "--target_duration", "2"]
    words = ["--input_file", str(media / "table.csv"), "--output_dir", str(folder / "out"), "--modality", modality]
    return "pre_tokenize.__main__", [*words, *size, "--visual_tokenizer", str(world.model / "visual_tokenizer")]


def pretokenise_option(world: World, folder: Path, rng: random.Random) -> Command:
    """A value of an option of pre-tokenisation is another one."""
    given = {"--input_file": str(world.media / "table.csv"), "--output_dir": str(folder / "out"), "--modality": "image",
             "--target_size": "64", "--visual_tokenizer": str(world.model / "visual_tokenizer")}  # fmt: skip
    names = [*given, "--target_fps", "--target_duration", "--splits", "--rank", "--all_tasks", "--task_id",
             "--batch_size", "--shard_rows", "--num_workers", "--cosmos_dtype", "--device",
             "--text_tokenizer"]  # fmt: skip
    given[rng.choice(names)] = rng.choice(WORDS)
    return "pre_tokenize.__main__", [f"{name}={value}" for name, value in given.items()]


def geneval(world: World, folder: Path, rng: random.Random) -> Command:
    """The metadata of GenEval are not what they should be."""
    path = folder / "metadata.jsonl"
    entry = {"tag": "single_object", "include": [{"class": "bench", "count": 1}], "prompt": "a photo of a bench"}
    content = retyped(entry, rng) if rng.random() < 0.7 else entry
    path.write_bytes((written(content) + "\n").encode("utf-8", "surrogatepass"))
    if rng.random() < 0.4:
        _hurt(path, rng)
    words = ["--prompts", str(path), "--short", "--model", str(world.model), "--out", str(folder / "out")]
    return "eval.geneval.__main__", [*words, "num_inference_steps=1"]


def preset(world: World, folder: Path, rng: random.Random) -> Command:
    """A preset of Lumina-Video is not what it should be."""
    content = {"P": ["2x4", [0.1, "2x2"], [0.4, "1x2"]], "step": 4, "ts": 4.0, "renorm": 2.0, "cfg": [3.0, [0.5, 0.0]],
               "motion": 6.0, "negMotion": 2.0}  # fmt: skip
    path = folder / "preset.json"
    path.write_bytes(written(retyped(content, rng)).encode("utf-8", "surrogatepass"))
    if rng.random() < 0.3:
        _hurt(path, rng)
    words = ["--prompt", "x", "--model", str(world.lumina), "--out", str(folder / "o.mp4"), "--seed", "1"]
    return LUMOS, ["generate", *words, "--preset", str(path)]


CASES: Sequence[Case] = (
    generate_option, prompt_list, record, lumos_model, lumina_model, training_word, training_config, checkpoint, shards,
    released_shards, table, pretokenise_option, geneval, preset,
)  # fmt: skip


def fault_of(status: int | None, said: str) -> str | None:
    """Return what is wrong with how a command ended, or None."""
    errors = [line for line in said.splitlines() if re.search(r"\berror: ", line)]
    if status is None:
        return "it hangs"
    if "Traceback" in said:
        return "a traceback"
    if status not in STATUSES:
        return f"status {status}"
    if status == 2 and len(errors) != 1 and "usage:" not in said:
        return f"{len(errors)} lines of errors"
    if errors and len(errors[-1]) > MOST_CHARACTERS:
        return f"an error of {len(errors[-1])} characters"
    return None


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_what_is_malformed_is_said_in_one_line(world: World, tmp_path: Path, case: Case) -> None:
    faults = []
    for number in range(-(-INPUTS // len(CASES))):
        folder = tmp_path / str(number)
        folder.mkdir()
        module, words = case(world, folder, random.Random(f"{SEED}/{case.__name__}/{number}"))
        status, said = _ended(module, words, folder / "log")
        if fault := fault_of(status, said):
            faults.append(f"{fault}: {module} {' '.join(words)}\n{said[-3000:]}")
        else:
            shutil.rmtree(folder)
    assert not faults, f"{len(faults)} of them:\n" + "\n\n".join(faults)


def _ended(module: str, words: list[str], log: Path) -> tuple[int | None, str]:
    """Return the exit status of a command, None after too long a time, and what it said."""
    process = start(module, words, log=log)
    process.join(PATIENCE_S)
    if hangs := process.is_alive():
        process.kill()
        process.join()
    return None if hangs else process.exitcode, log.read_text(errors="replace")


def test_a_hang_a_traceback_and_a_second_line_are_faults() -> None:
    assert fault_of(None, "") == "it hangs"
    assert fault_of(2, "Traceback (most recent call last):\nlumos: error: x") == "a traceback"
    assert fault_of(70, "lumos: error: x") == "status 70"
    assert fault_of(2, "a: error: x\na: error: y") == "2 lines of errors"
    assert fault_of(2, "lumos: error: " + "x" * 2000) == "an error of 2014 characters"
    assert fault_of(2, "lumos: error: x") is fault_of(0, "") is fault_of(1, "nothing kept") is None
