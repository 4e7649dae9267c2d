"""The results of the ablations without the weights: small enough for a repository, and enough for every table.

Copied back (`cp -r exps/ablations runs/`) they count as done, so that another machine goes on with what is missing.
"""

import json
import shutil
from pathlib import Path

from xllmx.disk.files import atomic_path, write_text
from xllmx.disk.place import check_folder
from xllmx.run.reporting.metrics import read_metrics


def keep(folder: Path, into: Path) -> list[str]:
    """Copy the results of the finished runs, and all scores and losses; return the names of the runs.

    INTO/scores/NAME/POINT.json       as they are
    INTO/crossed/NAME.json            the same
    INTO/runs/NAME/metrics.jsonl      of the evaluations alone
    INTO/models/NAME/config.json      which says that the run is finished

    Raises:
        ValueError: `into` cannot be written.
    """
    check_folder(into)
    finished = sorted(path.parent.name for path in (folder / "models").glob("*/config.json"))
    for name in finished:
        rows = [{"kind": "eval", **row} for row in read_metrics(folder / "runs" / name, "eval")]
        write_text(into / "runs" / name / "metrics.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
        _copy(folder / "models" / name / "config.json", into / "models" / name / "config.json")
    for path in sorted([*(folder / "scores").glob("*/*.json"), *(folder / "crossed").glob("*.json")]):
        _copy(path, into / path.relative_to(folder))
    return finished


def _copy(path: Path, to: Path) -> None:
    with atomic_path(to) as temporary:
        shutil.copyfile(path, temporary)
