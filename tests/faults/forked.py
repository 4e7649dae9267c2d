"""Commands in processes of their own that start in milliseconds: forked from a server that has imported everything."""

import importlib
import multiprocessing
import os
import resource
import sys
from collections.abc import Mapping, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path

_MOST_BYTES = 16 << 30
_PRELOADED = [
    "tests.faults.forked",
    "lumos.cli.commands",
    "lumos.cli.jobs.runner",
    "lumos.cli.models.door",
    "lumos.cli.training.exported_model",
    "lumos.cli.training.training_run",
    "lumos.lumina_video.pipeline",
    "lumos.lumos1.pipeline",
    "eval.check.__main__",
    "eval.custom.__main__",
    "eval.geneval.__main__",
    "eval.report.__main__",
    "eval.shapes.__main__",
    "eval.vbench.i2v",
    "eval.vbench.t2v",
    "pre_tokenize.__main__",
    "diffusers.models.autoencoders.autoencoder_kl_cogvideox",
    "transformers.models.gemma2.modeling_gemma2",
]


def start(
    module: str,
    words: Sequence[str],
    *,
    log: Path,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> BaseProcess:
    """Start `python -m MODULE WORDS` in a folder; return its process, to be joined or killed.

    What it says is added to `log`. It starts in the folder of the tests where none is given.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    process = context.Process(target=_run, args=(module, list(words), log, dict(environment or {}), folder))
    process.start()
    return process


def ended(module: str, words: Sequence[str], *, log: Path, patience_s: float) -> tuple[int | None, str]:
    """Run a command in the folder of its log; return its exit status, None after too long a time, and what it said."""
    environment = {"XDG_CACHE_HOME": str(log.parent / "cache")}  # where reports of errors would be kept
    process = start(module, words, log=log, environment=environment, folder=log.parent)
    process.join(patience_s)
    if hangs := process.is_alive():
        process.kill()
        process.join()
    return None if hangs else process.exitcode, log.read_text(errors="replace") if log.exists() else ""


def _run(module: str, words: list[str], log: Path, environment: dict[str, str], folder: Path | None) -> None:
    if folder is not None:
        os.chdir(folder)
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_BYTES, _MOST_BYTES))  # or a device read without end would end us all
    with log.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.environ |= {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", **environment}
    import torch

    torch.set_num_threads(1)
    status = importlib.import_module(module).main(words)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # as the tests of ranks do: gloo's threads now and then abort an ordinary exit
