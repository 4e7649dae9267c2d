"""Every YAML under configs/ is read strictly and does what it is for, on data and models made small."""

import dataclasses
import json
import math
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

from lumos.cli.training.training_run import LuminaVideoRunConfig, RunConfig, load_run, run
from lumos.lumina_video.data.latent_set import LatentSet
from lumos.lumina_video.training.released_tasks import read_tasks
from lumos.lumina_video.training.task_config import ScaleTask
from lumos.lumina_video.training.text import TextRunConfig
from lumos.lumina_video.training.text import run as train_text
from lumos.lumina_video.training.vae import VAERunConfig
from lumos.lumina_video.training.vae import run as train_vae
from lumos.lumos1.config import LumosConfig, SamplerConfig
from lumos.lumos1.data.clips import ClipDataset
from lumos.lumos1.model.modeling import LumosForCausalLM
from lumos.lumos1.sampling.decode import generate_codes
from lumos.lumos1.sampling.refine import GeneratorNoise
from lumos.lumos1.sequence import sequence_of
from lumos.lumos1.training.model_settings import read_model_config
from lumos.lumos1.training.task import LumosTaskConfig
from lumos.tokenizer.training import TokenizerRunConfig
from lumos.tokenizer.training import run as train_tokenizer
from lumos.tokenizer.vocab import Vocab
from tests.lumos.lumina_video.latents import task_config, write_latents, write_raw_clips
from tests.lumos.lumina_video.tiny import tiny_vae_folder
from tests.tiny_data import MODEL, VOCAB, make_clip, write_clips
from xllmx.settings.config import convert, load_config

CONFIGS = Path(__file__).resolve().parent.parent / "configs"
FILMED = {"tiny_visual.yaml"}
TOKENIZERS = {"tiny_tokenizer.yaml", "tiny_decoder.yaml", *FILMED}
"""Those of configs/train that train a visual tokenizer, not a model; the first on clips filmed from photographs."""
VAES, TEXTS = {"lumina_tiny_vae.yaml", "lumina_tiny_decoder.yaml"}, {"lumina_tiny_text.yaml"}
"""Those that train the VAE and the text encoder of a Lumina-Video."""
LUMINA_VIDEOS = {
    "lumina_tiny.yaml", "lumina_tiny_images.yaml", "lumina_tiny_atoms.yaml", "lumina_f8F32R256.yaml", "my_latents.yaml",
    "my_raw_clips.yaml",
}  # fmt: skip
"""Those that train a Lumina-Video."""


def of(kind: str) -> list[str]:
    return sorted(path.name for path in (CONFIGS / kind).glob("*.yaml"))


def words(**settings: object) -> list[str]:
    """`key=value` words; `__` stands for the dot."""
    return [f"{key.replace('__', '.')}={json.dumps(value)}" for key, value in settings.items()]


def test_every_file_is_of_a_kind_that_is_executed_here() -> None:
    kinds = {path.relative_to(CONFIGS).parts[0] for path in CONFIGS.rglob("*") if path.is_file()}
    assert kinds == {"ablations", "data", "model", "sampler", "tasks", "train"}
    files = [path for path in CONFIGS.rglob("*.*") if path.parent.name != "tasks"]
    assert all(path.suffix == ".yaml" and path.parent.parent == CONFIGS for path in files)


# --- configs/train ----------------------------------------------------------------------------------------------------


@pytest.fixture
def few_steps(tmp_path: Path) -> list[str]:
    """Words that make any run a short one on the CPU; precision, batches, optimiser stay those of the file."""
    return words(
        trainer__run_dir=str(tmp_path / "run"),
        trainer__epochs=None,
        trainer__max_steps=2,
        trainer__device="cpu",
        trainer__progress=False,
        trainer__log_every=1,
        trainer__save_every=0,
        trainer__eval_every=0,
        trainer__eval_batches=1,
    )


