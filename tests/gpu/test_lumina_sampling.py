"""Lumina-Video on a GPU, as far as a pretended one can tell: waits, copies and launches of an evaluation."""

import shutil

import pytest
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend

from lumos.lumina_video.flow import FlowPreset, noise_for, sample_latents
from tests.gpu.pretend_gpu import COMPILER, Counts, OnGpu, pretend_gpu, to_gpu
from tests.lumos.lumina_video.tiny import CONFIG, LATENT_CHANNELS, TEXT_WIDTH, tiny_dit

pytestmark = pytest.mark.skipif(shutil.which(COMPILER) is None, reason="a pretended GPU needs a C++ compiler")

PRESET = FlowPreset.from_dict(
    {"P": "1x2", "step": 5, "ts": 4.0, "renorm": 2.0, "cfg": (3.0, (0.7, 0.0)), "motion": 6.0, "negMotion": 2.0}
)


def inputs(num_items: int, *, num_tokens: int) -> dict[str, Tensor]:
    """Return texts of which the last is shorter, and one negative for all."""
    mask = torch.ones(num_items, num_tokens, dtype=torch.bool)
    mask[-1, 4:] = False
    return {
        "text": torch.randn(num_items, num_tokens, TEXT_WIDTH),
        "text_mask": mask,
        "negative_text": torch.randn(1, 3, TEXT_WIDTH),
        "negative_mask": torch.ones(1, 3, dtype=torch.bool),
    }


def on_gpu(num_items: int, *, num_tokens: int = 5, dtype: torch.dtype = torch.float32) -> tuple[Tensor, list[Counts]]:
    """Return the latents and what each step counts; the first holds what is made of the texts too."""
    torch.manual_seed(0)
    given, noise = (
        inputs(num_items, num_tokens=num_tokens),
        torch.stack([noise_for(seed, (LATENT_CHANNELS, 4, 8, 12)) for seed in range(num_items)]),
    )
    expected = sample_latents(tiny_dit().to(dtype), noise, preset=PRESET, **given)
    counts: list[Counts] = []
    with pretend_gpu() as gpu:
        found = sample_latents(
            to_gpu(tiny_dit().to(dtype)),
            noise.to("cuda"),
            preset=PRESET,
            **{name: tensor.to("cuda") for name, tensor in given.items()},
            on_step=lambda index, state: counts.append(gpu.take()),
        )
    assert isinstance(found, OnGpu)
    torch.testing.assert_close(found.held, expected, atol=1e-5 if dtype == torch.float32 else 0.2, rtol=1e-4)
    return found.held, counts


@pytest.mark.parametrize("num_items", [1, 3])
def test_an_evaluation_waits_once_and_copies_one_tensor(num_items: int) -> None:
    _, (_, *later) = on_gpu(num_items)
    guided_ends = [index for index, counts in enumerate(later) if sum(counts.waits.values()) > 1]
    assert len(guided_ends) <= 1  # the texts are gone through once more where guidance ends
    assert all(sum(counts.waits.values()) == 1 for index, counts in enumerate(later) if index not in guided_ends)
    assert {counts.copies for counts in later} == {1}


def test_launches_of_an_evaluation_follow_its_blocks() -> None:
    _, (_, second, *_) = on_gpu(2, dtype=torch.bfloat16)
    launches = sum(second.launches.values())
    assert launches <= 62 * CONFIG.n_layers + 75, second.launches


def test_steps_alike_have_the_same_shapes_and_no_plan_of_cudnn() -> None:
    _, counts = on_gpu(2)
    shapes = {shape for one in counts for shape in one.attention}
    assert len(shapes) <= 2 * 2  # to the video and to the text, with guidance and without
    kernels = {allowed for one in counts for allowed in one.kernels}
    assert all(SDPBackend.CUDNN_ATTENTION not in allowed for allowed in kernels)
