"""A GPU that is none: tensors that say they lie on cuda:0 and hold their numbers on the CPU, every operation counted.

An operation that mixes devices raises. Counted are launches (operations that compute something on the device), waits
(the host reads a result, or must know one to give a tensor its size), copies from the host, and the calls of attention
with their sizes, strides and allowed kernels. While a CUDA graph is captured, waits and copies are faults; a replay
runs the recorded operations on the recorded memory. How a real GPU rounds, or how long it takes, is not seen.

`torch.inference_mode` and gradients are beyond it: call the wrapped function under `torch.no_grad`.
"""

import ctypes
import os
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, _cur_sdpa_kernel_backends
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes, return_and_correct_aliasing

aten = torch.ops.aten
CUDA = torch.device("cuda", 0)

_ALLOCATIONS = ("empty", "detach", "alias", "_unsafe_view", "new_empty", "lift_fresh", "_reshape_alias")
_WAITS = {
    *(aten._local_scalar_dense.default, aten.equal.default, aten.nonzero.default, aten.masked_select.default),
    *(aten.bincount.default, aten.unique_consecutive.default, aten._unique2.default, aten.repeat_interleave.Tensor),
}
_READS = {aten._local_scalar_dense.default, aten.equal.default}  # whose result is no tensor of the device
_INDEXING = {aten.index.Tensor, aten.index_put.default, aten.index_put_.default, aten._index_put_impl_.default}


COMPILER = os.environ.get("CXX", "g++")
_GUARD = """
#include <c10/core/impl/DeviceGuardImplInterface.h>
C10_REGISTER_GUARD_IMPL(CUDA, c10::impl::NoOpDeviceGuardImpl<c10::DeviceType::CUDA>)
"""


