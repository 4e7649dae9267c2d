"""exps/Dockerfile: its instructions are read as Docker reads them; where Docker runs, it is built and used."""

import fnmatch
import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from lumos.hub.bundled import BUNDLED_MODELS, BUNDLED_TOKENIZERS

KNOWN = {"ARG", "FROM", "ENV", "RUN", "COPY", "WORKDIR", "ENTRYPOINT", "CMD"}


def instructions(repo: Path) -> list[tuple[str, str]]:
    """The instructions of the file, in order, with their words; comments and continued lines are joined away."""
    text = re.sub(r"^\s*#.*\n", "", (repo / "exps" / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = [line for line in text.replace("\\\n", " ").splitlines() if line.strip()]
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in lines]


def copied(repo: Path) -> dict[str, str]:
    """What is copied -> where it goes."""
    words = [rest.split() for name, rest in instructions(repo) if name == "COPY"]
    return {source: place for *sources, place in words for source in sources}


def ignored(repo: Path, name: str) -> bool:
    """Whether .dockerignore keeps a file of the repository away from the build: the last rule that fits decides."""
    kept = True
    for line in (repo / "exps" / "Dockerfile.dockerignore").read_text(encoding="utf-8").split():
        pattern = line.removeprefix("!").removeprefix("/").removeprefix("**/")
        parts = [name, *map(str, Path(name).parents)][:-1] if "/" in name else [name]
        if any(fnmatch.fnmatchcase(part, pattern) and part.count("/") == pattern.count("/") for part in parts):
            kept = line.startswith("!")
    return not kept


def test_every_instruction_is_known_and_the_base_comes_first(repo: Path) -> None:
    names = [name for name, _ in instructions(repo)]
    assert set(names) <= KNOWN
    assert names[:2] == ["ARG", "FROM"]
    assert names.count("FROM") == names.count("ENTRYPOINT") == names.count("CMD") == 1
    assert names[-2:] == ["ENTRYPOINT", "CMD"]


def test_entry_point_and_words_are_lists_of_a_command_that_there_is(repo: Path) -> None:
    said = dict(instructions(repo))
    scripts = tomllib.loads((repo / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    (program,) = json.loads(said["ENTRYPOINT"])
    assert program in scripts
    assert json.loads(said["CMD"]) == ["doctor"]


def test_a_variable_is_declared_before_it_is_used(repo: Path) -> None:
    declared: set[str] = set()
    for name, rest in instructions(repo):
        used = set(re.findall(r"\$\{?(\w+)", rest))
        assert used <= declared, f"{name} {rest}"
        if name == "ARG":
            declared.add(rest.partition("=")[0])
        elif name == "FROM":
            declared.clear()  # an argument before FROM is of FROM alone
    assert {"TORCH", "EXTRAS"} <= declared


def test_what_is_copied_is_there_and_not_ignored(repo: Path) -> None:
    assert len(copied(repo)) > 8
    assert [source for source in copied(repo) if not (repo / source).exists() or ignored(repo, source)] == []
    assert ignored(repo, "ckpts/1B")
    assert ignored(repo, ".git")
    assert ignored(repo, "runs/mine/config.yaml")
    assert not ignored(repo, "ckpts/lumos-tiny/model.safetensors")
    assert not ignored(repo, "lumos/lumos1/data/clips.py")


def test_what_the_wheel_is_built_from_is_copied(repo: Path) -> None:
    project = tomllib.loads((repo / "pyproject.toml").read_text(encoding="utf-8"))
    needed = {*project["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"], "pyproject.toml", "LICENSE"}
    sources = copied(repo)
    assert needed == set(sources)
    assert {f"ckpts/{name}" for name in (*BUNDLED_MODELS, *BUNDLED_TOKENIZERS)} <= needed
    for source, place in sources.items():
        assert place in ("/src/", f"/src/{source}")


def test_pytorch_is_the_one_that_the_package_asks_for(repo: Path) -> None:
    required = tomllib.loads((repo / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    (torch,) = (one for one in required if one.startswith("torch"))
    (line,) = (rest for name, rest in instructions(repo) if name == "RUN" and "--index-url" in rest)
    assert f'"{torch}"' in line
    assert '--index-url "https://download.pytorch.org/whl/${TORCH}"' in line


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_container_is_built_and_generates(repo: Path, tmp_path: Path) -> None:
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "info"], capture_output=True, check=False).returncode:
        pytest.skip("no Docker that runs here")
    image = "lumos:test"
    subprocess.run([docker, "build", "-f", "exps/Dockerfile", "-t", image, "."], cwd=repo, check=True)
    tmp_path.chmod(0o777)
    run = [docker, "run", "--rm", "-v", f"{tmp_path}:/data", image]
    words = ["generate", "--prompt", "a red circle", "--num-frames", "1", "--steps", "2", "--out", "a.png"]
    subprocess.run([*run, *words], check=True)
    assert (tmp_path / "a.png").stat().st_size > 0