@pytest.mark.parametrize(
    "name", [name for name in of("train") if name not in TOKENIZERS | VAES | TEXTS | LUMINA_VIDEOS]
)
def test_training_recipe_runs(tmp_path: Path, few_steps: list[str], name: str) -> None:
    path = CONFIGS / "train" / name
    model = {**MODEL, "vocab": VOCAB}
    small = few_steps + words(task__model=model, task__model_config=None, task__init_from=None)
    small += words(parallel__compile=False)  # has tests of its own; under type checks a second time in a process fails
    task = load_config(RunConfig, path, small).task
    if task.code_levels:
        small += words(task__code_levels=[10, 5])
    streams = {"data": task.data or {"image": "", "video": ""}, "eval_data": task.eval_data}
    for field, named in streams.items():
        for stream in named:
            num = 48 if field == "data" else 9  # the largest global batch; held-out samples may be fewer
            clips = write_clips(tmp_path / field / stream, num_latent=1 if "image" in stream else 4, num=num)
            small.append(f"task.{field}.{stream}={clips}")
    if task.eval_data:
        small.append("trainer.eval_every=2")
    result = run(load_config(RunConfig, path, small))
    assert result.step == 2
    assert 0 < result.metrics["loss"] < 2 * math.log(VOCAB["num_codes"])


@pytest.mark.parametrize("name", sorted(TOKENIZERS))
def test_tokenizer_recipe_runs(tmp_path: Path, few_steps: list[str], name: str) -> None:
    if name in FILMED:
        pictures = tmp_path / "pictures"
        pictures.mkdir()
        for index in range(30):
            Image.new("RGB", (80, 70), (8 * index, 90, 99)).save(pictures / f"{index}.png")
        few_steps += words(task__pictures=str(pictures))
    few = words(task__num_clips=6, task__num_eval_clips=2, task__network__channels=4, trainer__batch_size={"clips": 2})
    few += words(task__init_from=None)
    metrics = train_tokenizer(load_config(TokenizerRunConfig, CONFIGS / "train" / name, few_steps + few))
    assert all(map(math.isfinite, metrics.values()))
    assert metrics


@pytest.mark.parametrize("name", sorted(VAES))
def test_vae_recipe_runs(few_steps: list[str], name: str) -> None:
    network = {"block_out_channels": [4, 6, 8, 10], "norm_num_groups": 2, "latent_channels": 5}
    few = words(task__num_clips=8, task__num_eval_clips=2, task__network=network, task__size_px=24, task__crop_px=16)
    few += words(trainer__batch_size={"images": 2, "clips": 2, "chained": 2}, task__init_from=None, task__balance=0.0)
    metrics = train_vae(load_config(VAERunConfig, CONFIGS / "train" / name, few_steps + few))
    assert metrics
    assert all(map(math.isfinite, metrics.values()))


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_text_encoder_recipe_runs(few_steps: list[str], name: str) -> None:
    few = words(task__num_captions=8, task__num_eval_captions=2, trainer__batch_size={"captions": 4})
    metrics = train_text(load_config(TextRunConfig, CONFIGS / "train" / name, few_steps + few))
    assert 0 < metrics["captions/loss"] < 10


@pytest.mark.parametrize("name", sorted(LUMINA_VIDEOS))
def test_lumina_video_recipe_runs(tmp_path: Path, few_steps: list[str], name: str) -> None:
    """As it is written, but for the model, its encoders and the batches, which are small, and the data."""
    parts, is_raw = task_config(tmp_path), name == "my_raw_clips.yaml"
    vae = str(tiny_vae_folder(tmp_path / "vae")) if is_raw else None
    small = words(task__model=parts.model, task__text_encoder=parts.text_encoder, task__vae=vae, task__init_from=None)
    small += words(task__architecture=None)
    config = load_run(CONFIGS / "train" / name, few_steps + small)
    assert isinstance(config, LuminaVideoRunConfig)
    for kind in ("tasks", "eval_tasks"):
        for task, settings in getattr(config.task, kind).items():
            data = tmp_path / ("images" if settings.media_type == "image" else "videos")
            data = write_raw_clips(tmp_path / "raw") if is_raw else data
            changed = {"data": str(data), "micro_bsz": 2, "global_bsz": 4, "num_workers": 0}
            small += [f"task.{kind}.{task}.{key}={value}" for key, value in changed.items()]
    if config.task.eval_tasks:
        small.append("trainer.eval_every=2")
    result = run(load_run(CONFIGS / "train" / name, few_steps + small))
    assert result.step == 2
    assert 0 < result.metrics["loss"] < 4 * 4


# --- configs/tasks ---------------------------------------------------------------------------------------------------


def test_released_task_file_is_the_tasks_of_our_recipe() -> None:
    (path,) = (CONFIGS / "tasks").glob("*")  # trained by tests/lumos/cli/training/flags/test_lumina_flags.py
    recipe = load_run(CONFIGS / "train" / "lumina_f8F32R256.yaml")
    assert isinstance(recipe, LuminaVideoRunConfig)
    tasks = {name: convert(ScaleTask, settings, name) for name, settings in read_tasks(path).items()}
    assert tasks == recipe.task.tasks


