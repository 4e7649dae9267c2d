"""One part in a process of its own, and what came of it; all of them as a table and as json."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.device.findings import Findings
from xllmx.safe.json_text import read_object

_SHOWN_LINES = 12


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of a part."""

    name: str
    title: str
    """For people."""
    seconds: float
    """Of its process."""
    findings: Findings | None
    """None where it ended without any."""
    fault: str = ""
    """Why it has none, or what went wrong besides."""

    @property
    def passed(self) -> bool:
        """Whether it ended by itself, found something, and none of its checks failed."""
        return not self.fault and self.findings is not None and self.findings.passed

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        found = (self.findings or Findings()).to_dict()
        del found["facts"]  # the same of all parts
        return {"title": self.title, "passed": self.passed, "fault": self.fault, "seconds": self.seconds, **found}

    def text(self) -> str:
        """Return it as text for a terminal."""
        lines = [f"--- {self.name}: {self.title}; {'ok' if self.passed else 'FAILED'} in {self.seconds:.0f} s"]
        lines += self.findings.lines() if self.findings else ()
        return "\n".join([*lines, *([f"  {self.fault}"] if self.fault else [])])


def run_part(name: str, title: str, command: Sequence[str], *, limit_s: float) -> Outcome:
    """Run a part by a command, which writes its findings into the file that is added to it; stop it after a time.

    Everything that the part has started is stopped with it, and when this process is interrupted too.
    """
    start = time.monotonic()
    with TemporaryDirectory() as folder:
        out, said = Path(folder) / "findings.json", Path(folder) / "said"
        with said.open("wb") as file:
            process = subprocess.Popen([*command, str(out)], stdout=file, stderr=file, start_new_session=True)
            try:
                status: int | None = process.wait(timeout=limit_s)
            except subprocess.TimeoutExpired:
                status = None
            finally:
                _stop(process)
        findings = Findings.from_dict(read_object(out, finite=False, remedy="run it again")) if out.is_file() else None
        last = said.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-_SHOWN_LINES:]
    ended = findings is not None and status in (0, 1)  # 1: a check failed, which the findings say
    fault = "" if ended else _fault(status, last, limit_s=limit_s)
    return Outcome(name=name, title=title, seconds=round(time.monotonic() - start, 1), findings=findings, fault=fault)


def facts_of(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Return what the machine is, as the first part says that has found anything."""
    return next((one.findings.facts for one in outcomes if one.findings is not None), {})


def table(outcomes: Sequence[Outcome]) -> str:
    """Return all numbers as a table in Markdown, with what the machine is."""
    lines = [", ".join(f"{name} {value}" for name, value in facts_of(outcomes).items()), ""]
    lines += ["| part | what | measured | by arithmetic | measured / arithmetic |", "|---|---|---|---|---|"]
    for outcome in outcomes:
        if outcome.findings is None:
            lines.append(f"| {outcome.name} | **failed**: {' '.join(outcome.fault.split())} | | | |")
            continue
        for row in outcome.findings.rows:
            best = "" if row.best is None else f"{row.best:.4g} {row.unit}"
            ratio = "" if row.best is None else f"{row.value / row.best:.2f}"
            lines.append(f"| {outcome.name} | {row.name} | {row.value:.4g} {row.unit} | {best} | {ratio} |")
        for check in outcome.findings.checks:
            verdict = "ok" if check.passed else "**failed**"
            lines.append(f"| {outcome.name} | {check.name} | {verdict}: {check.found:.1e} | {check.most:.1e} | |")
        lines += [f"| {outcome.name} | left out: {reason} | | | |" for reason in outcome.findings.left_out]
    return "\n".join(lines) + "\n"


def python(*words: str) -> list[str]:
    """Return the command that runs these words by this interpreter."""
    return [sys.executable, *words]


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of a part's process group."""
    with suppress(ProcessLookupError, PermissionError):  # it has ended, and all it started
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _fault(status: int | None, last: Sequence[str], *, limit_s: float) -> str:
    how = f"stopped after {limit_s:.0f} s" if status is None else f"ended with status {status}"
    how = "found nothing" if status == 0 else how
    return "\n  ".join([how, *last])
