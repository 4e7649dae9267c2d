"""CUDA graphs: a pass of the model recorded once and replayed without the CPU's part of it."""

from collections.abc import Callable

import torch
from jaxtyping import Int
from torch import Tensor


def captured(run: Callable[[Tensor], Tensor], ids: Int[Tensor, "B L"]) -> Callable[[Tensor], Tensor]:
    """Return `run` as a CUDA graph for ids of this shape; the result of a call is overwritten by the next one.

    `run` must read and write the same memory in every call, and copy nothing from the CPU.
    """
    static, device = ids.clone(), ids.device
    side = torch.cuda.Stream(device)  # without a name it would be one of the current device, whatever the model's is
    side.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(side):  # kernels are chosen and workspaces made before the recording
        for _ in range(2):
            run(static)
    torch.cuda.current_stream(device).wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    # torch's own stream for captures is made once, on the device that is current then; `side` makes its own current.
    with torch.cuda.graph(graph, stream=side):
        result = run(static)

    def replay(ids: Tensor) -> Tensor:
        static.copy_(ids)
        graph.replay()
        return result

    return replay
