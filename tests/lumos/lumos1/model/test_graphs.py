"""What is written for GPUs, as far as a CPU can tell: blocks compile whole, a captured pass keeps its memory."""

import copy

import jaxtyping
import pytest
import torch

from lumos.lumos1.model import graphs
from lumos.lumos1.model.attention import frame_layout
from lumos.lumos1.model.cache import KVCache
from lumos.lumos1.model.modeling import LumosForCausalLM
from lumos.lumos1.model.rope import axis_of_channel, mm_rope_angles


@pytest.mark.slow
def test_a_block_compiles_whole_and_gives_the_same(
    tiny_model: LumosForCausalLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # the checker itself does not compile
    config, block = tiny_model.config, copy.deepcopy(tiny_model.model.layers[0])
    x, positions = torch.randn(2, 12, config.hidden_size), torch.randint(0, 30, (2, 3, 12))
    rotation = mm_rope_angles(positions, head_dim=config.head_dim, theta=config.rope_theta)
    only, results = torch.tensor([[1, 5, 6], [0, 2, 11]]), []
    for compiled in (False, True):
        if compiled:
            block.compile(backend="eager", fullgraph=True)
        cache = KVCache(config, batch_size=2, capacity=40)
        past = torch.ones(2, config.num_key_value_heads, 7, config.head_dim)
        cache.append(0, past, past * 0.5)
        cache.advance(7)
        with torch.no_grad():
            whole = block(x, rotation, frame_layout(2, 12), cache=cache)
            some = block(x, rotation, frame_layout(2, 3), cache=cache, only=only)
        results.append((whole, some))
    torch.testing.assert_close(results[0], results[1])


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
        def wait_stream(self, other: object) -> None: ...

    class Within:
        def __init__(self, *_: object) -> None: ...
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