class OnGpu(Tensor):
    """A tensor of the pretended device."""

    held: Tensor
    """Its numbers."""

    @staticmethod
    def __new__(cls, held: Tensor) -> "OnGpu":
        """Return a tensor with the sizes of `held`."""
        sizes = {"strides": held.stride(), "storage_offset": held.storage_offset(), "dtype": held.dtype}
        return torch.Tensor._make_wrapper_subclass(cls, held.size(), **sizes, device=CUDA)

    def __init__(self, held: Tensor) -> None:
        self.held = held

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation outside of `PretendGpu`, which counts: there is none."""
        raise AssertionError(f"{func} on a tensor of the pretended GPU, outside of its context")


@dataclass
class Counts:
    """What happened since the last `take`."""

    launches: Counter[str] = field(default_factory=Counter)
    """By operation."""
    waits: Counter[str] = field(default_factory=Counter)
    """Of the host for the device, by operation."""
    copies: int = 0
    """From the host that do not wait."""
    attention: Counter[tuple[Any, ...]] = field(default_factory=Counter)
    """Calls, by sizes, strides and dtypes of all arguments."""
    kernels: set[tuple[SDPBackend, ...]] = field(default_factory=set)
    """Kernels that attention was allowed."""
    faults: list[str] = field(default_factory=list)
    """What a capture would have refused."""


class PretendGpu(TorchDispatchMode):
    """The device, while its context lasts; use `pretend_gpu`."""

    def __init__(self) -> None:
        super().__init__()
        self.counts = Counts()
        self.tape: list[Callable[[], object]] | None = None
        """Of the graph that is being captured."""

    def take(self) -> Counts:
        """Return the counts and begin new ones."""
        counts, self.counts = self.counts, Counts()
        return counts

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Return the result of an operation, on the device if any of its tensors is or is asked to be."""
        kwargs = kwargs or {}
        given = pytree.tree_leaves((args, kwargs))
        ours = [x for x in given if isinstance(x, OnGpu)]
        to_gpu = any(isinstance(x, torch.device) and x.type == "cuda" for x in given)
        if not ours and not to_gpu:
            return func(*args, **kwargs)
        if func in (aten._to_copy.default, aten.copy_.default):
            source, target = (args[1], args[0]) if func is aten.copy_.default else (args[0], None)
            goes_to_gpu = isinstance(target, OnGpu) if target is not None else self._stays(source, kwargs)
            self._moved(source, goes_to_gpu=goes_to_gpu, waits=not _non_blocking(args, kwargs))
        else:
            goes_to_gpu = self._computed(func, args, given, ours)
        held_args, held_kwargs = pytree.tree_map(_held, (args, kwargs))
        with _disable_current_modes():
            result = func(*held_args, **held_kwargs)
        if self.tape is not None:
            self.tape.append(lambda: _again(func, held_args, held_kwargs, result))
        if not goes_to_gpu:
            return result
        wrappers = {id(_held(x)): x for x in ours}
        wrapped = pytree.tree_map(lambda x: wrappers.get(id(x), OnGpu(x)) if isinstance(x, Tensor) else x, result)
        return return_and_correct_aliasing(func, args, kwargs, wrapped)

    def attended(self, q: Tensor, k: Tensor, v: Tensor, **options: Any) -> Tensor:
        """Return attention on the device."""
        mask = options.get("attn_mask")
        self.counts.launches["attention"] += 1
        self.counts.attention[tuple((*x.shape, *x.stride(), x.dtype) for x in (q, k, v, mask) if x is not None)] += 1
        self.counts.kernels.add(tuple(_cur_sdpa_kernel_backends(with_priority=True)))
        return self.whole(F.scaled_dot_product_attention, (q, k, v), options)

    def whole(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Tensor:
        """Return the result of a function that is one operation on the device."""
        held_args, held_kwargs = pytree.tree_map(_held, (args, kwargs))
        with _disable_current_modes(), torch._C.DisableTorchFunction():
            result = func(*held_args, **held_kwargs)
        if self.tape is not None:
            self.tape.append(lambda: result.copy_(func(*held_args, **held_kwargs)))
        return OnGpu(result)

    def wait(self, why: str) -> None:
        """Count a wait of the host."""
        self.counts.waits[why] += 1
        if self.tape is not None:
            self.counts.faults.append(why)

    def _stays(self, source: Tensor, kwargs: dict[str, Any]) -> bool:
        device = kwargs.get("device")
        return isinstance(source, OnGpu) if device is None else torch.device(device).type == "cuda"

    def _moved(self, source: Tensor, *, goes_to_gpu: bool, waits: bool) -> None:
        """Count a copy: within the device, to it, or from it."""
        if isinstance(source, OnGpu) and goes_to_gpu:
            self.counts.launches["copy"] += 1
        elif isinstance(source, OnGpu) or waits:
            self.wait("copy to the host" if isinstance(source, OnGpu) else "copy from the host")
        else:
            self.counts.copies += 1
            if self.tape is not None:
                self.counts.faults.append("copy from the host")

    def _computed(self, func: Any, args: Any, given: list[Any], ours: list[OnGpu]) -> bool:
        """Count an operation; return whether its result lies on the device."""
        name = str(func).removeprefix("aten.")
        others = [x for x in given if isinstance(x, Tensor) and not isinstance(x, OnGpu) and x.ndim > 0]
        if func in _INDEXING:
            indices = [index for index in args[1] if index is not None]
            if any(index.dtype == torch.bool for index in indices):
                self.wait(f"{name} by a mask")
            on_host = [index for index in indices if not isinstance(index, OnGpu)]
            for _ in on_host:
                self.wait(f"{name} by an index of the host")
            others = [x for x in others if not any(x is index for index in on_host)]
        if others and ours:
            raise RuntimeError(f"{name} mixes devices: cuda {[*ours[0].shape]}, cpu {[*others[0].shape]}")
        if func in _WAITS:
            self.wait(name)
        if not func.is_view and not name.startswith(_ALLOCATIONS):
            self.counts.launches[name] += 1
        return func not in _READS


class _Attention(TorchFunctionMode):
    """Takes attention as a whole, and lists of numbers; below it they are many operations."""

    def __init__(self, gpu: PretendGpu) -> None:
        super().__init__()
        self._gpu = gpu

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Return the function's result."""
        if args and isinstance(args[0], OnGpu):
            if func is F.scaled_dot_product_attention:
                return self._gpu.attended(*args, **(kwargs or {}))
            if func is F.rms_norm:  # CUDA has one kernel for it
                self._gpu.counts.launches["rms_norm"] += 1
                return self._gpu.whole(func, args, kwargs or {})
            if func is Tensor.tolist:
                self._gpu.wait("tolist")
                return args[0].held.tolist()
        return func(*args, **(kwargs or {}))


class _Graph:
    """`torch.cuda.CUDAGraph`: the operations of a capture."""

    tape: list[Callable[[], object]]

    def replay(self) -> None:
        """Run them again on the same memory."""
        with _disable_current_modes(), torch._C.DisableTorchFunction():
            for operation in self.tape:
                operation()


class Stream:
    """`torch.cuda.Stream`, of a named device."""

    def __init__(self, device: Any = None) -> None:
        self.device = device

    def wait_stream(self, other: "Stream") -> None:
        """Do nothing: all is in order."""


@contextmanager
def pretend_gpu() -> Iterator[PretendGpu]:
    """Make a device for as long as the context lasts."""
    gpu = PretendGpu()

    @contextmanager
    def capture(graph: _Graph, *, stream: Stream) -> Iterator[None]:
        assert stream.device == CUDA, "captured on the current device, not on the model's"
        graph.tape = gpu.tape = []
        try:
            yield
        finally:
            gpu.tape = None

    def within(stream: Stream) -> AbstractContextManager[None]:
        return nullcontext()

    _register_guard()
    stand_ins = {"CUDAGraph": _Graph, "graph": capture, "Stream": Stream, "current_stream": Stream, "stream": within}
    stand_ins["_lazy_init"] = _nothing
    was = torch._C._only_lift_cpu_tensors()
    torch._C._set_only_lift_cpu_tensors(True)
    try:
        with mock.patch.multiple(torch.cuda, **stand_ins), torch.no_grad(), gpu, _Attention(gpu):
            yield gpu
    finally:
        torch._C._set_only_lift_cpu_tensors(was)


def to_gpu(model: nn.Module) -> nn.Module:
    """Return the model with its weights on the device, changed in place."""
    for module in model.modules():
        for name, weight in module.named_parameters(recurse=False):
            module._parameters[name] = nn.Parameter(OnGpu(weight.detach()), requires_grad=False)
        for name, buffer in module.named_buffers(recurse=False):
            module._buffers[name] = OnGpu(buffer)
    return model


@cache
def _register_guard() -> None:
    """Let torch change to the device and back: a build for CPUs knows no way, and asks for one at every index."""
    torch_folder = Path(torch.__file__).parent
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "guard.so"
        command = [COMPILER, "-shared", "-fPIC", "-std=c++20", f"-I{torch_folder}/include", "-x", "c++", "-"]
        command += ["-o", str(library), f"-L{torch_folder}/lib", "-lc10"]
        subprocess.run(command, input=_GUARD, text=True, check=True)
        ctypes.CDLL(str(library), ctypes.RTLD_GLOBAL)


def _held(x: Any) -> Any:
    if isinstance(x, OnGpu):
        return x.held
    return torch.device("cpu") if isinstance(x, torch.device) else x


def _non_blocking(args: Any, kwargs: dict[str, Any]) -> bool:
    return bool(kwargs.get("non_blocking", args[2] if len(args) > 2 else False))


def _again(func: Any, args: Any, kwargs: Any, result: Any) -> None:
    """Run an operation again, its result into the same memory."""
    for old, new in zip(pytree.tree_leaves(result), pytree.tree_leaves(func(*args, **kwargs)), strict=True):
        if isinstance(old, Tensor) and old.data_ptr() != new.data_ptr():
            old.copy_(new)


def _nothing() -> None:
    """Do nothing."""
