"""All outputs of a list looked at before a model is loaded: names, folders, texts, and what they may not replace."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from lumos.cli.jobs.outputs import FORMATS, OutputFolder, format_of
from lumos.cli.jobs.record import record_path
from xllmx.disk.place import Inputs, check_file, check_folder, check_text, inputs_of, nearest_folder

_SHOWN_CHARACTERS = 40
_SHOWN_FAULTS = 3


@runtime_checkable
class Listed(Protocol):
    """One output of a list (`lumos.cli.jobs.runner.Job`)."""

    @property
    def name(self) -> str:
        """Of its file."""
        ...

    @property
    def prompt(self) -> str:
        """What the model sees."""
        ...

    @property
    def negative_prompt(self) -> str | None:
        """What to lead away from."""
        ...

    @property
    def image(self) -> Path | None:
        """First frame."""
        ...


def check_places(jobs: Sequence[Listed], folder: OutputFolder, *, inputs: Mapping[str, Path | None]) -> None:
    """Check that all outputs of a list can be written, with their records; nothing is made.

    Args:
        jobs: the whole list.
        folder: where they go.
        inputs: what else than the jobs' pictures may not be written over, by what the user calls it.

    Raises:
        ValueError: that names every job at fault (three of them, and how many more), and what to mend.
    """
    _check_names(jobs)
    images = {f"the picture of a prompt ({job.image.name})": job.image for job in jobs if job.image is not None}
    kept = inputs_of({**images, **inputs})
    faults = faults_of(jobs, lambda job: _check(job, folder, kept))
    raise_all(faults, num_listed=len(jobs))
    for home in {nearest_folder(path.parent) for job in jobs for path in (folder.place(job.name),)}:
        check_folder(home)


def faults_of(jobs: Iterable[Listed], check: Callable[[Listed], None]) -> list[tuple[int, str, str]]:
    """(number in the list, prompt, fault) of each job that a check refuses."""
    found = []
    for number, job in enumerate(jobs, start=1):
        try:
            check(job)
        except ValueError as error:
            found.append((number, job.prompt, str(error)))
    return found


def raise_all(faults: Sequence[tuple[int, str, str]], *, num_listed: int) -> None:
    """Raise one ValueError for all faults of a list; of several jobs, their prompts are named."""
    if not faults:
        return
    said = [named(prompt, number, fault, num_listed=num_listed) for number, prompt, fault in faults[:_SHOWN_FAULTS]]
    more = f"; and {len(faults) - _SHOWN_FAULTS} more prompts are at fault" if faults[_SHOWN_FAULTS:] else ""
    raise ValueError("; ".join(said) + more)


def named(prompt: str, number: int, fault: str, *, num_listed: int) -> str:
    """A fault of one job, which is named if there are several."""
    if num_listed == 1:
        return fault
    shown = prompt if len(prompt) <= _SHOWN_CHARACTERS else f"{prompt[:_SHOWN_CHARACTERS]}..."
    return f"prompt {number} of {num_listed} ({shown!r}): {fault}"


def _check(job: Listed, folder: OutputFolder, inputs: Inputs) -> None:
    check_text(job.prompt, what="the prompt")
    check_text(job.negative_prompt or "", what="the negative prompt")
    recorded = folder.recorded(job.name)
    check_file(recorded, beside=(record_path(recorded).name.removeprefix(recorded.name),), inputs=inputs)
    if folder.place(job.name) != recorded:
        check_file(folder.place(job.name), inputs=inputs)


def _check_names(jobs: Sequence[Listed]) -> None:
    """Raises ValueError for a name of no known format, and for two jobs of one name."""
    seen: set[str] = set()
    for name in (job.name for job in jobs):
        if format_of(name) not in FORMATS:
            raise ValueError(f"{name} is of no known format; its name must end in {', '.join(FORMATS)}")
        if name in seen:
            raise ValueError(f"two prompts would go to {name}; give them other names")
        seen.add(name)
