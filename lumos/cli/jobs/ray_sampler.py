"""The actor of Ray that makes outputs: a model on a GPU or a CPU of the cluster, which is given one batch at a time.

Ray makes it from this class (`lumos.cli.jobs.ray_jobs`); nothing here imports it. It writes nothing that stays: an
output goes back as the bytes of its file, and gets its place where the command runs.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lumos.cli.generation.room import check_room
from lumos.cli.jobs.record import model_hash
from lumos.cli.jobs.runner import Generated, Plan, check_prompts, generated, write_output
from lumos.cli.models.door import find_model
from xllmx.ranks.ray_cluster import work_in
from xllmx.run.deterministic import use_deterministic_kernels


@dataclass(frozen=True, kw_only=True)
class Loading:
    """How an actor finds and loads its model."""

    name: str
    """Of the model, or the whole path of its folder."""
    ckpts: Path | None
    """The folder of checkpoints."""
    device: str
    """`cuda`, of which an actor sees its own alone, or `cpu`."""
    dtype: str
    how: Mapping[str, Any]
    """What else its pipeline is loaded with (`ModelKind.how_options`)."""
    deterministic: bool
    """Whether kernels are chosen that give the same bits every time."""
    folder: Path
    """From which paths count."""
    code: str
    """The version that records name."""


@dataclass(frozen=True, kw_only=True)
class MadeFile:
    """An output on its way from an actor."""

    about: Generated
    content: bytes
    """Its file."""


class Sampler:
    """Makes batches of a plan."""

    def __init__(self, plan: Plan, loading: Loading) -> None:
        """Take what is to be made, and how the model is loaded."""
        self._plan, self._loading = plan, loading

    def load(self) -> None:
        """Load the model.

        Raises:
            ValueError: it is not here or is another one, or takes more memory than there is, or a prompt or settings
                are none for it.
        """
        loading = self._loading
        work_in(loading.folder)
        if loading.device == "cpu":
            torch.set_num_threads(1)  # sums in one order, wherever the actor is
        if loading.deterministic:
            use_deterministic_kernels()
        device, dtype = loading.device, loading.dtype
        model = find_model(loading.name, loading.ckpts, device=device, dtype=dtype, how=loading.how)
        _check_same(model_hash(model.files), self._plan, loading.name)
        check_room(model, self._plan)
        self._pipeline = model.load(self._plan.missing)
        check_prompts(self._plan, self._pipeline)

    def make(self, number: int) -> list[MadeFile]:
        """Make what is missing of a batch, which is made whole."""
        files = []
        batch, recipe = self._plan.batches[number], self._plan.recipe
        for one, pixels in generated(batch, self._pipeline, recipe, code=self._loading.code):
            with tempfile.TemporaryDirectory(prefix="lumos-sampler-") as staging:
                content = write_output(one.planned, pixels, Path(staging)).read_bytes()
            files.append(MadeFile(about=one, content=content))
        return files


def _check_same(found: str, plan: Plan, name: str) -> None:
    """Raises ValueError where a machine has other weights than records are going to name."""
    if found != plan.recipe.model["model_hash"]:
        remedy = "all machines of the cluster must have the same checkpoints"
        raise ValueError(f"{name} has other weights ({found}) where Ray has an actor than where it was asked; {remedy}")
