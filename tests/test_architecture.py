"""The rules of the house that a reader cannot check at a glance: arrows between packages, sizes, names, hosts."""

import ast
import json
import re
import subprocess
import sys
import tokenize
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parent.parent
ARROWS = {
    "xllmx": {"xllmx"},
    "lumos": {"lumos", "xllmx"},
    "eval": {"eval", "lumos", "xllmx"},
    "pre_tokenize": {"pre_tokenize", "lumos", "xllmx"},
    "benchmarks": {"benchmarks", "eval", "lumos", "pre_tokenize", "xllmx"},
}
"""Package -> our packages it may import; `benchmarks -> eval, pre_tokenize -> lumos -> xllmx -> torch`."""

WINGS = {
    "cli": {"cli", "conventions", "lumos1", "lumina_video", "tokenizer", "media", "hub", "shapes", "look", "serve"},
    "serve": {"serve", "lumos1", "lumina_video", "conventions", "tokenizer", "media", "hub"},
    "look": {"look", "conventions", "lumos1", "lumina_video", "tokenizer", "media", "hub"},
    "lumos1": {"lumos1", "conventions", "tokenizer", "media", "hub"},
    "lumina_video": {"lumina_video", "conventions", "shapes", "media", "hub"},
    "conventions": {"conventions", "media", "hub"},
    "tokenizer": {"tokenizer", "filming", "shapes", "media", "hub"},
    "filming": {"filming", "media"},
    "shapes": {"shapes", "media"},
    "hub": {"hub", "media"},
    "media": {"media"},
}
"""Wing of `lumos` -> wings it may import: `cli -> lumos1, lumina_video -> conventions, tokenizer -> media, hub`; the
two models never import each other, and `shapes` is data, which knows no model."""

MODULE_OF = {"pillow": "PIL", "huggingface-hub": "huggingface_hub"}
"""Distribution -> module, where the names differ."""

BROUGHT = {"yaml", "httpx", "httpx2"}
"""Parts of what omegaconf and huggingface_hub raise; they come with those two."""

OF_A_WING = {"serve": {"anyio", "fastapi", "h11", "prometheus_client", "pydantic", "starlette", "uvicorn"}}
"""Wing of `lumos` -> packages of the extra without which none of it is imported: the command imports it when it runs,
all but the bounds, which are its options."""

HOSTS = {
    "git-lfs.github.com",
    "arxiv.org",
    "127.0.0.1",
    "github.com",
    "huggingface.co",
    "img.shields.io",
    "localhost",
    "pypi.org",
    "raw.githubusercontent.com",
    "pytorch.org",
    "codeload.github.com",
    "download.pytorch.org",
    "www.apache.org",
}
"""Hosts that files of the repository may point to."""

ELSEWHERE = re.compile(r"(?<![\w.~/-])/(?:work|root|home|Users|mnt|opt)/(?!me/)\w")
"""A path of somebody's machine; the home of `me` stands in examples."""

MODULES = sorted(path for name in ARROWS for path in (REPO / name).rglob("*.py"))
TESTS = sorted((REPO / "tests").rglob("*.py"))


