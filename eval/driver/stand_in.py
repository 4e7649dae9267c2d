"""Prompts in place of a benchmark's own, of the same number and length, for a dry run where its list is not here."""

import argparse
from typing import TYPE_CHECKING

from lumos.cli.jobs.runner import Job

if TYPE_CHECKING:
    from eval.driver.command import Driver

_LONG_WORDS, _SHORT_WORDS = 100, 10
"""About as many as a rewritten and an official prompt have."""


def stand_in_jobs(driver: "Driver", options: argparse.Namespace) -> list[Job]:
    """As many outputs as the options ask for, of prompts that are about as long as the benchmark's.

    Raises:
        ValueError: a benchmark of given first frames, which decide the size: its list names them.
    """
    benchmark = driver.lists.benchmark
    if driver.task == "i2v":
        raise ValueError(
            f"the list of {benchmark} is not here, and names the first frames, by which the size is chosen; "
            f"run: lumos evaluate prompts {benchmark}"
        )
    whole = options.first is None and options.samples is None
    asked = min(options.first or driver.num_prompts, driver.num_prompts) * (options.samples or driver.num_outputs)
    text = " ".join(["word"] * (_SHORT_WORDS if options.short else _LONG_WORDS))
    suffix = "png" if driver.task == "t2i" else "mp4"
    return [
        Job(name=f"{number:05d}.{suffix}", prompt=text, seed=number)
        for number in range(driver.num_scored if whole else asked)
    ]
