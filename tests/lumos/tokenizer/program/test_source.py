"""Archives of strangers: nothing of them runs on loading, whatever their source, pickles and parts say."""

import importlib.util
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from lumos.tokenizer.program.loading import load_program

CPU = torch.device("cpu")


def save(module: nn.Module, path: Path) -> Path:
    torch.jit.save(torch.jit.script(module.eval()), str(path))
    return path


class Adds(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight, self.count = nn.Parameter(torch.ones(3)), 3

    def forward(self, x: Tensor, y: int = 2) -> Tensor:
        return x * self.weight + y + self.count


def edited(path: Path, change: Callable[[str, bytes], bytes], *more: tuple[str, bytes]) -> Path:
    """The archive with its parts changed, as an attacker would write it."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: change(name, archive.read(name)) for name in archive.namelist() if "debug" not in name}
    root = next(iter(parts)).partition("/")[0]
    with zipfile.ZipFile(path, "w") as archive:
        for name, part in [*parts.items(), *((f"{root}/{name}", part) for name, part in more)]:
            archive.writestr(name, part)
    return path


def source(old: str, new: str) -> Callable[[str, bytes], bytes]:
    def change(name: str, part: bytes) -> bytes:
        if name.endswith(".py"):
            assert old.encode() in part
            return part.replace(old.encode(), new.encode())
        return part

    return change


FILE = 'torch.from_file("MARKER", True, 16, dtype=0)'
ON_LOADING = {
    "argument left out": source("y: int=2", f"y: int=torch.len({FILE})"),
    "constant of the class": source("  def forward", f"  a : Final[int] = torch.len({FILE})\n  def forward"),
}


@pytest.mark.parametrize("case", ON_LOADING)
def test_nothing_runs_on_loading(tmp_path: Path, case: str) -> None:
    marker = tmp_path / "marker"
    path = edited(save(Adds(), tmp_path / "a.jit"), lambda name, part: part)
    assert torch.equal(load_program(path, CPU)(torch.ones(3)), torch.full((3,), 6.0))
    path = edited(path, ON_LOADING[case])
    path = edited(path, lambda name, part: part.replace(b"MARKER", str(marker).encode()))
    with pytest.raises(ValueError, match=r"would be computed on loading|aten::from_file"):
        load_program(path, CPU)
    assert not marker.exists()
    torch.jit.load(str(path))
    assert marker.exists()  # the trap works


STATE = "  def __setstate__(self: __torch__.Adds, state: Tensor) -> NoneType:\n    return None\n"
ARCHIVES: dict[str, tuple[Callable[[str, bytes], bytes], str]] = {
    "a method that restores": (source("  def forward", f"{STATE}  def forward"), "__setstate__, which would run"),
    "computed without files": (source("y: int=2", "y: int=torch.len([1, 2])"), "would be computed on loading"),
    "a class of torch's own": (
        source("x: Tensor", "x: __torch__.torch.classes.quantized.Conv2dPackedParamsBase"),
        "it uses the class torch.classes",
    ),
    "another class": (source("class Adds(Module)", "class Adds(object)"), "class Adds is no module"),
    "an interface": (source("class Adds(Module)", "class Adds(ModuleInterface)"), "class Adds is no module"),
    "a decorator": (source("  def forward", "  @unused\n  def forward"), "is decorated"),
    "a lambda": (source("torch.mul(x, weight)", "(lambda: x)()"), "holds a Lambda"),
    "a comprehension": (source("torch.mul(x, weight)", "[x for x in y]"), "holds a ListComp"),
    "an import": (source("class Adds", "import os\nclass Adds"), "holds a Import"),
    "another namespace": (source("torch.mul(x, weight)", "ops.inductor._alloc_from_pool(x)"), "inductor::_alloc_from"),
    "a name in a name": (source("torch.mul(x, weight)", "torch.jit.load(x)"), "aten::jit::load"),
    "a method": (source("torch.mul(x, weight)", "x.save()"), "aten::save"),
    "letters that are none": (source("weight = self", "w\u00e9ight = self"), "not as torch writes it"),
    "a text of three quotes": (source("weight = self", '"""\n"""\n    weight = self'), "not as torch writes it"),
    "lines that go on": (source("weight = self", "weight = \\\n self"), "not as torch writes it"),
    "no source": (source("class Adds", "class ("), r"not as torch writes it \(SyntaxError\)"),
    "depth": (source("torch.mul(x, weight)", "-" * 5000 + "x"), "nested more than|not as torch writes it"),
    "many brackets": (source("torch.mul(x, weight)", "[" * 5000 + "]" * 5000), "nested more than|not as torch"),
}


@pytest.mark.parametrize("case", ARCHIVES)
def test_source_that_torch_does_not_write_is_refused(tmp_path: Path, case: str) -> None:
    change, reason = ARCHIVES[case]
    path = edited(save(Adds(), tmp_path / "a.jit"), change)
    with pytest.raises(ValueError, match=reason) as caught:
        load_program(path, CPU)
    assert "\n" not in str(caught.value)


def test_pickles_that_ask_for_more_are_refused(tmp_path: Path) -> None:
    path = save(Adds(), tmp_path / "a.jit")
    call = b"\x80\x02cposix\nsystem\nX\x04\x00\x00\x00true\x85R."
    for name in ("data.pkl", "constants.pkl"):
        hostile = edited(path, lambda part, content, name=name: call if part.endswith(f"/{name}") else content)
        with pytest.raises(ValueError, match=r"a pickle in it asks for 'posix\.system'"):
            load_program(hostile, CPU)
        save(Adds(), path)
    native = call.replace(b"posix\nsystem", b"__torch__.torch.classes.quantized\nConv2dPackedParamsBase")
    with pytest.raises(ValueError, match=r"asks for '__torch__\.torch\.classes"):
        load_program(edited(path, lambda part, content: native if part.endswith("/data.pkl") else content), CPU)


@pytest.mark.parametrize("name", ["model.json", "bytecode.pkl", "code/a.so", "code/../../a.py"])
def test_parts_that_no_tokenizer_needs_are_refused(tmp_path: Path, name: str) -> None:
    path = edited(save(Adds(), tmp_path / "a.jit"), lambda _, part: part, (name, b""))
    with pytest.raises(ValueError, match=r"which no tokenizer needs|a part is called"):
        load_program(path, CPU)


def test_calls_of_calls_are_counted_before_they_are_put_in_place(tmp_path: Path) -> None:
    """Thirty functions that call each other twice are a thousand million operations."""
    lines = ["import torch", "def f0(x: torch.Tensor) -> torch.Tensor:", "    return torch.sin(x)"]
    for number in range(1, 31):
        lines += [f"def f{number}(x: torch.Tensor) -> torch.Tensor:", f"    return f{number - 1}(f{number - 1}(x))"]
    lines += [
        "class Calls(torch.nn.Module):",
        "    def forward(self, x: torch.Tensor) -> torch.Tensor:",
        "        return f30(x)",
    ]
    (tmp_path / "calls.py").write_text("\n".join(lines))
    spec = importlib.util.spec_from_file_location("calls", tmp_path / "calls.py")
    calls = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(calls)
    with pytest.raises(ValueError, match=r"f\d+ comes to more than 1000000 operations"):
        load_program(save(calls.Calls(), tmp_path / "a.jit"), CPU)


def test_damaged_archives_are_one_line(tmp_path: Path) -> None:
    whole = save(Adds(), tmp_path / "a.jit").read_bytes()
    for content in (b"", b"text", whole[:100], whole[: len(whole) // 2], whole + b"0", bytes(len(whole))):
        (tmp_path / "a.jit").write_bytes(content)
        with pytest.raises(ValueError) as caught:
            load_program(tmp_path / "a.jit", CPU)
        assert "\n" not in str(caught.value)


def test_a_small_archive_that_unpacks_to_a_large_one_is_refused(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/code/a.py", b" " * (65 * 2**20))
    (tmp_path / "a.jit").write_bytes(stream.getvalue())
    assert len(stream.getvalue()) < 10**5
    with pytest.raises(ValueError, match="its parts are larger than the file"):
        load_program(tmp_path / "a.jit", CPU)
