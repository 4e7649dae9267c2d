"""Which of the two recipes scores GenEval on this machine: its own code, or the maintained detector of `judge`.

GenEval's own environment (torch 1.12, CUDA 11.3, mmdet 2.28) knows GPUs up to compute capability 8.x: the A100, the
RTX 30 and 40 series. On an H100, an H200 or a newer card `eval/scorers/geneval.sh` takes the maintained recipe instead,
whose scores are NOT the official ones.
"""

import subprocess

OFFICIAL, MAINTAINED = "official", "maintained"
NOT_OFFICIAL = "NOT GenEval's official score"
"""What stands wherever a result of the maintained recipe does."""

NEWEST_CAPABILITY = 9
"""First major compute capability that torch 1.12 has no kernels for."""

_TIMEOUT_S = 30


def capability() -> str | None:
    """The compute capability of the first GPU of this machine, as nvidia-smi says it (`9.0`); None without a GPU."""
    command = ["nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return next((line.strip() for line in done.stdout.splitlines() if line.strip()), None)


def recipe_for(found: str | None) -> str:
    """The recipe for a GPU of this compute capability; without a GPU the maintained one, which runs on a CPU too."""
    major = (found or "").partition(".")[0]
    return OFFICIAL if major.isdecimal() and int(major) < NEWEST_CAPABILITY else MAINTAINED


def said_before_sampling() -> str:
    """What a person should know of the score before days are spent on images for it."""
    found = capability()
    if recipe_for(found) == OFFICIAL:
        return f"scoring: this GPU (compute capability {found}) runs GenEval's own scorer, eval/scorers/geneval.sh"
    why = f"this GPU (compute capability {found}) is newer than its torch 1.12" if found else "there is no GPU here"
    return (
        f"scoring: GenEval's own scorer does not run on this machine ({why}); eval/scorers/geneval.sh will take the "
        f"maintained recipe here, {NOT_OFFICIAL}: for that, score the folder on a GPU up to the A100 or RTX 40 series"
    )
