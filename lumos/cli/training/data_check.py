"""What paths and data YAMLs alone say of the data of a training: what is missing, and what can be no data.

Imported without torch, so that a mistake in them is said at once, before what reads and trains on clips is loaded.
"""

import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from lumos.cli.training.listed_files import look_for_files, share_missing
from lumos.cli.training.recorded_data import check_codes, check_latents
from lumos.cli.training.run_config import AnyRun, LuminaVideoRunConfig, data_of
from lumos.lumina_video.data import readable as of_lumina_video
from lumos.lumina_video.training.stated_model import check_scales, stated_model
from lumos.lumos1.data import readable as of_lumos1
from lumos.media.sets.data_yaml import MISSING_REMEDY, Entry, MissingClipsError, entries_of
from xllmx.ranks.launched import launched_ranks
from xllmx.store.address import is_address


@dataclass(frozen=True, kw_only=True)
class MissingData:
    """Data that a training names and that are not there (yet)."""

    settings: list[str]
    """Which name them: task.tasks.videos.data."""
    why: str
    """What is not there."""

    def __str__(self) -> str:
        return f"{', '.join(self.settings)}: {self.why}"


def check_streams(config: AnyRun) -> None:
    """Check that what is set by stream, batches above all, names streams that the task has.

    Raises:
        ValueError: another is named, with the one that was probably meant; or there are no data to train on.
    """
    if isinstance(config, LuminaVideoRunConfig):
        config.engine_settings.check_streams(config.task.tasks)
        return
    if not config.task.data:
        raise ValueError("task.data names no clips; give some, for example task.data.video=data/video/index.json")
    config.trainer.check_streams(config.task.data)
    config.trainer.check_held_out(config.task.eval_streams)


def check_data(config: AnyRun) -> None:
    """Check the names of streams, and that the data are there, as far as `missing_data` can tell, and their lists.

    Files of a list that are missing, and are no more than a training takes, are said on stderr.

    Of several processes that a launcher started each leaves the data to its task: one that ended here, before they have
    met, would leave the others waiting. Names are the same in all of them.

    Raises:
        ValueError: some are missing, each named with its path; or what `check_streams`, `missing_data` and
            `look_for_files` raise; or a scale that the model does not have.
    """
    check_streams(config)
    if isinstance(config, LuminaVideoRunConfig) and (model := stated_model(config.task)) is not None:
        check_scales(config.task, model)
    if launched_ranks() > 1:
        return
    if missing := missing_data(config):
        raise ValueError(f"{'; '.join(map(str, missing))}; {how_to_make(config)}")
    if isinstance(config, LuminaVideoRunConfig):
        _check_listed_files(config)


def _check_listed_files(config: LuminaVideoRunConfig) -> None:
    """Raise ValueError where more files of a task are missing than `trainer.max_broken` lets be; say fewer."""
    look, most = cache(look_for_files), config.trainer.max_broken
    fewer: dict[Path, str] = {}
    for setting, named in data_of(config).items():
        if is_address(named) or not _is_read(config, setting):
            continue
        paths = [entry.path for entry in _entries_of(Path(named))]
        found = [look(path) if isinstance(path, Path) else None for path in paths]
        known = [one for one in found if one is not None]
        worst = max(known, key=lambda one: one.num_missing, default=None)
        if worst is None or not worst.missing:
            continue
        if len(known) == len(found) and share_missing(known) > most:
            raise ValueError(f"{setting}: {worst}; a training takes a share of {most:g} (trainer.max_broken)")
        for one in known:
            if one.missing:
                fewer.setdefault(one.list, f"{setting}: {one}")
    for said in fewer.values():
        sys.stderr.write(f"lumos train: {said}; others are trained on in their place\n")


def _is_read(config: AnyRun, setting: str) -> bool:
    """Whether a training opens the data of a setting: held-out data only where it evaluates."""
    return not setting.startswith("task.eval_") or config.trainer.evaluates


def missing_data(config: AnyRun) -> list[MissingData]:
    """Return the data that are not there, of those that the training opens; what lies in a store is not looked for.

    Held-out data are opened where the training evaluates.

    Raises:
        ValueError: no task, or one that names no data; a data YAML that is none, or a file that can be no data; or
            clips that the task or its model does not take, as far as their shards tell at a glance.
    """
    suffixes: tuple[str, ...]
    if isinstance(config, LuminaVideoRunConfig):
        config.task.check_data()
        readable, suffixes = of_lumina_video.LATENTS_READABLE, of_lumina_video.SUFFIXES
    else:
        readable, suffixes = of_lumos1.READABLE, of_lumos1.SUFFIXES
    missing: dict[str, list[str]] = {}
    for setting, named in data_of(config).items():
        if is_address(named) or not _is_read(config, setting):
            continue
        try:
            entries = _entries_of(Path(named))
        except MissingClipsError as error:
            missing.setdefault(str(error).removesuffix(MISSING_REMEDY), []).append(setting)
            continue
        for entry in entries:
            if isinstance(entry.path, Path) and entry.path.is_file() and entry.path.suffix not in suffixes:
                raise ValueError(f"{setting}: {entry.path} is no set of clips; give {readable}")
        if isinstance(config, LuminaVideoRunConfig):
            check_latents(config, setting, entries)
        else:
            check_codes(config, setting, entries)
    return [MissingData(settings=settings, why=why) for why, settings in missing.items()]


def how_to_make(config: AnyRun) -> str:
    """What to do about data that are missing, in words."""
    product = "latents" if isinstance(config, LuminaVideoRunConfig) else "codes"
    lists = [setting for setting, named in data_of(config).items() if _is_missing_list(named)]
    if lists and product == "latents":
        row = '{"path": "clips/a.mp4", "prompt": "what it shows"}'
        other = f"a CSV with the columns path,text does as well: {lists[0]}=videos.csv"
        written = f"a list of videos or images has a line {row} for each, paths counting from its folder; {other}"
        return f"{written}; or correct the path, or make {product}: python -m pre_tokenize --to {product}"
    made = f"python -m pre_tokenize --to {product} makes them of images or videos (pre_tokenize/README.md)"
    return f"{made}; or bring them there, or correct the path"


def _is_missing_list(named: str) -> bool:
    return not is_address(named) and Path(named).suffix in (".jsonl", ".json", ".csv") and not Path(named).exists()


def _entries_of(path: Path) -> list[Entry]:
    """Return what a path names, or the data YAML at it; `MissingClipsError` where something of it is not there."""
    if not path.exists():
        raise MissingClipsError(f"{path}: no such file or folder")
    return entries_of(path)
