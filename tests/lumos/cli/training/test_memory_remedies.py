"""Full memory in training is one line that names the settings of the run to lower."""

import json
from pathlib import Path

import pytest
import torch

from lumos.cli.training import training_run
from lumos.cli.training.memory_remedies import naming_what_to_lower, remedies
from tests.lumos.lumina_video.latents import run_config
from tests.tiny_data import MODEL, VOCAB, write_clips
from xllmx.ranks.parallel import ParallelConfig

CUDA_SAYS = (
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.10 GiB of which 1.6 GiB is free. "
    "Including non-PyTorch memory, this process has 77.48 GiB memory in use. Of the allocated memory 74.20 GiB is "
    "allocated by PyTorch, and 2.31 GiB is reserved by PyTorch but unallocated."
)


def test_the_largest_batch_and_what_costs_only_time_come_first() -> None:
    said = remedies({"a.image": 6, "a.video": 2}, ParallelConfig(), shorter="shorten clips")
    assert said.startswith(
        "set parallel.activation_checkpointing=true, lower a.image=6, shorten clips, or take more GPUs"
    )
    parallel = ParallelConfig(activation_checkpointing=True, sharding="none")
    said = remedies({"a.image": 1}, parallel, shorter="shorten clips")
    assert said.startswith("shorten clips, or set parallel.sharding=full on more GPUs; ")


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(RuntimeError, match=r"^something else$"), naming_what_to_lower("less"):
        raise RuntimeError("something else")


@pytest.mark.parametrize("model", ["lumos1", "lumina_video"])
def test_a_gpu_that_is_full_ends_a_training_of_either_model_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], model: str
) -> None:
    class Full:
        def __init__(self, *_: object, **__: object) -> None:
            raise torch.OutOfMemoryError(CUDA_SAYS)

    monkeypatch.setattr(training_run, "Trainer", Full)
    if model == "lumos1":
        task = {
            "data": {"video": str(write_clips(tmp_path / "video", num_latent=2))},
            "model": MODEL | {"vocab": VOCAB},
        }
        trainer = {"run_dir": str(tmp_path / "run"), "max_steps": 2, "device": "cpu", "batch_size": {"video": 3}}
        path = tmp_path / "run.yaml"
        path.write_text(json.dumps({"trainer": trainer, "task": task}))
        lowered = "lower trainer.batch_size.video=3"
    else:
        path, lowered = run_config(tmp_path), "lower task.tasks.images.micro_bsz=6"
    capsys.readouterr()
    assert training_run.main(["--config", str(path)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith("lumos.train: error: memory is full (CUDA out of memory. Tried to allocate 2.00 GiB.")
    assert "set parallel.activation_checkpointing=true" in said
    assert lowered in said
    assert said.endswith("lumos train --dry-run counts what each takes\n")
    assert "[...]" not in said
