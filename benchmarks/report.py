"""The report of a bench: a table of every comparison, the machine's facts, and all of it as json."""

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from benchmarks.measure import Comparison
from xllmx.disk.files import write_text
from xllmx.disk.place import check_file


def write_report(
    out: Path | None,
    *,
    title: str,
    comparisons: Mapping[str, Comparison],
    rates: Mapping[str, float],
    device: torch.device | str = "cpu",
    notes: Mapping[str, Any] | None = None,
) -> None:
    """Print a table of every comparison and write it all as json, with the machine's facts and the command.

    Args:
        out: the json file; None prints only.
        title: what was measured.
        comparisons: by name of the work.
        rates: matmul FLOP/s of the same run by dtype name; a work whose name holds `bf16` is a share of rates["bf16"],
            others of rates["fp32"].
        device: where it ran.
        notes: further numbers, sizes of the work, settings.
    """
    report: dict[str, Any] = {
        "title": title,
        "command": " ".join(["python", *sys.orig_argv[1:]]),
        "machine": machine_facts(device),
        "matmul_gflops": {name: round(rate / 1e9, 1) for name, rate in rates.items()},
        "notes": dict(notes or {}),
        "results": {},
    }
    print(f"\n{title}\n" + ", ".join(f"{name} {value}" for name, value in report["machine"].items()))
    print("matmul GFLOP/s: " + ", ".join(f"{name} {rate / 1e9:.0f}" for name, rate in rates.items()))
    print(f"{'':34} {'median s':>9} {'spread':>7} {'x':>6} {'peak MiB':>9} {'GFLOP/s':>8} {'of matmul':>9}")
    for work, comparison in comparisons.items():
        print(work)
        rows = {}
        for name in comparison.timings:
            rows[name] = comparison.row(name, rates.get("bf16" if "bf16" in f"{work} {name}" else "fp32"))
            print(_line(name, rows[name]))
        report["results"][work] = rows
    for name, value in report["notes"].items():
        print(f"{name}: {value}")
    if out is not None:
        write_text(out, json.dumps(report, indent=2) + "\n")


def output_file(text: str) -> Path:
    """The path of an option `--out`; of one that cannot be written argparse says so before anything is measured."""
    try:
        check_file(Path(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return Path(text)


def _line(name: str, row: Mapping[str, Any]) -> str:
    achieved, share = row["gflops_per_s"], row["share_of_matmul"]
    columns: Sequence[str] = (
        f"  {name:32}",
        f"{row['median_s']:9.4f}",
        f"{row['spread']:7.1%}",
        f"{row['speedup']:6.2f}",
        f"{row['peak_mib']:9.1f}",
        f"{'' if achieved is None else f'{achieved:.0f}':>8}",
        f"{'' if share is None else f'{share:.0%}':>9}",
    )
    return " ".join(columns)


def machine_facts(device: torch.device | str = "cpu") -> dict[str, Any]:
    """Return what the numbers depend on: processor, cores, threads, memory, versions, commit, date."""
    facts = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": _commit(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
    if torch.device(device).type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        facts |= {"gpu": properties.name, "gpu_memory_gib": round(properties.total_memory / 2**30, 1)}
    return facts


def _commit() -> str:
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    names = [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    return names[0] if names else platform.processor()