# --- configs/ablations ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", of("ablations"))
def test_ablation_runs(tmp_path: Path, few_steps: list[str], name: str) -> None:
    model = {
        **MODEL,
        "vocab": VOCAB,
        "rotary": load_config(RunConfig, CONFIGS / "ablations" / name).task.model["rotary"],
    }
    clips = write_clips(tmp_path / "clips", num_latent=2)
    small = few_steps + words(task__model=model, task__code_levels=[10, 5], trainer__eval_every=2)
    small += [f"task.data.video={clips}", f"task.eval_data.video={clips}"]
    result = run(load_config(RunConfig, CONFIGS / "ablations" / name, small))
    assert result.step == 2
    assert 0 < result.metrics["video/frame_1"] < 2 * math.log(VOCAB["num_codes"])


# --- configs/data -----------------------------------------------------------------------------------------------------


def write_released(folder: Path) -> None:
    """A set of two samples as the original release wrote them (lumos/lumos1/README.md, section 9)."""
    records = []
    (folder / "files").mkdir(parents=True)
    for index in range(2):
        clip = make_clip(index, 3)
        codes, prompt = torch.from_numpy(clip.codes.astype("int64")), torch.from_numpy(clip.prompt_ids).long()
        tokens = sequence_of(prompt, codes, vocab=Vocab(), fps=clip.fps, duration=clip.duration).tolist()
        file = folder / "files" / f"{index}.pkl"
        file.write_bytes(pickle.dumps({"token": tokens, "label": tokens, "id": index}))
        records.append({"file": str(file), "len": len(tokens), "id": index})
    (folder / "merge-record.json").write_text(json.dumps(records))


@pytest.mark.parametrize("name", of("data"))
def test_data_sets_are_found_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    entries = OmegaConf.to_container(OmegaConf.load(CONFIGS / "data" / name))["META"]
    expected = 0
    for entry in entries:
        path = tmp_path / entry["path"]
        if name.startswith("lumina"):
            write_latents(path, num=4)
            expected += round(4 * entry["ratio"])
            continue
        if path.name == "merge-record.json":
            write_released(path.parent)
        else:
            write_clips(path.parent if path.suffix else path, num_latent=2, num=4)
        expected += round((2 if path.name == "merge-record.json" else 4) * entry["ratio"])
    monkeypatch.chdir(tmp_path)
    if name.startswith("lumina"):
        assert len(LatentSet(CONFIGS / "data" / name)) == expected
        return
    clips = ClipDataset(CONFIGS / "data" / name, vocab=Vocab())
    assert len(clips) == len(clips.lengths) == expected
    assert {clips[index].codes.shape[1:] for index in range(len(clips))} == {(8, 4)}


# --- configs/model ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", of("model"))
def test_model_is_built_with_the_released_vocabulary(name: str) -> None:
    """Its parameters are counted in tests/lumos/lumos1/model."""
    config = read_model_config(LumosTaskConfig(model_config=str(CONFIGS / "model" / name)))
    assert config.vocabulary == Vocab()
    with torch.device("meta"):
        model = LumosForCausalLM(config)
    assert model.lm_head.weight.shape == (Vocab().size, config.hidden_size)
    assert len(model.model.layers) == config.num_hidden_layers


# --- configs/sampler --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def generate() -> Callable[[SamplerConfig], torch.Tensor]:
    """Draws two latent frames with a random model."""
    model = LumosForCausalLM(LumosConfig(**MODEL, vocab=VOCAB)).eval()
    model.reset_parameters(generator=torch.Generator().manual_seed(0))
    prompt = torch.arange(40, 45)

    def draw(sampler: SamplerConfig) -> torch.Tensor:
        noise = [GeneratorNoise(3)]
        return generate_codes(
            model, [prompt], grid=(4, 8), num_latent_frames=2, fps=6, duration=1, sampler=sampler, noise=noise
        )

    return draw


@pytest.mark.parametrize("name", of("sampler"))
def test_sampler_draws(generate: Callable[[SamplerConfig], torch.Tensor], name: str) -> None:
    sampler = load_config(SamplerConfig, CONFIGS / "sampler" / name)
    codes = generate(dataclasses.replace(sampler, num_steps=3))
    assert codes.shape == (1, 2, 4, 8)
    assert 0 <= codes.min() <= codes.max() < VOCAB["num_codes"]
    assert codes.unique().numel() > 10
