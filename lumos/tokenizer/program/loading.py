"""TorchScript programs (`encoder.jit`, `decoder.jit`) of whoever made them: looked through, then loaded, then checked.

archive     one listing, nothing packed, no part that torch does not write
pickles     they ask for tensors and for the classes of the archive itself; no tensor is larger than what is stored
source      nothing runs on loading (`source`)
graphs      of every function, after loading and before the first call: only operators of the list (`operators`),
            and loops of so many turns (`loops`)
devices     that tracing has written into the graphs are replaced by the one the program is loaded for
"""

import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import torch

from lumos.tokenizer.program.loops import called, counted_nodes
from lumos.tokenizer.program.source import check_operator, check_source
from lumos.tokenizer.program.stored_tensors import check_stored_tensors
from xllmx.safe.bounded_file import read_bounded
from xllmx.safe.plain_pickle import check_pickle
from xllmx.safe.torch_archive import TENSOR_NAMES, open_archive

MOST_BYTES = 8 * 2**30
"""Of an archive; it is read into memory whole, so that what is checked is what runs."""

_MOST_SOURCE_BYTES = 64 * 2**20
_MOST_NODES = 1_000_000
"""Of the graph that remains when every call is replaced by what it calls, and every loop written out; a tokenizer has
some thousands."""

_PARTS = re.compile(
    r"((data|constants|traced_inputs)(/\d+|\.pkl)|attributes\.pkl|code/[\w./]+\.py(\.debug_pkl)?|version|byteorder|"
    r"extra/[\w.-]+|"
    r"\.data/(serialization_id|version)|\.format_version|\.storage_alignment)",
    re.ASCII,
)
_WITH_TENSORS = ("data.pkl", "constants.pkl")
"""The pickles whose tensors are read; those of traced_inputs.pkl are written without their values, and never are."""
_OWN_CLASS = re.compile(r"__torch__(\.[A-Za-z_]\w*)+", re.ASCII)
_LISTS = ("build_intlist", "build_doublelist", "build_boollist", "build_tensorlist", "restore_type_tag")
_NAMES = TENSOR_NAMES | {"torch.device", *(f"torch.jit._pickle.{name}" for name in _LISTS)}


def load_program(path: Path, device: torch.device) -> torch.jit.ScriptModule:
    """Return the program of an archive; nothing of it has run.

    Raises:
        ValueError: the file is damaged, it may do more than compute (the operator is named), or it moves tensors to a
            GPU and is loaded for another device; one line without the name of the file.
    """
    content = read_bounded(path, most_bytes=MOST_BYTES)
    with open_archive(io.BytesIO(content), most_packed_bytes=_MOST_SOURCE_BYTES) as archive:
        _check_archive(archive)
    bindings: Any = torch._C
    functions = bindings.CompilationUnit()
    try:  # what torch.jit.load does, with the functions at hand
        loaded = bindings.import_ir_module_from_buffer(functions, content, device, {}, False)
        check_graphs(functions.get_functions())
        _move(functions.get_functions(), device)
        return torch.jit._recursive.wrap_cpp_module(loaded)
    except RuntimeError as error:
        raise ValueError(f"it is damaged ({_first_line(error)})") from error


def check_graphs(functions: Any) -> None:
    """Check the graphs of functions, which call no others than themselves.

    Raises:
        ValueError: an operator is not allowed, or loops and calls of each other make a program without end.
    """
    sizes: dict[str, int] = {}
    calls: dict[str, list[tuple[str, int]]] = {}
    for name, nodes in counted_nodes({function.qualified_name: function for function in functions}).items():
        for node, _ in nodes:
            check_operator(node.kind(), f" (in {name.removeprefix('__torch__.')})")
        sizes[name] = sum(times for _, times in nodes)
        calls[name] = [(callee, times) for node, times in nodes if (callee := called(node)) is not None]
    _check_size(sizes, calls)


def _move(functions: Any, device: torch.device) -> None:
    """Put `device` where a graph names one: a trace made on cuda:0 says so in every tensor that it makes."""
    for function in functions:
        blocks = [function.graph]
        while blocks:
            for node in blocks.pop().nodes():
                blocks += list(node.blocks())
                if node.kind() == "aten::cuda" and device.type != "cuda":
                    raise ValueError(
                        f"it moves tensors to a CUDA GPU by itself (aten::cuda) and is loaded for {device}"
                    )
                if node.kind() == "prim::Constant" and str(node.output().type()) == "Device":
                    node.s_("value", str(device))


def _check_archive(archive: ZipFile) -> None:
    sources = []
    for name in archive.namelist():
        part = name.partition("/")[2]
        if not _PARTS.fullmatch(part):
            raise ValueError(f"it has a part {part}, which no tokenizer needs")
        if part.endswith("pkl"):
            _check_pickle(archive.read(name))
            if part in _WITH_TENSORS:
                check_stored_tensors(archive.read(name), _storages(archive, name.removesuffix(".pkl")))
        elif part.startswith("code/"):
            sources.append(_text(archive.read(name)))
    if not sources:
        raise ValueError("it holds no program")
    check_source(sources)


def _storages(archive: ZipFile, folder: str) -> dict[str, int]:
    """Return the bytes of each storage in a folder of the archive."""
    found = {part.filename: part.file_size for part in archive.infolist()}
    return {name.rpartition("/")[2]: size for name, size in found.items() if name.rpartition("/")[0] == folder}


def _check_pickle(content: bytes) -> None:
    seen = check_pickle(content)
    for name in sorted(seen.names - _NAMES):
        if not _OWN_CLASS.fullmatch(name) or name.startswith("__torch__.torch.classes"):
            raise ValueError(f"a pickle in it asks for {name[:80]!a}, which no tokenizer needs")
    if seen.computed:
        raise ValueError("a pickle in it puts the names it asks for together, as torch does not")


def _text(content: bytes) -> str:
    try:
        return content.decode("ascii")
    except UnicodeDecodeError:
        raise ValueError("its source is not as torch writes it") from None


def _check_size(sizes: Mapping[str, int], calls: Mapping[str, Sequence[tuple[str, int]]]) -> None:
    """Raise ValueError where calls of calls of calls come to more than can be run, or to something unknown."""
    whole: dict[str, int] = {}
    waiting = list(sizes)
    while waiting:
        name = waiting[-1]
        if name in whole:
            waiting.pop()
            continue
        if name not in sizes:
            raise ValueError(f"it calls {name}, which it does not hold")
        if unknown := [callee for callee, _ in calls[name] if callee not in whole]:
            waiting += dict.fromkeys(unknown)
            if len(waiting) > len(sizes) ** 2 + len(unknown):
                raise ValueError(f"its function {name} calls itself")
            continue
        whole[name] = sizes[name] + sum(times * whole[callee] for callee, times in calls[name])
        if whole[name] > _MOST_NODES:
            raise ValueError(f"its function {name} comes to more than {_MOST_NODES} operations")


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:200] if lines else type(error).__name__
