"""Published numbers of Lumos-1 and its peers, each with its source (published.yaml)."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from eval.benchmark import Benchmark

_FILE = Path(__file__).with_name("published.yaml")


@dataclass(frozen=True, kw_only=True)
class Published:
    """What a source says of one model on one benchmark."""

    model: str
    values: Mapping[str, float]
    """Tag, dimension or total -> score as a fraction."""
    source: str
    url: str
    note: str = ""


def published(benchmark: Benchmark) -> list[Published]:
    """The published rows of a benchmark, Lumos-1 first."""
    content = yaml.safe_load(_FILE.read_text(encoding="utf-8"))
    sources = content["sources"]
    scale = 100.0 if benchmark.per_cent else 1.0
    return [
        Published(
            model=row["model"],
            values={name: value / scale for name, value in row["values"].items()},
            source=sources[row["source"]]["title"],
            url=sources[row["source"]]["url"],
            note=row.get("note", ""),
        )
        for row in content[benchmark.name]
    ]
