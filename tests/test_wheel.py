"""A wheel of the repository, installed alone, does all that needs no script: no file of the checkout is in reach.

The environment is fresh; the dependencies are those of the tests' own, which a .pth file adds behind the wheel.
"""

import csv
import email
import os
import re
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from collections.abc import Callable
from email.message import Message
from importlib.util import find_spec
from pathlib import Path

import pytest

from lumos import __version__
from lumos.hub.bundled import BUNDLED_MODELS, BUNDLED_TOKENIZERS

REPO = Path(__file__).resolve().parent.parent
BUNDLED = "lumos/bundled/"
BUNDLED_FOLDERS = (*BUNDLED_MODELS, *BUNDLED_TOKENIZERS)
CLIP = ("--steps", "4", "--seed", "1", "--overwrite")

Installed = Callable[..., subprocess.CompletedProcess[str]]
"""Words after the interpreter of the fresh environment -> what it did, in an empty folder."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if find_spec("hatchling") is None:
        pytest.skip("hatchling builds the wheel: pip install -e '.[dev]'")
    folder = tmp_path_factory.mktemp("dist")
    build = "import sys; from hatchling.build import build_wheel; build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, str(folder)], cwd=REPO, check=True, capture_output=True)
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    """The files of the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return email.message_from_bytes(archive.read(name))


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with the wheel alone."""
    folder = tmp_path_factory.mktemp("fresh") / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    made = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(made), "install", "--no-deps", "--no-index", "-q", str(wheel)]
    subprocess.run(pip, check=True, capture_output=True)
    where = [str(made), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    packages = Path(subprocess.run(where, check=True, capture_output=True, text=True).stdout.strip())
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return made


@pytest.fixture
def installed(python: Path, tmp_path: Path) -> Installed:
    """Runs the installed code in an empty folder but for an `eval` of the user's own, which must not be taken."""
    (tmp_path / "eval").mkdir()
    (tmp_path / "eval" / "__init__.py").write_text("raise AssertionError('the eval of somebody else')\n")
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "LUMOS_PYTHON")}

    def run(*words: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        command = [str(python), *words]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == status, f"{words}: {done.returncode}: {done.stdout[-800:]} {done.stderr[-1500:]}"
        return done

    return run


def test_the_wheel_holds_the_bundled_models_and_nothing_at_the_top_but_its_packages(names: set[str]) -> None:
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"lumos", "xllmx"}
    for model in BUNDLED_FOLDERS:
        files = {path.relative_to(REPO).as_posix() for path in (REPO / "ckpts" / model).rglob("*") if path.is_file()}
        assert files
        assert {BUNDLED + name for name in files} <= names
    assert {"lumos/py.typed", "xllmx/py.typed", f"{BUNDLED}exps/env.sh", f"{BUNDLED}eval/scorers/env.sh"} <= names


def test_every_file_of_the_packages_and_programs_is_in_the_wheel_and_no_other(names: set[str]) -> None:
    command = ["git", "-C", str(REPO), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a checkout of git")
    tracked = [name for name in listed.stdout.split("\0") if name and (REPO / name).is_file()]
    packages = {name for name in tracked if name.startswith(("lumos/", "xllmx/"))}
    programs = {BUNDLED + name for name in tracked if name.startswith(("configs/", "eval/", "pre_tokenize/"))}
    models = {BUNDLED + name for name in tracked if name.startswith(tuple(f"ckpts/{one}/" for one in BUNDLED_FOLDERS))}
    assert {name for name in names if ".dist-info/" not in name} == packages | programs | models | {
        f"{BUNDLED}exps/env.sh"
    }


def test_the_metadata_says_what_the_project_says(metadata: Message) -> None:
    project = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert (metadata["Name"], metadata["Version"]) == (project["name"], __version__)
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert len(metadata.get_all("Requires-Dist") or []) >= len(project["dependencies"])
    assert "Typing :: Typed" in (metadata.get_all("Classifier") or [])


def test_links_of_the_metadata_lead_out_of_no_checkout(metadata: Message) -> None:
    """A page of an index has no files beside it: links are whole addresses."""
    page = str(metadata.get_payload())
    links = re.findall(r"\]\(([^)]+)\)", page) + [url.split(", ")[-1] for url in metadata.get_all("Project-URL") or []]
    assert len(links) >= 4
    assert [link for link in links if not link.startswith("https://arxiv.org/abs/")] == []


def test_nothing_of_the_checkout_is_in_reach(installed: Installed) -> None:
    seen = "import lumos, xllmx, sys; print(lumos.__file__, xllmx.__file__, *sys.path)"
    for name in ("eval", "pre_tokenize", "configs", "benchmarks"):
        seen += f"\nassert __import__('importlib').util.find_spec('{name}') is None, '{name}'"
    paths = installed("-P", "-c", f"import importlib.util; {seen}").stdout.split()
    assert [path for path in paths if Path(path).parent.is_relative_to(REPO) and ".venv" not in path] == []
    assert "env" in paths[0]


def test_it_generates_and_reads_back_what_it_made(installed: Installed, python: Path, tmp_path: Path) -> None:
    installed("-m", "lumos", "generate", "--prompt", "a red circle", "--num-frames", "1", "--out", "a.png", *CLIP)
    said = installed("-m", "lumos", "evaluate", "shapes", "look", "a.png").stdout
    assert "asked: a red circle" in said
    again = installed("-m", "lumos", "generate", "--from-json", "a.png.json", "--out", "b.png").stdout
    assert "b.png" in again
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    script = subprocess.run(
        [python.parent / "lumos", "--help"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "evaluate" in script.stdout


def test_it_tokenizes_clips_and_trains_by_a_config_of_its_own(installed: Installed, tmp_path: Path) -> None:
    installed("-m", "lumos.shapes.dataset", "--out", "clips", "--num", "2")
    with (tmp_path / "clips" / "clips.csv").open() as table:
        assert len(list(csv.DictReader(table))) == 2
    sizes = ("--target_size", "64", "--target_fps", "6", "--target_duration", "2", "--visual_tokenizer", "lumos-tiny")
    words = ("--modality", "video", "--input_file", "clips/clips.csv", "--output_dir", "codes", *sizes)
    assert "2 clips" in installed("-m", "lumos", "tokenize", *words).stdout
    shards = next((tmp_path / "codes").rglob("*.parquet")).parent
    small = ("trainer.max_steps=1", "trainer.run_dir=run", "trainer.batch_size={video: 2}", "trainer.num_workers=0")
    config = ("--config", "configs/train/quickstart.yaml", f"task.data.video={shards}")
    installed("-m", "lumos", "train", *config, *small)
    assert (tmp_path / "run" / "metrics.jsonl").is_file()


def test_the_drivers_work_from_any_folder(installed: Installed) -> None:
    said = installed("-m", "lumos", "evaluate", "custom", "t2i", "--first", "1", "--samples", "1", "--dry-run").stdout
    assert "clips     1 of 64x64" in said
    assert "--long" in installed("-m", "lumos", "evaluate", "geneval", "--help").stdout
    assert "--ratio" in installed("-m", "lumos", "evaluate", "vbench_i2v", "--help").stdout
    missing = installed("-m", "lumos", "evaluate", "check", "vbench", ".", status=2).stderr
    assert "eval/prompts has no official prompt file of vbench: bring it with `lumos evaluate prompts`" in missing
    plan = installed(
        "-m", "lumos", "evaluate", "score", "geneval", "images", "out", "--recipe", "maintained", "--dry-run"
    )
    assert "-m eval.geneval.score images out" in plan.stdout
