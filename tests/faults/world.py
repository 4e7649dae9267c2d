"""Valid inputs of every kind, made once: the campaign damages copies of them."""

import argparse
import json
import pickle
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from lumos.lumos1.sequence import sequence_of
from lumos.media.writing import write_image, write_video
from lumos.tokenizer.vocab import Vocab
from tests.faults.forked import ended
from tests.lumos.lumina_video.tiny import tiny_lumina_folder
from tests.model_folder import make_model_folder
from tests.tiny_data import MODEL, VOCAB, make_clip, write_clips

LUMOS, TRAIN, TOKENIZE = "lumos.cli", "lumos.cli.training.training_run", "pre_tokenize.__main__"
SMALL = ("--steps", "2", "--seed", "1")
"""Words that make generating short."""

PRESET = {"P": ["2x4", [0.1, "2x2"], [0.4, "1x2"]], "step": 4, "ts": 4.0, "renorm": 2.0, "cfg": [3.0, [0.5, 0.0]],
          "motion": 6.0, "negMotion": 2.0}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class World:
    """Where the valid inputs lie."""

    folder: Path

    @property
    def model(self) -> Path:
        """Lumos-1."""
        return self.folder / "model"

    @property
    def sharded(self) -> Path:
        """Lumos-1 with its weights in two files and an index."""
        return self.folder / "sharded"

    @property
    def lumina(self) -> Path:
        """Lumina-Video."""
        return self.folder / "lumina"

    @property
    def released_lumina(self) -> Path:
        """Lumina-Video with the network's settings and weights in the released form."""
        return self.folder / "released_lumina"

    @property
    def adapter(self) -> Path:
        """LoRA for Lumos-1."""
        return self.folder / "adapter"

    @property
    def clips(self) -> Path:
        """Shards of images."""
        return self.folder / "clips"

    @property
    def released_clips(self) -> Path:
        """Pickles and their `merge-record.json`."""
        return self.folder / "released_clips"

    @property
    def run(self) -> Path:
        """A training run with a checkpoint."""
        return self.folder / "run"

    @property
    def tokenized(self) -> Path:
        """What pre-tokenisation made of the table."""
        return self.folder / "tokenized"

    @property
    def media(self) -> Path:
        """table.csv with two pictures and a video, first.png and prompts.json with three prompts."""
        return self.folder / "media"

    @property
    def listed(self) -> Path:
        """What generating the list of prompts made."""
        return self.folder / "listed"

    @property
    def output(self) -> Path:
        """A generated video with its record."""
        return self.folder / "out" / "a.mp4"


def make_world(folder: Path) -> World:
    """Make all of it with the commands that a user would give."""
    world = World(folder=folder)
    make_model_folder(world.model)
    tiny_lumina_folder(world.lumina)
    write_clips(world.clips, num_latent=1)
    _sharded(world)
    _released_lumina(world)
    _adapter(world)
    _released_clips(world)
    _media(world)
    generate = ("generate", "--model", str(world.model), *SMALL)
    prompts = str(world.media / "prompts.json")
    for module, words in (
        (LUMOS, [*generate, "--prompt", "a red circle", "--out", str(world.output)]),
        (LUMOS, [*generate, "--prompt-file", prompts, "--num-frames", "1", "--out", str(world.listed)]),
        (
            "eval.shapes.__main__",
            ["run", *generate[1:3], "--kinds", "t2i", "--num", "1", "--steps", "1", "--out", str(folder / "shapes")],
        ),
        (TRAIN, train_words(world.run, world.clips)),
        (TOKENIZE, tokenize_words(world, world.media / "table.csv", world.tokenized)),
    ):
        status, said = ended(module, words, log=folder / "log", patience_s=120)
        assert status == 0, said
    return world


def train_words(run: Path, clips: Path) -> list[str]:
    """Words that train the smallest model for two steps."""
    groups = train_settings(run, clips)
    return [f"{group}.{key}={json.dumps(value)}" for group, keys in groups.items() for key, value in keys.items()]


def train_settings(run: Path, clips: Path) -> dict[str, dict[str, object]]:
    """Settings that train the smallest model for two steps."""
    trainer = {"run_dir": str(run), "max_steps": 2, "device": "cpu", "precision": "fp32", "progress": False}
    return {
        "trainer": {**trainer, "batch_size": {"image": 2}},
        "task": {"data": {"image": str(clips)}, "model": {**MODEL, "vocab": VOCAB}},
    }


