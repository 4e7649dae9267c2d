"""Lumos-1 on a GPU, as far as a pretended one can tell: what is waited for and launched, which shapes repeat."""

import shutil
from collections import Counter
from collections.abc import Sequence
from typing import Any
from unittest import mock

import pytest
import torch
from torch.nn.attention import SDPBackend

from lumos.lumos1.config import LumosConfig, SamplerConfig
from lumos.lumos1.model.modeling import LumosForCausalLM
from lumos.lumos1.sampling import decode
from lumos.lumos1.sampling.refine import FrameCodes, GeneratorNoise, refine
from lumos.lumos1.sampling.request import ClipRequest
from tests.gpu.pretend_gpu import COMPILER, Counts, pretend_gpu, to_gpu
from tests.tiny_data import VOCAB

pytestmark = pytest.mark.skipif(shutil.which(COMPILER) is None, reason="a pretended GPU needs a C++ compiler")

STEPS = 5
ADAPTIVE = {"entropy_bound": 20.0, "guidance_tolerance": 0.06, "later_steps": 0.8}


def made(num_layers: int, **changes: Any) -> LumosForCausalLM:
    """Return a model whose logits differ enough for a changed token to show."""
    config = LumosConfig(
        **{
            "vocab": VOCAB,
            "vocab_size": VOCAB["size"],
            "hidden_size": 48,
            "intermediate_size": 80,
            "num_hidden_layers": num_layers,
            "num_attention_heads": 6,
            "num_key_value_heads": 2,
            "max_position_embeddings": 600,
            "initializer_range": 0.3,
            **changes,
        }
    )
    model = LumosForCausalLM(config).eval()
    model.reset_parameters(generator=torch.Generator().manual_seed(1))
    return model


def request(prompts: Sequence[int] = (5,), *, num_latent_frames: int = 3, **sampler: Any) -> ClipRequest:
    """Return clips of prompts of so many tokens."""
    return ClipRequest(
        prompt_ids=[torch.arange(70, 70 + length) for length in prompts],
        grid=(8, 4),
        num_latent_frames=num_latent_frames,
        fps=6,
        duration=2,
        sampler=SamplerConfig(**{"num_steps": STEPS, "guidance_scale": 3.0, **sampler}),
        noise=[GeneratorNoise(seed) for seed in range(len(prompts))],
    )


def on_gpu(model: LumosForCausalLM, clips: ClipRequest, *, graphs: bool = False) -> tuple[torch.Tensor, list[Counts]]:
    """Return the codes, and what each refinement counts, its pass included; the first holds the text's pass too."""
    counts: list[Counts] = []

    def counted(*args: Any, **kwargs: Any) -> FrameCodes:
        refined = refine(*args, **kwargs)
        counts.append(gpu.take())
        return refined

    frames = decode.finished_frames.__wrapped__  # within inference mode torch asks the pretended GPU nothing
    patched = mock.patch.multiple(decode, refine=counted, finished_frames=frames)
    with pretend_gpu() as gpu, patched:
        codes = decode.generate.__wrapped__(to_gpu(model), clips, graphs=graphs).codes.held
    return codes, counts


@pytest.mark.parametrize("sampler", [{}, ADAPTIVE, {"confidence_temperature": "per_frame", "random_history": True}])
@pytest.mark.parametrize("graphs", [False, True])
def test_the_codes_are_those_of_the_cpu(sampler: dict[str, Any], graphs: bool) -> None:
    model, clips = made(2), request((5, 2, 9), **sampler)
    expected = decode.generate(model, clips).codes
    codes, refinements = on_gpu(model, clips, graphs=graphs)
    assert codes.equal(expected)
    assert [counts.faults for counts in refinements if counts.faults] == []


@pytest.mark.parametrize("batch", [1, 8])
def test_an_exact_refinement_waits_once_whatever_the_batch(batch: int) -> None:
    _, refinements = on_gpu(made(2), request([3 + clip for clip in range(batch)]))
    del refinements[::STEPS]  # the first of a frame keeps the frame before as well
    assert [sum(counts.waits.values()) for counts in refinements] == [1] * len(refinements), refinements[0].waits
    assert [counts.copies for counts in refinements] == [1] * len(refinements)


def test_an_adaptive_refinement_reads_its_counts_once() -> None:
    _, refinements = on_gpu(made(2), request((5, 2, 9), **ADAPTIVE))
    reads = [counts.waits["_local_scalar_dense.default"] + counts.waits["tolist"] for counts in refinements]
    assert max(reads) <= 3  # whether all is finite, the counts, where guidance ends


def test_a_refinement_of_16_layers_has_few_launches() -> None:
    model = made(16).bfloat16()
    _, refinements = on_gpu(model, request(num_latent_frames=2, confidence_temperature="per_frame"))
    launches = [sum(counts.launches.values()) for counts in refinements[1:STEPS]]
    assert max(launches) <= 450, refinements[1].launches
    small = [sum(counts.launches.values()) for counts in refinements[STEPS + 1 :]]
    assert small[: STEPS - 1] == launches, "all frames alike"


@pytest.mark.parametrize("prompt", [3, 40])
def test_a_clip_has_few_shapes_of_attention_and_no_plan_of_cudnn(prompt: int) -> None:
    _, refinements = on_gpu(made(2).bfloat16(), request((prompt,), num_latent_frames=7, num_steps=20))
    shapes, kernels = _attention(refinements)
    assert len(shapes) <= 40
    assert all(SDPBackend.CUDNN_ATTENTION not in allowed for allowed in kernels)
    assert all(allowed[0] == SDPBackend.FLASH_ATTENTION for allowed in kernels)


def test_shapes_of_the_frames_do_not_follow_the_prompt_but_for_its_keys() -> None:
    found = []
    for prompt in (3, 40):
        _, refinements = on_gpu(made(2).bfloat16(), request((prompt,)))
        shapes, _ = _attention(refinements[1:])
        # sizes and strides of the queries, strides of the keys: all but how many keys there are
        found.append({(q, k[:2], k[3:]) for q, k, *_ in shapes})
    assert found[0] == found[1]


def test_a_graph_is_captured_on_the_model_s_device_and_replayed() -> None:
    _, refinements = on_gpu(made(2), request(num_latent_frames=2), graphs=True)
    eager = sum(refinements[0].launches.values())
    replayed = sum(refinements[2].launches.values())
    assert replayed < eager / 2


def _attention(refinements: Sequence[Counts]) -> tuple[Counter[Any], set[tuple[SDPBackend, ...]]]:
    shapes: Counter[Any] = Counter()
    kernels: set[tuple[SDPBackend, ...]] = set()
    for counts in refinements:
        shapes.update(counts.attention)
        kernels |= counts.kernels
    return shapes, kernels
