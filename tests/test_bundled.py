"""The bundled models ckpts/lumos-tiny and ckpts/lumina-tiny: their parts fit each other, and they draw."""

import json
import math
import random
from pathlib import Path

import numpy as np
import pytest
import torch

from lumos.hub.models import resolve
from lumos.lumina_video.checkpoint.parts import find_parts
from lumos.lumina_video.checkpoint.weights import read_config
from lumos.lumina_video.pipeline import LuminaVideoPipeline
from lumos.lumos1.config import LumosConfig
from lumos.lumos1.pipeline import LumosPipeline
from lumos.shapes import describe, render, sample_spec
from lumos.tokenizer.text import TextTokenizer
from lumos.tokenizer.visual import VisualTokenizer


@pytest.fixture(scope="module")
def tokenizers(repo: Path) -> Path:
    folder = repo / "ckpts" / "lumos-tiny"
    if not (folder / "visual_tokenizer" / "encoder.jit").is_file():
        pytest.skip("ckpts/lumos-tiny has no tokenizers yet: exps/lumos_tiny.sh makes them")
    return folder


@pytest.fixture(scope="module")
def model(tokenizers: Path) -> Path:
    if not (tokenizers / "config.json").is_file():
        pytest.skip("ckpts/lumos-tiny has no model yet: exps/lumos_tiny.sh makes it")
    return tokenizers


def test_the_tokenizers_know_the_same_codes(model: Path) -> None:
    vocab = TextTokenizer.from_file(model / "text_tokenizer.json").vocab
    for name in ("encoder.jit", "decoder.jit"):
        half = torch.jit.load(str(model / "visual_tokenizer" / name))
        assert math.prod(half.fsq.levels.tolist()) == vocab.num_codes, name


def test_clips_never_seen_come_back_from_their_codes(tokenizers: Path) -> None:
    """Four clips; the README has the mean over many more."""
    visual = VisualTokenizer.from_pretrained(tokenizers / "visual_tokenizer")
    specs = [sample_spec(random.Random(f"bundled {index}"), held_out=None) for index in range(4)]
    frames = np.stack([render(spec, width=64, height=64, num_frames=13, fps=6) for spec in specs])
    video = torch.from_numpy(frames).permute(0, 4, 1, 2, 3).float() / 127.5 - 1
    codes = visual.encode(video)
    assert codes.shape == (4, 4, 8, 8)
    error = ((visual.decode(codes).clamp(-1, 1) - video) / 2).square().flatten(1).mean(1)
    assert (-10 * error.log10()).mean() > 28


def test_the_model_speaks_the_tokenizer_s_vocabulary(model: Path) -> None:
    config = LumosConfig(**json.loads((model / "config.json").read_text(encoding="utf-8")))
    vocab = TextTokenizer.from_file(model / "text_tokenizer.json").vocab
    assert config.vocabulary == vocab
    assert config.vocab_size == vocab.size


def test_the_folder_is_whole_and_small(repo: Path, model: Path) -> None:
    files = resolve("lumos-tiny")
    assert files.model == files.text_tokenizer.parent == files.visual_tokenizer.parent == model
    assert sum(path.stat().st_size for path in model.rglob("*") if path.is_file()) <= 20_000_000


def test_it_draws_a_video_and_a_picture(model: Path) -> None:
    pipeline = LumosPipeline.from_pretrained("lumos-tiny", device="cpu")
    video = pipeline("a red circle moves to the right", num_inference_steps=2, seed=0)
    assert video.codes[0].shape == (4, 8, 8)
    assert (len(video.frames[0]), video.frames[0][0].size) == (13, (64, 64))
    picture = pipeline("a blue square", num_frames=1, num_inference_steps=2, seed=0)
    assert (len(picture.frames[0]), picture.frames[0][0].size) == (1, (64, 64))
    assert np.ptp(np.asarray(picture.frames[0][0])) > 50


@pytest.fixture(scope="module")
def lumina(repo: Path) -> Path:
    folder = repo / "ckpts" / "lumina-tiny"
    if not (folder / "model.safetensors").is_file():
        pytest.skip("ckpts/lumina-tiny has no model yet: exps/lumina_tiny.sh makes it")
    return folder


def test_lumina_tiny_is_whole_small_and_of_two_scales(lumina: Path) -> None:
    files = find_parts(lumina, lumina.parent)
    assert {files.text_encoder.parent, files.vae.parent, files.model} == {lumina}
    assert [str(scale) for scale in read_config(lumina).scales] == ["1x2", "2x2"]
    sizes = {
        folder.name: sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        for folder in (lumina, lumina.parent / "lumos-tiny")
    }
    assert sizes["lumina-tiny"] <= 20_000_000
    assert sum(sizes.values()) <= 42_000_000


def test_lumina_tiny_draws_what_is_asked(lumina: Path) -> None:
    """One prompt; eval/README.md has the scores over many."""
    output = LuminaVideoPipeline.from_pretrained(lumina, device="cpu", dtype="float32")(
        "a red circle and a blue star on a white background", seed=3
    )
    seen = describe(np.stack([np.asarray(frame) for frame in output.frames[0]]))
    assert {(one.colour, one.shape, one.motion) for one in seen.objects} == {
        ("red", "circle", "still"),
        ("blue", "star", "still"),
    }
    assert seen.ground == "white"
