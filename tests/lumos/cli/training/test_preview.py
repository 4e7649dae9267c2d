"""Previews while training: written where people find them, and training is unchanged by them."""

import json
from pathlib import Path

import numpy as np
import pytest

from lumos.cli import main
from lumos.cli.training.exported_model import export_run
from lumos.cli.training.preview import PreviewConfig, PromptPreview
from lumos.cli.training.training_run import RunConfig, run
from lumos.lumos1.data.writing import ClipWriter
from lumos.lumos1.model.modeling import LumosForCausalLM
from lumos.lumos1.sequence import Clip
from lumos.media.reading import read_image
from lumos.tokenizer.text import TextTokenizer
from tests.model_folder import make_model_folder
from xllmx.plot import panels_of, read_curves
from xllmx.run.reporting.metrics import read_metrics
from xllmx.settings.config import load_config

PROMPTS = ["a red circle moves", "a red circle"]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder, and clips coded for it in `clips`."""
    folder = make_model_folder(tmp_path_factory.mktemp("start") / "model")
    bos = TextTokenizer.from_file(folder / "text_tokenizer.json").vocab.bos
    with ClipWriter(folder.parent / "clips") as writer:
        for index in range(6):
            codes = np.random.default_rng(index).integers(0, 60, (3, 8, 12)).astype(np.uint16)
            prompt = np.array([bos, 70 + index, 80], dtype=np.int32)
            writer.add(Clip(prompt_ids=prompt, caption="", codes=codes, fps=4, duration=2, source=str(index)))
    return folder


def settings(start: Path, folder: Path, *words: str) -> RunConfig:
    trainer = f"run_dir: {folder}, max_steps: 4, batch_size: {{video: 2}}, device: cpu, precision: fp32"
    task = (
        f"init_from: {start}, data: {{video: {start.parent / 'clips'}}}, eval_data: {{video: {start.parent / 'clips'}}}"
    )
    words = (f"trainer={{{trainer}, progress: false, log_every: 1}}", f"task={{{task}}}", *words)
    return load_config(RunConfig, None, words)


def test_clips_are_written_and_training_is_as_without(start: Path, tmp_path: Path) -> None:
    samples = f"samples={{every: 2, prompts: {json.dumps(PROMPTS)}, settings: {{num_frames: 1}}}}"
    run(settings(start, tmp_path / "with", samples))
    run(settings(start, tmp_path / "without"))
    paths = sorted(path.relative_to(tmp_path / "with") for path in (tmp_path / "with").rglob("*.png"))
    assert [str(path) for path in paths] == [
        f"samples/step-0000000{step}/{name}.png"
        for step in (2, 4)
        for name in ("00-a-red-circle-moves", "01-a-red-circle")
    ]
    assert read_image(tmp_path / "with" / paths[0]).shape == (64, 96, 3)
    losses = [[row["loss"] for row in read_metrics(tmp_path / name)] for name in ("with", "without")]
    assert losses[0] == losses[1]
    weights = [
        export_run(tmp_path / name, tmp_path / f"{name}-model") / "model.safetensors" for name in ("with", "without")
    ]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    assert "samples" in (tmp_path / "with" / "config.yaml").read_text()


def test_videos_are_videos_and_a_seed_makes_them_again(start: Path, tmp_path: Path) -> None:

    config = PreviewConfig(every=5, prompts=("a red circle",), settings={"num_inference_steps": 1})
    preview = PromptPreview(config, tmp_path, init_from=str(start))
    model = LumosForCausalLM.from_pretrained(start).train()
    first, again = preview(model, 5), preview(model, 10)
    assert [str(path.relative_to(tmp_path)) for path in (*first, *again)] == [
        f"step-000000{step}/00-a-red-circle.mp4" for step in ("05", "10")
    ]
    assert next(iter(first.values())).shape == (9, 64, 96, 3)
    assert (next(iter(first.values())) == next(iter(again.values()))).all()
    assert model.training


def test_the_run_folder_and_the_frame_wise_plot(
    start: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    modes = "task.eval_modes=[text_to_video, video_next_frame]"
    run(settings(start, tmp_path / "run", modes, "trainer.eval_every=4", "trainer.eval_batches=1"))
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        "config.yaml", "environment.json", "metrics.jsonl", "log.txt", "checkpoints",
    }  # fmt: skip
    row = read_metrics(tmp_path / "run", "eval")[0]
    assert {f"video/text_to_video/frame_{frame}" for frame in range(3)} <= row.keys()
    assert "video/video_next_frame/frame_2" in row
    assert "video/video_next_frame/frame_0" not in row
    train = read_metrics(tmp_path / "run")[-1]
    shown = {"loss", "grad_norm", "lr", "tokens_per_s", "tflops_per_s", "peak_memory_bytes", "data_wait_share"}
    assert shown <= train.keys()
    assert main(["plot", str(tmp_path / "run")]) == 0
    assert "video" in capsys.readouterr().out
    pytest.importorskip("matplotlib")
    assert main(["plot", str(tmp_path / "run"), "--out", str(tmp_path / "curves.svg")]) == 0
    panels = panels_of(read_curves([tmp_path / "run"]))
    assert [curve.label for curve in panels["loss of each frame, video"]] == ["frame 0", "frame 1", "frame 2"]
    assert (tmp_path / "curves.svg").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("fields", "message"),
    [({"every": -1}, r"samples\.every is -1"), ({"every": 3}, r"samples\.prompts is empty")],
)
def test_settings_are_checked(fields: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PreviewConfig(**fields)


def test_previews_need_tokenizers(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"set samples\.tokenizers"):
        PromptPreview(PreviewConfig(every=1, prompts=("a",)), tmp_path, init_from=None)
