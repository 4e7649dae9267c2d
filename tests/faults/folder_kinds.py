"""Damage to folders and the files in them: models of both kinds, adapters, runs, shards, media, outputs, records."""

import json
import os
from pathlib import Path
from random import Random

from tests.faults.attempt import Attempt, Kind
from tests.faults.mutations import any_file, copied, damage, json_damage, written
from tests.faults.world import LUMOS, SMALL, TRAIN, World, tokenize_words, train_settings, train_words

_SIZE = ("--resolution", "64x96", "--num-frames", "8")
"""Or a model that lost its own defaults would make a video of the released size."""


def prompt_list(world: World, folder: Path, rng: Random) -> Attempt:
    """A list of prompts is not what it should be, and is made."""
    content = [{"prompt": "a red circle", "seed": 3, "name": "a"}, {"prompt": "two", "negative_prompt": "x"}, "three"]
    suffix = rng.choice((".json", ".jsonl"))
    path = folder / f"list{suffix}"
    path.write_text(json.dumps(content) if suffix == ".json" else "\n".join(map(json.dumps, content)))
    done = damage(path, rng)
    words = ["--model", str(world.model), "--out", str(folder / "out"), "--num-frames", "1", *SMALL]
    if rng.random() < 0.5:
        words = ["generate", "--prompt-file", str(path), *words]
        return Attempt(module=LUMOS, words=words, broken=done.broken, what=done.name)
    words = ["t2v", "--prompts", str(path), *words[:4], "num_inference_steps=1", "num_frames=1"]
    return Attempt(module="eval.custom.__main__", words=words, broken=done.broken, what=done.name)


def record(world: World, folder: Path, rng: Random) -> Attempt:
    """A record is not what it was."""
    for path in world.output.parent.iterdir():
        copied(path, folder)
    path = folder / f"{world.output.name}.json"
    done = damage(path, rng)
    words = ["generate", "--from-json", str(path), "--model", str(world.model), "--out", str(folder / "again.mp4")]
    return Attempt(module=LUMOS, words=words, broken=done.broken, what=done.name)


def outputs(world: World, folder: Path, rng: Random) -> Attempt:
    """An output of a list, or its record, is damaged; the list is made again."""
    made = copied(world.listed, folder)
    path = any_file(made, rng)
    done = damage(path, rng)
    words = ["--prompt-file", str(world.media / "prompts.json"), "--num-frames", "1", "--out", str(made), *SMALL]
    what = f"{path.name}: {done.name}"
    return Attempt(module=LUMOS, words=["generate", *words, "--model", str(world.model)], what=what)


def lumos_model(world: World, folder: Path, rng: Random) -> Attempt:
    """A file of a model is damaged."""
    return _with_model(copied(world.model, folder), folder, rng)


def sharded_model(world: World, folder: Path, rng: Random) -> Attempt:
    """A file of a model whose weights stand in several is damaged."""
    return _with_model(copied(world.sharded, folder), folder, rng)


def lumina_model(world: World, folder: Path, rng: Random) -> Attempt:
    """A file of the other model is damaged."""
    return _with_model(copied(world.lumina, folder), folder, rng, *_SIZE)


def released_lumina_model(world: World, folder: Path, rng: Random) -> Attempt:
    """A file of the other model in its released form is damaged; read as far as the network, too small for its name."""
    return _with_model(
        copied(world.released_lumina, folder), folder, rng, *_SIZE, "--preset", str(world.folder / "p.json")
    )


def adapter(world: World, folder: Path, rng: Random) -> Attempt:
    """A file of an adapter is damaged."""
    lora = copied(world.adapter, folder)
    path = any_file(lora, rng)
    done = damage(path, rng)
    words = ["generate", "--prompt", "x", "--model", str(world.model), "--out", str(folder / "o.mp4"), *SMALL]
    what = f"{path.name}: {done.name}"
    return Attempt(module=LUMOS, words=[*words, "--lora", str(lora)], broken=done.broken, what=what)


def _with_model(model: Path, folder: Path, rng: Random, *more: str) -> Attempt:
    path = any_file(model, rng)
    done = damage(path, rng)
    what = f"{path.relative_to(model)}: {done.name}"
    broken = done.broken and path.name != "generation_config.json"  # it may be missing
    if rng.random() < 0.3:
        return Attempt(module=LUMOS, words=["doctor", "--model", str(model)], broken=broken, what=what)
    words = ["generate", "--prompt", "x", "--model", str(model), "--out", str(folder / "o.mp4"), *SMALL, *more]
    return Attempt(module=LUMOS, words=words, broken=broken, what=what)


def first_frame(world: World, folder: Path, rng: Random) -> Attempt:
    """The picture that a video begins with is damaged."""
    path = copied(world.media / rng.choice(("first.png", "b.jpg", "c.mp4")), folder)
    done = damage(path, rng)
    words = ["generate", "--prompt", "x", "--model", str(world.model), "--image", str(path), *SMALL]
    return Attempt(
        module=LUMOS,
        words=[*words, "--out", str(folder / "o.mp4")],
        broken=done.broken,
        what=f"{path.name}: {done.name}",
    )


def training_config(world: World, folder: Path, rng: Random) -> Attempt:
    """The YAML of a training, written as JSON, which is YAML too, is not what it should be."""
    path = folder / "config.yaml"
    done = json_damage(train_settings(folder / "run", world.clips), rng, dump=written)
    done.put(path)
    return Attempt(module=TRAIN, words=["--config", str(path)], broken=done.broken, what=done.name)


