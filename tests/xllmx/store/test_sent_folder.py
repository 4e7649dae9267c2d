"""Folders sent to a store: whole or without a mark, and what a killed process left may be replaced."""

from pathlib import Path

import pytest

from xllmx.run.lock import HeldError
from xllmx.store import lease
from xllmx.store.address import Address
from xllmx.store.sent_folder import check_absent, check_new, new_folder, send_folder

MARKS = ("config.json",)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "made"
    (made / "vae").mkdir(parents=True)
    (made / "config.json").write_bytes(b"{}")
    (made / "vae/weights.bin").write_bytes(b"weights")
    return made


def checked(place: Address, *, overwrite: bool = False) -> None:
    check_absent(place, overwrite=overwrite, remedy="--overwrite")
    check_new(place, marks=MARKS, inputs={})


def names(place: Address) -> set[str]:
    return {str(address.relative_to(place)) for address, _ in place.files()}


def test_what_a_killed_process_left_may_be_replaced_and_nothing_else(
    bucket: Address, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, put = bucket / "models/new", Address.put

    def killed(address: Address, file: Path) -> None:
        if address.name == "config.json":
            raise KeyboardInterrupt
        put(address, file)

    with monkeypatch.context() as patched:
        patched.setattr(Address, "put", killed)
        with pytest.raises(KeyboardInterrupt):
            send_folder(folder, place, marks=MARKS)
    assert names(place) == {"vae/weights.bin", ".sending"}
    checked(place)
    send_folder(folder, place, marks=MARKS)
    assert names(place) == {"vae/weights.bin", "config.json"}
    with pytest.raises(ValueError, match=r"is there already; choose another folder, or --overwrite"):
        checked(place)
    checked(place, overwrite=True)
    (bucket / "holidays/beach.jpg").write_bytes(b"picture")
    with pytest.raises(ValueError, match=r"is not written over: it has no config\.json"):
        checked(bucket / "holidays", overwrite=True)


def test_what_another_process_has_begun_to_write_meanwhile_is_left_to_it(
    bucket: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = bucket / "models/new"
    taken = HeldError("it is written by another", holder="process 4711")

    def write(is_taken: bool) -> None:
        with new_folder(place, marks=MARKS) as folder:
            (folder / "config.json").write_bytes(b"{}")
            if is_taken:
                monkeypatch.setitem(lease._LOST, place / ".lock", taken)

    with pytest.raises(HeldError, match="has taken the place of this one: it is written by another"):
        write(is_taken=True)
    assert names(place) == set()
    write(is_taken=False)
    assert names(place) == {"config.json"}
