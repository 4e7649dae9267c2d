"""Where a run's config.yaml leads: a run may be a stranger's, and then its config would choose what is read here.

A run that a training of this user's wrote where it lies is followed wherever it leads. Of any other, what lies in it,
under the checkpoints or in the model that the user names is read; of the rest it is said that it was not, and what to
type.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from lumos.cli.training.run_config import AnyRun, RunConfig
from lumos.hub.bundled import bundled, file_or_bundled
from lumos.hub.models import ckpts_root, find_folder
from xllmx.run.provenance.made_here import is_made_here
from xllmx.run.reporting.report import CONFIG_FILE, ENVIRONMENT_FILE
from xllmx.store.access import without_keys
from xllmx.store.address import Address, Location, is_address, location_of

TRUST = "--trust-run"
"""The option that has a run's config.yaml followed wherever it leads."""


def check_places(config: AnyRun, run: Location, *, ckpts: str | Path | None, named: str | Path | None) -> None:
    """Check that a run is this user's own, or that all that making a model of it reads lies where it may.

    Nothing of it is opened before.

    Args:
        config: of the run.
        run: its folder or address.
        ckpts: where named models lie.
        named: a model that the user names beside the run.

    Raises:
        ValueError: it does not; says which settings lead where.
    """
    if isinstance(run, Path) and is_made_here(run / CONFIG_FILE, environment=run / ENVIRONMENT_FILE):
        return
    if outside := places_outside(config, run, ckpts=ckpts, named=named):
        said = ", ".join(f"{name}={without_keys(value)[:200]}" for name, value in outside.items())
        what = (
            f"{run}: its config.yaml leads to {said}, outside the run and {ckpts_root(ckpts)}; nothing was read there"
        )
        raise ValueError(f"{what}. If the run is yours, add {TRUST}")


def places_outside(
    config: AnyRun, run: Location, *, ckpts: str | Path | None = None, named: str | Path | None = None
) -> dict[str, str]:
    """Return the settings of a run, with their values, that lead outside of it and of what the user has named."""
    root = ckpts_root(ckpts)
    known: list[Location] = [root, ckpts_root(), bundled() / "ckpts", bundled() / "configs"]
    if named is not None:
        known += [location_of(named)] if is_address(named) else []
        known += [find_folder(named, root) or Path(named)]
    return {name: value for name, value in _read(config) if not _may_be_read(value, run=run, known=known, ckpts=root)}


def _read(config: AnyRun) -> Iterator[tuple[str, str]]:
    """The settings that name what an export reads."""
    task = config.task
    own = ("init_from", "model_config") if isinstance(config, RunConfig) else ("init_from", "text_encoder", "vae")
    for name in own:
        if value := getattr(task, name):
            yield f"task.{name}", str(value)
    if config.trainer.store is not None:
        yield "trainer.checkpoints", str(config.trainer.store)


def _may_be_read(value: str, *, run: Location, known: list[Location], ckpts: Path) -> bool:
    """Whether a place lies in one that is the user's own, or in the run, where links are followed; or is not there."""
    place = location_of(value)
    if isinstance(place, Address):
        return any(place.is_relative_to(one) for one in (run, *known) if isinstance(one, Address))
    place = _whole(find_folder(place, ckpts) or file_or_bundled(place))
    if isinstance(run, Path) and place.is_relative_to(_whole(run)):
        return place.resolve().is_relative_to(run.resolve())
    return not place.exists() or any(place.is_relative_to(_whole(one)) for one in known if isinstance(one, Path))


def _whole(path: Path) -> Path:
    """A path from the root on, without `..`; links stay."""
    return Path(os.path.normpath(path.expanduser().absolute()))
