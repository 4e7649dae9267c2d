"""The pretended GPU itself: it finds what a real one refuses, and counts what one waits for."""

import shutil

import pytest
import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend

from tests.gpu.pretend_gpu import COMPILER, pretend_gpu
from xllmx.kernels.attention import attention

pytestmark = pytest.mark.skipif(shutil.which(COMPILER) is None, reason="a pretended GPU needs a C++ compiler")


def test_numbers_are_those_of_the_cpu_and_devices_do_not_mix() -> None:
    x, y = torch.randn(3, 4), torch.randn(4)
    with pretend_gpu() as gpu:
        there = x.to("cuda", non_blocking=True)
        assert there.is_cuda
        found = (there[1:] * 2).sum(dim=1)
        assert gpu.counts.launches == {"mul.Tensor": 1, "sum.dim_IntList": 1}
        with pytest.raises(RuntimeError, match="mixes devices"):
            there + y
        assert found.cpu().equal((x[1:] * 2).sum(dim=1))
        assert (gpu.counts.copies, dict(gpu.counts.waits)) == (1, {"copy to the host": 1})


@pytest.mark.parametrize("how", ["item", "tolist", "nonzero", "mask", "host_index", "bool"])
def test_what_the_host_must_know_is_a_wait(how: str) -> None:
    with pretend_gpu() as gpu:
        x = torch.arange(5, device="cuda")
        gpu.take()
        {
            "item": lambda: x[2].item(),
            "tolist": x.tolist,
            "nonzero": x.nonzero,
            "mask": lambda: x[x > 2],
            "host_index": lambda: x[[0, 3]],
            "bool": lambda: bool((x > 2).any()),
        }[how]()
        assert sum(gpu.counts.waits.values()) == 1


def test_a_capture_refuses_waits_and_a_replay_uses_the_same_memory() -> None:
    with pretend_gpu() as gpu:
        x, graph = torch.arange(4.0).to("cuda"), torch.cuda.CUDAGraph()
        stream = torch.cuda.Stream(x.device)
        with torch.cuda.graph(graph, stream=stream):
            doubled = x * 2
            doubled.add_(F.rms_norm(x, (4,)) * 0)
        assert gpu.counts.faults == []
        x.fill_(5)
        graph.replay()
        assert doubled.tolist() == [10.0] * 4
        with torch.cuda.graph(torch.cuda.CUDAGraph(), stream=stream):
            x.sum().item()
        assert gpu.counts.faults == ["_local_scalar_dense.default"]


@pytest.mark.parametrize(("backend", "first"), [("auto", "FLASH_ATTENTION"), ("cudnn", "CUDNN_ATTENTION")])
def test_kernels_of_attention_are_chosen_by_name(backend: str, first: str) -> None:
    q, k, v = (torch.randn(1, heads, 3, 8).bfloat16() for heads in (4, 2, 2))
    expected = attention(q, k, v)
    with pretend_gpu() as gpu:
        found = attention(*(x.to("cuda") for x in (q, k, v)), backend=backend)
        assert found.cpu().equal(expected)
        (allowed,) = gpu.counts.kernels
        assert allowed[0] == getattr(SDPBackend, first)
        assert (SDPBackend.CUDNN_ATTENTION in allowed) == (backend == "cudnn")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("masked", [False, True])
def test_grouped_heads_are_repeated_where_no_fused_kernel_takes_them(dtype: torch.dtype, masked: bool) -> None:
    q, k, v = (torch.randn(1, heads, 3, 8).to(dtype) for heads in (4, 2, 2))
    mask = torch.ones(1, 1, 3, 3, dtype=torch.bool).tril() if masked else None
    with pretend_gpu() as gpu:
        on_gpu = [None if x is None else x.to("cuda") for x in (q, k, v, mask)]
        found = attention(*on_gpu[:3], mask=on_gpu[3])
        torch.testing.assert_close(found.cpu(), attention(q, k, v, mask=mask))
        ((_, keys, *_),) = gpu.counts.attention
    assert keys[1] == (2 if dtype == torch.bfloat16 and not masked else 4)
