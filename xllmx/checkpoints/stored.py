"""The checkpoints of a run in a store: sent file by file, the marker last; brought to this disk whole to be read.

    s3://bucket/run/step-00003000/__0_0.distcp          sent by the process that wrote it, once it is whole on its disk
    s3://bucket/run/step-00003000/.hashes-__0_0...json  its hash, then; gone when all is there
    s3://bucket/run/step-00003000/checkpoint.json       last, by the main process: without it there is no checkpoint
    s3://bucket/run/step-00002000/damaged.json          what the marker is called of one that had changed

No process needs another one's disk. What cannot be sent stays whole in the run's own folder where this disk has all of
it, and is sent with the next one.
"""

import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from xllmx.checkpoints import folder as checkpoint_folder
from xllmx.checkpoints.folder import MARKER, is_named, read_record, step_of
from xllmx.checkpoints.hashes import ALGORITHM, HASHES_OF, HashingWriter, gathered_hashes
from xllmx.ranks.distributed import any_rank, gather_names, is_main
from xllmx.safe.json_text import read_object
from xllmx.store.access import StoreError
from xllmx.store.address import Address, Location, location_of
from xllmx.store.folder_copy import folder_copy, listed
from xllmx.store.lease import check_held

_DAMAGED = "damaged.json"
_LOG = logging.getLogger(__name__)


def complete(folder: Address) -> list[Address]:
    """Return the complete checkpoints in a folder of a store, oldest first.

    Raises:
        StoreError: the store does not say.
    """
    return [place for place in folder.glob("step-*") if is_named(place) and (place / MARKER).is_file()]


def brought(checkpoint: Address) -> Path:
    """Return a complete checkpoint as a folder of this disk, under its own name.

    Raises:
        StoreError, WriteError: as `folder_copy`.
    """
    return folder_copy(checkpoint, marks=[MARKER], what="a complete checkpoint")


def to_begin_from(run: Address, *, check_hashes: bool) -> Path:
    """Return a checkpoint in a store that a setting names, or the newest of the run there, as one of this disk.

    Called on all ranks, all of which take the one that the main rank finds.

    Raises:
        ValueError: there is none, or its content has changed.
        StoreError, WriteError: as `brought`.
    """
    found: list[str] = []
    fault: Exception | None = None
    if is_main():
        try:
            is_one = is_named(run) and (run / MARKER).is_file()
            found = [str(place) for place in ([run] if is_one else checkpoints_of(run)[-1:])]
        except StoreError as error:
            fault = error
    if any_rank(fault is not None):
        raise fault or StoreError(f"{run} cannot be asked by the main process")
    named = gather_names(found)
    if not named:
        raise ValueError(f"trainer.resume_path is {run}, where there is no complete checkpoint and no run with one")
    path = brought(cast(Address, location_of(named[0])))
    if name := checkpoint_folder.fault_in(path, check_hashes=check_hashes):
        raise ValueError(f"trainer.resume_path: {named[0]} is damaged ({name} is not what was written); give another")
    return path


def here_of(checkpoint: Location) -> Path:
    """Return a complete checkpoint as a folder of this disk, which it may be already."""
    return brought(checkpoint) if isinstance(checkpoint, Address) else checkpoint


def checkpoints_of(run: Location, store: Address | None = None) -> list[Location]:
    """Return the complete checkpoints of a run by its folder or address, oldest first; none where there are none.

    Args:
        run: its folder or address; one that was copied to a store has them in `checkpoints/`.
        store: where the run sent its checkpoints, if anywhere.
    """
    if isinstance(run, Address):
        return [*(complete(run / "checkpoints") or complete(run))]
    there = [] if store is None else complete(store)
    return sorted([*there, *checkpoint_folder.complete(run / "checkpoints")], key=step_of)


class SendingWriter(HashingWriter):
    """Writes a rank's part of a checkpoint to the disk, and sends it to a store."""

    def __init__(self, folder: Path, place: Address) -> None:
        super().__init__(folder)
        self._place = place

    def _written(self, hashes: Mapping[str, str]) -> None:
        """Send the files of this rank, each with its hash; what is not taken is sent by the main rank, if it can."""
        super()._written(hashes)
        try:
            for name, value in hashes.items():
                (self._place / name).put(Path(self.path) / name)
                (self._place / HASHES_OF.format(name)).write_bytes(json.dumps({name: value}).encode())
        except StoreError as error:
            _LOG.warning("this process's part of a checkpoint is not sent yet: %s", error)


