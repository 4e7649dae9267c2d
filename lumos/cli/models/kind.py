"""What tells one model from the other on a command line, and a model that was found and not loaded yet."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:  # torch and all: only where a model is asked to work, so that mistakes are said at once
    import torch

    from lumos.cli.jobs.pipeline import Pipeline, SettingsFor
    from lumos.cli.jobs.runner import Planned, Recipe


@runtime_checkable
class Files(Protocol):
    """Where the parts of a model lie, all of them present."""

    @property
    def name(self) -> str:
        """What finds it again: its name, or the whole path of its folder."""
        ...

    @property
    def model(self) -> Path:
        """Its folder."""
        ...

    @property
    def defaults(self) -> dict[str, Any]:
        """Settings of generation it asks for."""
        ...

    @property
    def paths_to_hash(self) -> list[Path]:
        """The files that decide what it makes."""
        ...


@dataclass(frozen=True, kw_only=True)
class AbsentFiles:
    """Stands for the files of a released model that is not here: its published shape is enough for arithmetic."""

    name: str
    model: Path
    """Where it would be."""
    defaults: dict[str, Any]
    why: str
    """What is missing, and the command that brings it."""
    paths_to_hash: list[Path] = field(default_factory=list)
    """None."""


@dataclass(frozen=True, kw_only=True)
class ClipCost:
    """What making one clip takes."""

    passes: int
    """Of the network, each branch of the guidance counted."""
    flops: int
    at_most: bool = False
    """Whether the sampling may end earlier."""


@dataclass(frozen=True, kw_only=True)
class Memory:
    """What making a batch takes on a GPU, by arithmetic."""

    parts: Mapping[str, int]
    """Part -> bytes."""
    peak: int
    """Bytes of those that are there at once, at most."""
    not_counted: str
    """What takes memory besides."""


@runtime_checkable
class Costs(Protocol):
    """The arithmetic of a model's work; reads configs and tokenizers, no weights."""

    num_parameters: int
    """Of the network."""
    assumed: str
    """What was taken for what is not here; empty where all is."""

    def of_clip(self, planned: "Planned") -> ClipCost:
        """Passes and FLOPs of a clip."""
        ...

    def of_batch(self, batch: Sequence["Planned"]) -> Memory:
        """Memory of clips that are made together."""
        ...


@dataclass(frozen=True, kw_only=True)
class Watch:
    """How a pipeline is had to say how far it is."""

    prepare: Callable[["Pipeline"], None] = lambda pipeline: None
    """What is done to it once it is loaded."""
    callback: Callable[..., None] | None = None
    """What it is to call back."""


@dataclass(frozen=True, kw_only=True)
class ModelKind:
    """One of the two models, as far as commands must tell them apart."""

    name: str
    """As `lumos.hub.models.kind_of` says it."""
    title: str
    """For people."""
    tasks: tuple[str, ...]
    """Of t2i, t2v and i2v."""
    changes_prompts: bool
    """Whether a prompt may change while a clip is made."""
    how_options: tuple[str, ...]
    """What its pipeline is loaded with beside device and dtype, as `find_model` takes it."""
    how_recorded: tuple[str, ...]
    """Those of them that change what is made."""
    unit: str
    """What its work is counted in."""
    empty_negative_is_none: bool
    """Whether an empty negative prompt is what a clip without one has anyway."""
    find_files: Callable[["str | Path", "Path | None", Mapping[str, Any]], Files]
    """Name, folder of checkpoints and `how` -> files; ValueError says what is missing."""
    settings_of: Callable[["Model"], "SettingsFor"]
    """How the settings of a call are worked out while the model is not loaded."""
    setting_names: Callable[[], tuple[str, ...]]
    """Every setting its pipeline takes."""
    fast_settings: Callable[[Mapping[str, Any]], dict[str, Any]]
    """The model's defaults -> settings of its faster sampling; ValueError where it has none."""
    load: Callable[["Model", Sequence["Planned"]], "Pipeline"]
    """The pipeline, ready for these jobs."""
    num_units: Callable[["Planned"], int]
    """How many of them a clip takes."""
    watch: Callable[[Callable[[int], None]], Watch]
    """How it is found how many units are done: the function is called with each number of them."""
    costs: Callable[["Model", "torch.dtype"], Costs]
    """The arithmetic of its work in a dtype."""
    checks: Callable[[], Mapping[str, Callable[["Model"], str]]]
    """What `lumos doctor` looks at -> what is found there; ValueError, OSError or RuntimeError say what to do."""
    less_memory: str
    """What to ask for where one clip takes more memory than there is, for people."""
    check_how: Callable[[Mapping[str, Any]], None] = lambda how: None
    """Raises the ValueError of options of `how_options` that do not go together."""


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model that was found, and how it is to be loaded."""

    kind: ModelKind
    files: Files
    device: str | None = None
    """None: a GPU where there is one."""
    dtype: str | None = None
    """None: bfloat16 on a GPU, float32 on a CPU."""
    ckpts: Path | None = None
    """The folder of checkpoints; None: that of the checkout."""
    how: Mapping[str, Any] = field(default_factory=dict)
    """What else its pipeline is loaded with, of `ModelKind.how_options`."""

    @property
    def is_absent(self) -> bool:
        """Whether it is not here: it can be reckoned with, and not loaded."""
        return isinstance(self.files, AbsentFiles)

    @property
    def settings_for(self) -> "SettingsFor":
        """How the settings of a call of this model are worked out while it is not loaded."""
        return self.kind.settings_of(self)

    def recipe(self, given: Mapping[str, Any]) -> "Recipe":
        """How all outputs of a list are made; `given` is what the pipeline is called with.

        Raises:
            ValueError: a device or dtype that cannot be had.
        """
        from lumos.cli.jobs.record import model_entries
        from lumos.cli.jobs.runner import Recipe
        from lumos.media.inputs import choose_device, choose_dtype

        dtype = str(choose_dtype(self.dtype, choose_device(self.device))).removeprefix("torch.")
        recorded = {name: self.how.get(name) for name in self.kind.how_recorded}
        return Recipe(
            given=given, settings_for=self.settings_for, model=model_entries(self.files, recorded, dtype=dtype)
        )

    def load(self, todo: Sequence["Planned"]) -> "Pipeline":
        """The pipeline, ready for these jobs; its device is the one this process works on."""
        from lumos.media.inputs import choose_device, pin

        pin(choose_device(self.device))
        return self.kind.load(self, todo)
