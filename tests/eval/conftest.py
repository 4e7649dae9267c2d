"""Small lists in the formats of the benchmarks, a tiny random model, and folders compared byte for byte."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.model_folder import make_model_folder

METADATA = [
    {"tag": "single_object", "include": [{"class": "cow", "count": 1}], "prompt": "a cow"},
    {
        "tag": "counting",
        "include": [{"class": "clock", "count": 2}],
        "exclude": [{"class": "clock", "count": 3}],
        "prompt": "two clocks",
    },
    {"tag": "colors", "include": [{"class": "cup", "count": 1, "color": "red"}], "prompt": "a red cup"},
]
VBENCH = [
    {"prompt_en": "Fireworks.", "dimension": ["overall_consistency"]},
    {"prompt_en": "a laptop, frozen in time", "dimension": ["temporal_flickering"]},
    {"prompt_en": "a fantasy landscape", "dimension": ["scene"]},
    {"prompt_en": "A fantasy landscape", "dimension": ["appearance_style"]},
    {"prompt_en": "Fireworks.", "dimension": ["imaging_quality"]},
]


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """96x64 px, 4 fps x 2 s, 2 steps."""
    return make_model_folder(tmp_path_factory.mktemp("ckpts") / "tiny")


@pytest.fixture
def metadata(tmp_path: Path) -> Path:
    """Three prompts in GenEval's format."""
    path = tmp_path / "metadata.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in METADATA))
    return path


@pytest.fixture
def full_info(tmp_path: Path) -> Path:
    """Four prompts in VBench's format, one of them listed twice."""
    path = tmp_path / "full_info.json"
    path.write_text(json.dumps(VBENCH))
    return path


@pytest.fixture
def contents() -> Callable[[Path], dict[str, bytes]]:
    """Every file below a folder, by its path there."""

    def read(folder: Path) -> dict[str, bytes]:
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    return read


@pytest.fixture
def as_workers(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Callable[[], int]], list[int]]:
    """Runs something as each of n processes of torchrun, one after the other."""

    def run(number: int, command: Callable[[], int]) -> list[int]:
        statuses = []
        for rank in range(number):
            for name, value in (("RANK", rank), ("LOCAL_RANK", rank), ("WORLD_SIZE", number)):
                monkeypatch.setenv(name, str(value))
            statuses.append(command())
        for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE"):
            monkeypatch.delenv(name)
        return statuses

    return run