@dataclass(kw_only=True)
class StoredCheckpoints:
    """What the main rank does about the checkpoints of a run in a store.

    What fails is logged, and told by `fault` and `lost`. Where another run has taken the folder meanwhile, what would
    change something there raises HeldError.
    """

    folder: Address
    """`trainer.checkpoints`."""
    keep: int
    """How many complete ones stay."""
    fault: str | None = None
    """Why a checkpoint that is kept here is not there yet."""
    lost: str | None = None
    """Why the last checkpoint is nowhere whole."""
    _is_clear: bool = field(default=False, init=False)
    """Whether what lies in the place of the one being written was written for it."""

    def place_of(self, checkpoint: Path) -> Address:
        """Where a checkpoint of the run's own folder goes."""
        return self.folder / checkpoint_folder.name_of(step_of(checkpoint))

    def clear(self, place: Address) -> None:
        """Remove what lies in the place of a checkpoint that is going to be written."""
        check_held(self.folder)
        try:
            _remove(place)
            self._is_clear = True
        except StoreError as error:
            self._is_clear = False
            _LOG.warning("what lies in %s is not removed yet: %s", place, error)

    def publish(self, temporary: Path, target: Path, record: Mapping[str, Any], *, needed: set[str]) -> None:
        """Make a checkpoint count whose parts every rank has written, and perhaps sent; then send those kept back.

        Args:
            temporary: the folder of this disk with what was written to it.
            target: what it is to be called where nothing is missing in it.
            record: for the marker.
            needed: names of the files that the checkpoint consists of.
        """
        check_held(self.folder)
        elsewhere = sorted(needed - {path.name for path in temporary.iterdir()})
        if not elsewhere:
            checkpoint_folder.publish(temporary, target, record)
            self.lost = None
            self.send_kept(checkpoint_folder.complete(target.parent))
            return
        place = self.place_of(target)
        try:
            _send(temporary, place, self._with_parts(temporary, place, record, elsewhere))
            self.lost = None
            self._remove_old()
        except StoreError as error:
            self.lost = f"the checkpoint of step {step_of(target)} is not in {self.folder} ({error})"
            _LOG.warning("%s; training goes on", self.lost)
        shutil.rmtree(temporary, ignore_errors=True)

    def _with_parts(
        self, temporary: Path, place: Address, record: Mapping[str, Any], elsewhere: Sequence[str]
    ) -> dict[str, Any]:
        """Return the whole content of a marker: sizes and hashes of what is here, and of what others have sent."""
        hashes = gathered_hashes(temporary)
        sizes = {path.name: path.stat().st_size for path in sorted(temporary.iterdir())}
        there = {str(one.name): one.size for one in listed(place)}
        for name in elsewhere:
            if not self._is_clear or name not in there or HASHES_OF.format(name) not in there:
                raise StoreError(f"{place / name} was not sent from the machine that wrote it; its log says why")
            hashes[name], sizes[name] = str(_hash_there(place, name)), there[name]
        return {**record, "files": sizes, ALGORITHM: hashes}

    def send_kept(self, kept: Sequence[Path]) -> None:
        """Send the complete checkpoints of the run's own folder, oldest first, and remove each once it is there."""
        check_held(self.folder)
        for checkpoint in kept:
            try:
                _send(checkpoint, self.place_of(checkpoint), read_record(checkpoint))
            except StoreError as error:
                self.fault = f"the checkpoint {checkpoint} is not in {self.folder} ({error})"
                _LOG.warning("%s; it is kept here and sent again with the next one, and training goes on", self.fault)
                return
            checkpoint_folder.remove(checkpoint)
            checkpoint_folder.remove_left(checkpoint.parent, before=checkpoint)
        self.fault = None
        self._remove_old()

    def _remove_old(self) -> None:
        try:
            for place in complete(self.folder)[: -self.keep]:
                _remove(place)
        except StoreError as error:
            _LOG.warning("old checkpoints are not removed yet: %s", error)

    def set_aside(self, place: Address) -> None:
        """Let a checkpoint count no more whose content has changed; its files stay."""
        (place / _DAMAGED).write_bytes((place / MARKER).read_bytes())
        (place / MARKER).unlink(missing_ok=True)

    def to_choose_from(self, here: Path) -> list[Location]:
        """Return what a run can go on from, the best last: the same on all ranks, as the main one finds it.

        `here` is the run's own folder of checkpoints, where those may be that were not sent.
        """
        names: list[str] = []
        fault: Exception | None = None
        if is_main():
            try:
                names = [f"{place.name}/1 there" for place in complete(self.folder)]
                names += [f"{path.name}/2 here" for path in checkpoint_folder.complete(here)]
            except StoreError as error:
                fault = error
        if any_rank(fault is not None):
            raise fault or StoreError(f"{self.folder} cannot be asked by the main process")
        found = (name.split("/") for name in gather_names(names))
        return [here / name if where == "2 here" else self.folder / name for name, where in found]


def _send(folder: Path, place: Address, record: Mapping[str, Any]) -> None:
    """Make `place` the checkpoint of a record: its files that are not there yet, the marker last."""
    marker = json.dumps(record, indent=1).encode()
    there = {str(one.name): one.size for one in listed(place)}
    if MARKER in there:
        if (place / MARKER).read_bytes() == marker:  # sent, and then this process was killed
            return
        (place / MARKER).unlink(missing_ok=True)
    for name, size in record["files"].items():
        hashed = HASHES_OF.format(name) in there and _hash_there(place, name) == record[ALGORITHM][name]
        if not hashed or there.get(name) != size:
            (place / name).put(folder / name)
    (place / MARKER).write_bytes(marker)
    for name in there.keys() - {*record["files"], MARKER}:  # the marker is the new one by now
        (place / name).unlink(missing_ok=True)


def _hash_there(place: Address, name: str) -> str | None:
    """Return the hash that was sent with a file."""
    try:
        found = read_object(place / HASHES_OF.format(name)).get(name)
    except StoreError:
        raise
    except ValueError:  # written over by somebody
        return None
    return found if isinstance(found, str) else None


def _remove(place: Address) -> None:
    """Remove a checkpoint, its marker first."""
    (place / MARKER).unlink(missing_ok=True)
    for one in listed(place):
        one.address.unlink(missing_ok=True)
