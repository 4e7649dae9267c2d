"""Which model a name or a folder stands for; what only the other one has is refused in one line."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lumos.cli.models.kind import AbsentFiles, Model, ModelKind
from lumos.cli.models.lumina_video import LUMINA_VIDEO
from lumos.cli.models.lumos1 import LUMOS1
from lumos.hub.models import DEFAULT_MODEL, LUMINA_REPO, RELEASED, ckpts_root, kind_of, model_folder
from xllmx.settings.setting import SettingError

KINDS: Mapping[str, ModelKind] = {kind.name: kind for kind in (LUMOS1, LUMINA_VIDEO)}


def kind_of_model(name: str | Path | None, ckpts: Path | None = None, *, absent: bool = False) -> ModelKind:
    """Return which model a name (None: the bundled one) or a folder stands for, by its config alone.

    `absent`: a released one need not be here.

    Raises:
        ValueError: it is not here (with the command that brings it), or is neither.
    """
    try:
        return KINDS[kind_of(model_folder(name or DEFAULT_MODEL, ckpts))]
    except ValueError:
        if absent and (released := _released_kind(name)) is not None:
            return released
        raise


def find_model(
    name: str | Path | None,
    ckpts: Path | None = None,
    *,
    device: str | None = None,
    dtype: str | None = None,
    how: Mapping[str, Any] | None = None,
    absent: bool = False,
) -> Model:
    """Return a model, all parts of which are here; its weights are not read.

    Args:
        name: a bundled or released name, a hub id that was downloaded, or a folder; None: the bundled model.
        ckpts: the folder of checkpoints.
        device: where it is to run; None: a GPU where there is one.
        dtype: what it is to compute in; None: bfloat16 on a GPU, float32 on a CPU.
        how: what else its pipeline is loaded with (`ModelKind.how_options`); of other names only those not set.
        absent: whether a released model of which a part is missing will do: for a dry run.

    Raises:
        ValueError: no such model, neither model, a part of it is missing, or `how` has what does not go together.
    """
    kind = kind_of_model(name, ckpts, absent=absent)
    chosen = {option: value for option, value in (how or {}).items() if option in kind.how_options}
    kind.check_how(chosen)
    try:
        files = kind.find_files(name or DEFAULT_MODEL, ckpts, chosen)
    except ValueError as error:
        if not absent or _released_kind(name) is None:
            raise
        place, why = ckpts_root(ckpts) / str(name), str(error)
        files = AbsentFiles(name=str(name), model=place, defaults=dict(RELEASED.get(str(name), {})), why=why)
    return Model(kind=kind, files=files, device=device, dtype=dtype, ckpts=ckpts, how=chosen)


def refuse_settings(model: Model, given: Iterable[str]) -> None:
    """Check that none of these settings is of the other model alone.

    Raises:
        SettingError: one is.
    """
    known = model.kind.setting_names()
    for other in KINDS.values():
        for name in given:
            if name not in known and name in other.setting_names():
                raise SettingError(name, f"is a setting of {other.title}, and {model.files.name} is {model.kind.title}")


def refuse_how(model: Model, how: Mapping[str, Any]) -> None:
    """Check that the model can be loaded as asked.

    Raises:
        SettingError: something is asked for that is of the other model alone.
    """
    for name, value in how.items():
        if value and name not in model.kind.how_options:
            other = next(kind.title for kind in KINDS.values() if name in kind.how_options)
            raise SettingError(name, f"is for {other}, and {model.files.name} is {model.kind.title}; leave it out")


def refuse_task(model: Model, task: str) -> None:
    """Check that the model makes what a task asks for: t2i, t2v or i2v.

    Raises:
        ValueError: it does not.
    """
    if task not in model.kind.tasks:
        able = " and ".join(model.kind.tasks)
        raise ValueError(
            f"{model.files.name} is {model.kind.title}, which makes {able} and no {task}; take another --model"
        )


def _released_kind(name: str | Path | None) -> ModelKind | None:
    """Return which model a released name stands for, whose shape is known; None for another name."""
    released = {**dict.fromkeys(RELEASED, LUMOS1), LUMINA_REPO: LUMINA_VIDEO}
    return released.get(str(name))
