"""What is written for GPUs, as far as a CPU can tell: blocks compile whole, a captured pass keeps its memory."""

from collections.abc import Callable, Sequence
from typing import Any

import jaxtyping
import pytest
import torch

from lumos.lumos1.config import SamplerConfig
from lumos.lumos1.model import graphs
from lumos.lumos1.model.modeling import LumosForCausalLM
from lumos.lumos1.model.rope import mm_rope_angles
from lumos.lumos1.rotary import axis_of_channel
from lumos.lumos1.sampling.decode import generate_codes
from lumos.lumos1.sampling.noise import GeneratorNoise


@pytest.mark.slow
def test_blocks_compile_once_whatever_layer_frame_and_prompt(
    make_model: Callable[..., LumosForCausalLM], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were it once a layer, a compiler would give up after eight variants of one function."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # the checker itself does not compile
    num_graphs = {}
    for num_layers in (2, 5):
        plain, compiled = make_model(num_hidden_layers=num_layers), make_model(num_hidden_layers=num_layers)
        graphs: list[torch.fx.GraphModule] = []

        def count(
            graph: torch.fx.GraphModule, _: Sequence[Any], graphs: list[torch.fx.GraphModule] = graphs
        ) -> Callable[..., Any]:
            graphs.append(graph)
            return graph.forward

        torch._dynamo.reset()
        for block in compiled.model.layers:
            block.compile(backend=count)
        # Where the checker is on, its wrapper is one function around all of ours, which has many variants.
        with torch._dynamo.config.patch(recompile_limit=64, fail_on_recompile_limit_hit=True):
            for prompt in (torch.arange(30, 33), torch.arange(30, 39)):
                assert sampled(plain, prompt).equal(sampled(compiled, prompt))
                num_graphs[num_layers, len(prompt)] = len(graphs)
    assert len(set(num_graphs.values())) == 1, num_graphs
    assert num_graphs[5, 3] > 0


def sampled(model: LumosForCausalLM, prompt: torch.Tensor) -> torch.Tensor:
    sampler = SamplerConfig(num_steps=4, guidance_scale=3.0)
    size = {"grid": (4, 8), "num_latent_frames": 3, "fps": 6, "duration": 2}
    return generate_codes(model, [prompt], **size, sampler=sampler, noise=[GeneratorNoise(0)])


def test_angles_follow_the_axis_of_each_channel_on_any_device() -> None:
    positions = torch.randint(0, 50, (2, 3, 9))
    cos, _ = mm_rope_angles(positions, head_dim=32, theta=100.0)
    axis = axis_of_channel(32)[:16]
    angles = positions[:, axis].transpose(1, 2) / 100.0 ** (torch.arange(16) / 16)
    torch.testing.assert_close(cos, angles.cos(), atol=1e-5, rtol=1e-5)


def test_a_captured_pass_is_replayed_on_the_same_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in for the CUDA graph, which runs the pass again when it is replayed."""
    made: list[torch.Tensor] = []

    def run(ids: torch.Tensor) -> torch.Tensor:
        made.append(ids)
        return out.copy_(ids * 2)

    class Graph:
        def replay(self) -> None:
            run(made[-1])

    class Stream:
        def __init__(self, device: torch.device) -> None:
            assert device == torch.device("cpu"), "of the ids, not the current one"

        def wait_stream(self, other: object) -> None: ...

    class Within:
        def __init__(self, *_: object, **__: object) -> None: ...
        def __enter__(self) -> None: ...
        def __exit__(self, *_: object) -> None: ...

    out = torch.empty(2, 3, dtype=torch.long)
    for name, stand_in in {"CUDAGraph": Graph, "Stream": Stream, "stream": Within, "graph": Within}.items():
        monkeypatch.setattr(graphs.torch.cuda, name, stand_in)
    monkeypatch.setattr(graphs.torch.cuda, "current_stream", Stream)
    first, second = torch.full((2, 3), 1), torch.full((2, 3), 5)
    replay = graphs.captured(run, first)
    assert replay(second).equal(second * 2)
    assert replay(first).equal(first * 2)
    assert len({ids.data_ptr() for ids in made}) == 1
    assert made[0].data_ptr() != first.data_ptr()
