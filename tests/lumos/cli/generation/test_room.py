"""What does not fit a GPU is refused before weights are read, with the number of clips that do."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from lumos.cli.generation import room
from lumos.cli.jobs.outputs import PlainFolder
from lumos.cli.jobs.runner import Job, Plan, plan_jobs
from lumos.cli.models.door import find_model
from lumos.cli.models.kind import Model
from tests.lumos.cli.console import Lumos

MODELS = ["lumos-tiny", "lumina-tiny"]
Gpu = Callable[[int], None]


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Gpu:
    """Makes the check see a GPU with so many bytes free."""

    def make(free: int) -> None:
        monkeypatch.setattr(room, "choose_device", lambda name: torch.device("cuda"))
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 2**40))

    return make


def planned(ckpts: Path, folder: Path, name: str, *, batch_size: int, **how: bool) -> tuple[Model, Plan]:
    """Four clips, three of them in the first batch."""
    model = find_model(name, ckpts, how=how)
    jobs = [Job(name=f"{number}.mp4", prompt=f"a star {number}") for number in range(4)]
    return model, plan_jobs(jobs, PlainFolder(folder), model.recipe({"num_frames": 8}), batch_size=batch_size)


def peak(model: Model, plan: Plan, clips: int) -> int:
    return model.kind.costs(model, torch.bfloat16).of_batch(plan.batches[0][:clips]).peak


@pytest.fixture
def small_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    """In so small a model decoding one clip takes more than sampling three."""
    monkeypatch.setattr("lumos.tokenizer.visual.decoding_bytes", lambda *_: 0)
    monkeypatch.setattr("lumos.lumina_video.vae.CogVideoXVAE.decoding_bytes", lambda *_, **__: 0)


@pytest.mark.usefixtures("small_decoding")
@pytest.mark.parametrize("name", MODELS)
def test_a_batch_that_does_not_fit_is_refused_with_one_that_does(
    ckpts: Path, tmp_path: Path, gpu: Gpu, name: str
) -> None:
    model, plan = planned(ckpts, tmp_path, name, batch_size=3, keep_encoders=True)
    one, two, three = (peak(model, plan, clips) for clips in (1, 2, 3))
    assert one < two < three
    gpu(three)
    room.check_room(model, plan)
    for free, fits in ((three - 1, 2), (two - 1, 1)):
        gpu(free)
        with pytest.raises(ValueError, match=rf"^3 clips at once of .* lower --batch-size to {fits}$"):
            room.check_room(model, plan)
    with pytest.raises(ValueError, match=r"keys and values \d.\d\d \(\d.\d\d a clip\)|network \d"):
        room.check_room(model, plan)
    gpu(one - 1)
    with pytest.raises(ValueError, match=r"decoding \d.*\), and cuda has 0.00 free; ask for a smaller --resolution"):
        room.check_room(model, plan)


@pytest.mark.parametrize("name", MODELS)
def test_decoding_counts_where_it_takes_most(ckpts: Path, tmp_path: Path, name: str) -> None:
    model, plan = planned(ckpts, tmp_path, name, batch_size=3)
    memory = model.kind.costs(model, torch.bfloat16).of_batch(plan.batches[0])
    work = {part: memory.parts[part] for part in ("largest pass", "decoding")}
    assert work["decoding"] > work["largest pass"]
    assert memory.peak > work["decoding"]


def test_blocks_that_stay_in_the_host_s_memory_do_not_count(ckpts: Path, tmp_path: Path) -> None:
    whole, offloaded = (planned(ckpts, tmp_path, MODELS[0], batch_size=3, offload=flag) for flag in (False, True))
    costs = [model.kind.costs(model, torch.bfloat16).of_batch(plan.batches[0]) for model, plan in (whole, offloaded)]
    assert costs[0].parts["weights"] >= costs[1].parts["weights"]


def test_the_command_asks_before_it_loads(lumos: Lumos, gpu: Gpu, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lumos.lumos1.pipeline.LumosPipeline.from_pretrained", lambda *_, **__: pytest.fail("loaded"))
    gpu(1)
    status, said, error = lumos("generate", "--prompt", "a", "--num-frames", "1")
    assert (status, said, error.count("\n")) == (2, "", 1)
    assert "1 clip of 96x64 and 1 frames takes 0.00 GiB by arithmetic" in error