def run_folder(world: World, folder: Path, rng: Random) -> Attempt:
    """A file of a run is damaged; it is exported, gone on with or drawn."""
    run = copied(world.run, folder)
    path = any_file(run, rng)
    done = damage(path, rng)
    what = f"{path.relative_to(run)}: {done.name}"
    match rng.choice(("export", "train", "plot")):
        case "export":
            return Attempt(module=LUMOS, words=["export", str(run), str(folder / "exported")], what=what)
        case "train":
            return Attempt(module=TRAIN, words=[*train_words(run, world.clips), "trainer.max_steps=3"], what=what)
    more = ["--out", str(folder / "a.png")] if rng.random() < 0.3 else []
    return Attempt(module=LUMOS, words=["plot", str(run), *more], what=what)


def starting_weights(world: World, folder: Path, rng: Random) -> Attempt:
    """A file of the model that a training begins with is damaged."""
    model = copied(world.model, folder)
    path = any_file(model, rng)
    done = damage(path, rng)
    settings = [word for word in train_words(folder / "run", world.clips) if not word.startswith("task.model=")]
    return Attempt(module=TRAIN, words=[*settings, f"task.init_from={model}"], what=f"{path.name}: {done.name}")


def shards(world: World, folder: Path, rng: Random) -> Attempt:
    """Pre-tokenised clips are damaged."""
    clips = copied(world.clips, folder)
    path = any_file(clips, rng)
    done = damage(path, rng)
    words, broken = (
        train_words(folder / "run", clips),
        done.broken and os.path.lexists(path),
    )
    return Attempt(module=TRAIN, words=words, broken=broken, what=f"{path.name}: {done.name}")


def released_shards(world: World, folder: Path, rng: Random) -> Attempt:
    """Released pickles and their record are damaged."""
    clips = copied(world.released_clips, folder)
    path = any_file(clips, rng)
    done = damage(path, rng)
    words = train_words(folder / "run", clips / "merge-record.json")
    return Attempt(module=TRAIN, words=words, broken=done.broken, what=f"{path.name}: {done.name}")


def table(world: World, folder: Path, rng: Random) -> Attempt:
    """A CSV or a file that it names is damaged; of the media one alone, whose row is left out."""
    media = copied(world.media, folder)
    path = rng.choice([media / name for name in ("table.csv", "a.png", "b.jpg", "c.mp4")])
    done = damage(path, rng)
    modality = rng.choice(("image", "video"))
    words = tokenize_words(world, media / "table.csv", folder / "out", modality=modality)
    broken = done.broken and path.suffix == ".csv"
    return Attempt(module="pre_tokenize.__main__", words=words, broken=broken, what=f"{path.name}: {done.name}")


def tokenizer(world: World, folder: Path, rng: Random) -> Attempt:
    """A file of the tokenizers that a table is pre-tokenised with is damaged."""
    model = copied(world.model, folder)
    path = rng.choice([model / "visual_tokenizer" / "encoder.jit", model / "text_tokenizer.json"])
    done = damage(path, rng)
    words = tokenize_words(world, world.media / "table.csv", folder / "out")
    words = [*words[:-1], str(model / "visual_tokenizer"), "--text_tokenizer", str(model / "text_tokenizer.json")]
    return Attempt(module="pre_tokenize.__main__", words=words, broken=done.broken, what=f"{path.name}: {done.name}")


def half_tokenized(world: World, folder: Path, rng: Random) -> Attempt:
    """A file of what was pre-tokenised is damaged; it is gone on with or merged."""
    out = copied(world.tokenized, folder)
    path = any_file(out, rng)
    done = damage(path, rng)
    what = f"{path.relative_to(out)}: {done.name}"
    if rng.random() < 0.5:
        return Attempt(module="pre_tokenize.concat_record", words=["--output_dir", str(out)], what=what)
    words = tokenize_words(world, world.media / "table.csv", out)
    return Attempt(module="pre_tokenize.__main__", words=words, what=what)


def samples_of_geneval(world: World, folder: Path, rng: Random) -> Attempt:
    """A folder of GenEval's form has a damaged picture or list; it is checked or scored."""
    prompt = folder / "o" / "00000"
    (prompt / "samples").mkdir(parents=True)
    (prompt / "samples" / "00000.png").write_bytes((world.media / "a.png").read_bytes())
    claim = {"class": "circle", "count": 1, "color": "red"}
    entry = json.dumps({"tag": "single_object", "include": [claim], "prompt": "a red circle"}) + "\n"
    (folder / "metadata.jsonl").write_text(entry)
    (prompt / "metadata.jsonl").write_text(entry)
    path = any_file(folder, rng)
    done = damage(path, rng)
    if rng.random() < 0.5:
        words = ["geneval", str(folder / "o"), "--prompts", str(folder / "metadata.jsonl")]
        return Attempt(module="eval.check.__main__", words=words, broken=done.broken, what=f"{path.name}: {done.name}")
    words = ["score", "--folder", str(folder / "o"), "--out", str(folder / "results.jsonl")]
    return Attempt(module="eval.shapes.geneval", words=words, what=f"{path.name}: {done.name}")


FOLDER_KINDS: tuple[Kind, ...] = (
    prompt_list, record, outputs, lumos_model, sharded_model, lumina_model, released_lumina_model, adapter, first_frame,
    training_config, run_folder, starting_weights, shards, released_shards, table, tokenizer, half_tokenized,
    samples_of_geneval,
)  # fmt: skip