def tokenize_words(world: World, table: Path, out: Path, *, modality: str = "image") -> list[str]:
    """Words that pre-tokenise a table."""
    size = ["--target_size", "64", "--target_fps", "4", "--target_duration", "2"]
    words = ["--input_file", str(table), "--output_dir", str(out), "--modality", modality, *size]
    return [*words, "--visual_tokenizer", str(world.model / "visual_tokenizer")]


def _sharded(world: World) -> None:
    make_model_folder(world.sharded)
    tensors = load_file(world.sharded / "model.safetensors")
    names = {name: f"model-{1 + index % 2:05d}-of-00002.safetensors" for index, name in enumerate(tensors)}
    for file in set(names.values()):
        held = {name: tensors[name] for name in tensors if names[name] == file}
        save_file(held, world.sharded / file, metadata={"format": "pt"})
    total = sum(tensor.nbytes for tensor in tensors.values())
    index = {"metadata": {"total_size": total}, "weight_map": names}
    (world.sharded / "model.safetensors.index.json").write_text(json.dumps(index))
    (world.sharded / "model.safetensors").unlink()


def _released_lumina(world: World) -> None:
    """Lay the settings and weights as released beside the encoders of the other folder."""
    tiny_lumina_folder(world.released_lumina)
    settings = {
        "model": "NextDiT_1B_patch2", "patch_sizes": [2, 2, 4], "f_patch_sizes": [1, 2, 2], "qk_norm": True,
        "rope_theta": 256.0, "t_scale": 1000.0, "motion_scale": 20.0,
    }  # fmt: skip
    torch.save(argparse.Namespace(**settings), world.released_lumina / "model_args.pth")
    for name in ("config.json", "generation_config.json"):
        (world.released_lumina / name).unlink()
    (weights,) = world.released_lumina.glob("*.safetensors")
    weights.rename(world.released_lumina / "consolidated.00-of-01.safetensors")


def _adapter(world: World) -> None:
    world.adapter.mkdir()
    plain = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q_proj"], "task_type": "CAUSAL_LM"}
    (world.adapter / "adapter_config.json").write_text(json.dumps(plain))
    tensors = load_file(world.model / "model.safetensors")
    halves = {}
    for name, tensor in tensors.items():
        if name.endswith("q_proj.weight"):
            stem = f"base_model.model.{name.removesuffix('.weight')}"
            halves[f"{stem}.lora_A.weight"] = torch.full((2, tensor.shape[1]), 0.01)
            halves[f"{stem}.lora_B.weight"] = torch.full((tensor.shape[0], 2), 0.01)
    save_file(halves, world.adapter / "adapter_model.safetensors")


def _released_clips(world: World) -> None:
    vocab, entries = Vocab.from_dict(VOCAB), []
    world.released_clips.mkdir()
    for number in range(4):
        clip = make_clip(number, 1)
        codes, prompt = torch.from_numpy(clip.codes.astype("int64")), torch.from_numpy(clip.prompt_ids).long()
        tokens = sequence_of(prompt, codes, vocab=vocab, fps=1, duration=1).tolist()
        content = pickle.dumps({"token": tokens, "label": tokens, "id": number})
        (world.released_clips / f"{number}.pkl").write_bytes(content)
        entries.append({"file": f"{number}.pkl", "len": len(tokens), "id": number})
    (world.released_clips / "merge-record.json").write_text(json.dumps(entries))


def _media(world: World) -> None:
    media, rng = world.media, np.random.default_rng(0)
    media.mkdir()
    write_image(media / "a.png", rng.integers(0, 256, (64, 64, 3), dtype=np.uint8))
    write_image(media / "b.jpg", rng.integers(0, 256, (64, 96, 3), dtype=np.uint8))
    write_image(media / "first.png", rng.integers(0, 256, (64, 96, 3), dtype=np.uint8))
    write_video(media / "c.mp4", rng.integers(0, 256, (12, 64, 64, 3), dtype=np.uint8), fps=4)
    (media / "table.csv").write_text('path,text\na.png,"a, picture"\nb.jpg,another\nc.mp4,a video\n')
    (world.folder / "p.json").write_text(json.dumps(PRESET))
    (media / "prompts.json").write_text(json.dumps(["one", {"prompt": "two", "seed": 3}, "three"]))
