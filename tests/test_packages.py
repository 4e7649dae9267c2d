"""Each package that the design names is used by the code, not only listed."""

import ast
from collections import defaultdict
from pathlib import Path

import pytest

USED = {
    "torch": ("torch", "lumos/lumos1/model/transformer.py"),
    "transformers": ("transformers", "lumos/lumos1/model/modeling.py"),
    "accelerate": ("accelerate", "lumos/lumos1/model/device_map.py"),
    "deepspeed": ("deepspeed", "xllmx/ranks/deepspeed_engine.py"),
    "einops": ("einops", "lumos/media/frames.py"),
    "omegaconf": ("omegaconf", "xllmx/settings/config.py"),
    "huggingface_hub": ("huggingface_hub", "lumos/hub/transfer.py"),
    "tqdm": ("tqdm", "xllmx/run/reporting/report.py"),
    "flash-attn": ("flash_attn", "xllmx/kernels/flash.py"),
    "decord": ("decord", "lumos/media/decoding/decord_frames.py"),
}
"""Package -> its module, and one of the files that import it."""


def imported(path: Path) -> set[str]:
    """Return the top modules that a file imports; where it imports by `import_module`, all that it names in strings."""
    names, strings, by_name = set[str](), set[str](), False
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
        elif isinstance(node, ast.Attribute) and node.attr == "import_module":
            by_name = True
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            strings.add(node.value)
    return names | strings if by_name else names


@pytest.fixture(scope="module")
def importers() -> dict[str, set[str]]:
    """Module -> files of the packages and programs that import it."""
    repo, found = Path(__file__).parents[1], defaultdict[str, set[str]](set)
    for folder in ("lumos", "xllmx", "pre_tokenize", "eval"):
        for path in (repo / folder).rglob("*.py"):
            for name in imported(path):
                found[name].add(path.relative_to(repo).as_posix())
    return found


@pytest.mark.parametrize("package", USED)
def test_the_package_is_imported_where_it_is_said_to_be(package: str, importers: dict[str, set[str]]) -> None:
    module, where = USED[package]
    assert where in importers[module], sorted(importers[module])


def test_a_package_that_is_only_written_about_is_not_found(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text('"""decord"""\nimport torch.nn as nn\nfrom .einops import x\nnote = "decord"\n')
    assert imported(path) == {"torch"}
    path.write_text('import importlib\nm = importlib.import_module("decord")\n')
    assert imported(path) == {"importlib", "decord"}
