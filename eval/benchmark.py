"""What the commands for all benchmarks (`eval.prompts`, `eval.check`, `eval.report`) ask of one."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from eval.check.findings import Findings
from eval.check.media import Expected
from eval.prompts.lists import PromptLists
from eval.report.scores import Scores
from eval.report.sheets import Sheet


class Check(Protocol):
    """What is wrong with a folder of outputs made for the prompts of a list."""

    def __call__(self, folder: Path, prompts: Path, *, expected: Expected, workers: int) -> Findings:
        """The findings; ValueError for a list that is not the benchmark's."""
        ...


class ReadScores(Protocol):
    """What the official scorer wrote -> scores."""

    def __call__(self, results: Path, prompts: Path | None) -> Scores:
        """The scores; `prompts` is the official list, None where it was not brought."""
        ...


class MakeSheets(Protocol):
    """Pictures of outputs for the page of a report."""

    def __call__(self, folder: Path, prompts: Path, scores: Scores, *, num: int) -> Iterable[Sheet]:
        """Sheets of about `num` prompts."""
        ...


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """One benchmark: its lists, its check, and how its scores are read and shown."""

    lists: PromptLists
    title: str
    """On the page of its report."""
    meaning: str
    """What its scores say, in two sentences."""
    check: Check
    read_scores: ReadScores
    sheets: MakeSheets
    part: str
    """What a score is of: Tag or Dimension."""
    totals: Mapping[str, str]
    """Total -> its name in the table, in order."""
    per_cent: bool
    """Whether its paper prints scores in per cent, or as fractions."""
    note: str = ""
    """What a reader of the table must know."""

    @property
    def name(self) -> str:
        """As on the command line."""
        return self.lists.benchmark