def short(path: Path) -> str:
    return path.relative_to(REPO).as_posix()


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(nodes: Iterator[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "")


def at_import_time(node: ast.AST) -> Iterator[ast.AST]:
    """What runs when the module is imported: everything outside functions."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield child
            yield from at_import_time(child)


def tracked() -> list[Path]:
    """The files of the repository, those of the checkout where git is at hand."""
    listing = subprocess.run(["git", "-C", REPO, "ls-files", "-z"], capture_output=True, text=True, check=False)
    if listing.returncode:
        pytest.skip("not a git checkout")
    paths = [REPO / name for name in listing.stdout.split("\0") if name]
    return [path for path in paths if path.is_file()]


def texts() -> Iterator[tuple[Path, str]]:
    for path in tracked():
        try:
            yield path, path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue


# --- imports ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("package", ARROWS)
def test_imports_follow_the_arrow(package: str) -> None:
    ours = {*ARROWS, "tests"}
    wrong = []
    for path in (REPO / package).rglob("*.py"):
        for name in imports(ast.walk(tree(path))):
            top = name.split(".")[0]
            if name.startswith(".") or (top in ours and top not in ARROWS[package]):
                wrong.append(f"{short(path)} imports {name}")
    assert wrong == []


def test_every_wing_has_its_arrows() -> None:
    folders = {path.parent.name for path in (REPO / "lumos").glob("*/__init__.py")}
    assert folders <= set(WINGS)


@pytest.mark.parametrize("wing", WINGS)
def test_imports_between_the_wings_follow_the_arrow(wing: str) -> None:
    wrong = []
    for path in (REPO / "lumos" / wing).rglob("*.py"):
        for name in imports(ast.walk(tree(path))):
            parts = name.split(".")
            if parts[0] == "lumos" and len(parts) > 1 and parts[1] not in WINGS[wing]:
                wrong.append(f"{short(path)} imports {name}")
    assert wrong == []


def test_nothing_but_declared_dependencies_is_imported_at_import_time() -> None:
    """Optional ones (extras) are imported where they are used."""
    project = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    required = [re.split(r"[<>=\[; ]", requirement)[0] for requirement in project["dependencies"]]
    allowed = {MODULE_OF.get(name, name) for name in required} | BROUGHT | set(ARROWS) | sys.stdlib_module_names
    wrong = [
        f"{short(path)} imports {name}"
        for path in MODULES
        for name in imports(at_import_time(tree(path)))
        if name.split(".")[0] not in allowed | OF_A_WING.get(path.relative_to(REPO).parts[1], set())
    ]
    assert wrong == []


def test_only_the_two_packages_are_installed() -> None:
    """What else a wheel carries goes into the first: tests/test_wheel.py looks into one."""
    project = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    others = {path.split("/")[0] for path in wheel["only-include"]} - {"lumos", "xllmx"}
    assert wheel["sources"] == {name: f"lumos/bundled/{name}" for name in others}


def test_the_engine_knows_no_model() -> None:
    words = re.compile(r"\b(lumos(?!-open)|token_id|vocab|codebook|caption|prompt)\b", re.IGNORECASE)
    named = {short(p): words.findall(ast.unparse(tree(p))) for p in (REPO / "xllmx").rglob("*.py")}
    assert {path: found for path, found in named.items() if found} == {}


# --- sizes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("pattern", "most"), [("*.py", 400), ("exps/*.sh", 40), ("eval/*.sh", 40)])
def test_files_are_short(pattern: str, most: int) -> None:
    paths = [*MODULES, *TESTS] if pattern == "*.py" else [*REPO.glob(pattern)]
    assert paths
    lengths = {short(path): len(path.read_text(encoding="utf-8").splitlines()) for path in paths}
    assert {path: length for path, length in lengths.items() if length > most} == {}


def test_functions_are_short() -> None:
    """45 lines of body after the docstring, 70 in all: a function is the size of its equation."""
    long = []
    for path in [*MODULES, *TESTS]:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                num_lines = (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
                if num_lines > 45 or (node.end_lineno or 0) - node.lineno + 1 > 70:
                    long.append(f"{short(path)}: {node.name}")
    assert long == []


# --- names ------------------------------------------------------------------------------------------------------------


def test_no_file_is_a_drawer_of_odds_and_ends() -> None:
    drawers = {"utils", "util", "misc", "helpers", "common"}
    assert [short(path) for path in [*MODULES, *TESTS] if path.stem in drawers] == []


def test_only_commands_and_reports_print() -> None:
    """`lumos/cli/` and the drivers; the rest says what it has to say by returning it."""
    printing = [
        short(path)
        for path in MODULES
        if path.relative_to(REPO).parts[0] in ("lumos", "xllmx") and not short(path).startswith("lumos/cli/")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert printing == []


def test_shapes_in_annotations_are_kept() -> None:
    """`from __future__ import annotations` would turn jaxtyping's shapes into text that nothing checks."""
    wrong = [short(p) for p in [*MODULES, *TESTS] if "__future__" in set(imports(ast.walk(tree(p))))]
    assert wrong == []


def test_tests_mirror_the_packages() -> None:
    """tests/lumos/lumos1/model/test_rope.py tests lumos/lumos1/model/rope.py; the others look at the whole checkout."""
    strays = []
    for path in TESTS:
        parts = path.relative_to(REPO / "tests").parts
        if path.name.startswith("test_") and parts[0] in ARROWS:
            name = path.stem.removeprefix("test_")
            folder = REPO.joinpath(*parts[:-1])
            twins = (folder / f"{name}.py", folder / f"__{name}__.py", folder / name)
            strays += [] if any(twin.exists() for twin in twins) else [short(path)]
    assert strays == []


def test_every_test_asserts() -> None:
    """By an assert, an expected error, or a comparison of numpy's or torch's."""
    empty = []
    for path in TESTS:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                source = ast.unparse(node)
                if not re.search(r"\bassert|pytest\.raises|check=True", source):
                    empty.append(f"{short(path)}: {node.name}")
    assert empty == []


# --- what the repository says -----------------------------------------------------------------------------------------


def test_no_file_names_a_place_on_somebodys_machine() -> None:
    assert [f"{short(path)}: {found.group()}" for path, text in texts() for found in ELSEWHERE.finditer(text)] == []


def test_links_lead_to_known_hosts() -> None:
    links = re.compile(r"https?://(?:\[[^\]]*\]|[^\s/:)\"'`>\]}]+)")
    wrong = [
        f"{short(path)}: {found}"
        for path, text in texts()
        if path.name != "LICENSE"
        for found in links.findall(text)
        if found.split("://")[1] not in HOSTS and "{" not in found
    ]
    assert wrong == []


def test_nothing_waits_to_be_done() -> None:
    notes = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|X" + r"XX)\b")
    assert [short(path) for path, text in texts() if notes.search(text)] == []


def test_the_top_level_holds_nothing_else() -> None:
    listed = subprocess.run(["git", "-C", str(REPO), "ls-files", "-z"], capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a checkout of git")
    folders = {
        ".ci",
        "assets",
        "benchmarks",
        "ckpts",
        "configs",
        "eval",
        "exps",
        "lumos",
        "pre_tokenize",
        "tests",
        "xllmx",
    }
    files = {".gitignore", "INSTALL.md", "LICENSE", "README.md", "imgproc.py", "pyproject.toml"}
    assert {name.partition("/")[0] for name in listed.stdout.split("\0") if name} == folders | files


def test_no_name_is_undefined_outside_jaxtyping_s_dimensions() -> None:
    """ruff leaves F821 out for the sake of `Float[Tensor, "B L D"]`; what it finds outside such strings is a slip."""
    words = ["check", "--select", "F821", "--output-format", "json", "--exit-zero", "."]
    done = subprocess.run([sys.executable, "-m", "ruff", *words], cwd=REPO, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    slips = [
        f"{one['filename']}:{one['location']['row']}: {one['message']}"
        for one in found
        if not _in_string(Path(one["filename"]), one["location"]["row"], one["location"]["column"] - 1)
    ]
    assert found, "no dimension at all: does ruff still look?"
    assert not slips, slips


def _in_string(path: Path, row: int, column: int) -> bool:
    with path.open("rb") as file:
        strings = [token for token in tokenize.tokenize(file.readline) if token.type == tokenize.STRING]
    return any(token.start <= (row, column) < token.end for token in strings)
