"""A checkpoint of a stranger: nothing in it runs, nothing outside it is read, and ours are read as before."""

import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import hostile_checkpoint as hostile
import launched_ranks as ranks
import pytest
import torch
from torch.distributed.checkpoint import FileSystemReader
from torch.distributed.checkpoint.metadata import ChunkStorageMetadata

from xllmx.checkpoints.checkpoint import CheckpointError, CheckpointManager
from xllmx.checkpoints.metadata import read_metadata

PLAIN = {"lr": 1e-3, "betas": (0.9, 0.95), "fused": None, "names": ["a", "b"], "step": 7, "on": True, "empty": {}}


def state(value: float) -> dict[str, Any]:
    return {"model": {"weight": torch.full((3, 5), value), "flag": torch.tensor(value > 1)}, "plain": dict(PLAIN)}


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return CheckpointManager(tmp_path / "checkpoints").save(4, state(4.5))


def load(checkpoint: Path) -> dict[str, Any]:
    return CheckpointManager(checkpoint.parent).load(checkpoint, state(0.0))


def test_what_is_read_is_what_torch_reads(checkpoint: Path) -> None:
    ours, theirs = read_metadata(checkpoint), FileSystemReader(checkpoint).read_metadata()
    assert ours.state_dict_metadata == theirs.state_dict_metadata
    assert ours.storage_data == theirs.storage_data
    assert load(checkpoint)["plain"] == PLAIN


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_lists_of_older_and_newer_pythons_are_read(checkpoint: Path, protocol: int) -> None:
    listed = pickle.loads((checkpoint / ".metadata").read_bytes())
    (checkpoint / ".metadata").write_bytes(pickle.dumps(listed, protocol=protocol))
    assert read_metadata(checkpoint).state_dict_metadata == listed.state_dict_metadata


def test_a_list_that_would_run_is_refused_and_does_not(checkpoint: Path, tmp_path: Path) -> None:
    hostile.change(checkpoint, lambda listed: hostile.Evil(tmp_path / "marker"))
    with pytest.raises(CheckpointError, match=r"step-00000004 is not read: its \.metadata: it asks for \w+\.system"):
        load(checkpoint)
    assert not (tmp_path / "marker").exists()
    pickle.loads((checkpoint / ".metadata").read_bytes())
    assert (tmp_path / "marker").exists()  # the trap works


@pytest.mark.parametrize("where", ["planner_data", "version", "storage_meta"])
def test_nothing_runs_in_parts_of_the_list_that_are_not_used(checkpoint: Path, tmp_path: Path, where: str) -> None:
    hostile.change(checkpoint, lambda listed: setattr(listed, where, hostile.Evil(tmp_path / "marker")))
    with pytest.raises(CheckpointError, match="it asks for"):
        load(checkpoint)
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize("name", ["plain.lr", "plain.names", "model.weight", "model.flag"])
def test_a_value_or_tensor_that_would_run_is_refused_and_does_not(checkpoint: Path, tmp_path: Path, name: str) -> None:
    hostile.replace_value(checkpoint, name, hostile.Evil(tmp_path / "marker"))
    with pytest.raises(CheckpointError, match=rf"its {name}: it asks for .*system") as caught:
        load(checkpoint)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "marker").exists()


def shared(value: Any, times: int = 9) -> Any:
    for _ in range(times):
        value = [value] * 10
    return value


@pytest.mark.parametrize("value", [shared(1), {"a": shared(2)}, torch.ones(2), {1, 2}], ids=["lists", "dict", "t", "s"])
def test_a_plain_value_is_plain_and_bounded(checkpoint: Path, value: Any) -> None:
    hostile.replace_value(checkpoint, "plain.lr", value)
    with pytest.raises(CheckpointError, match=r"its plain\.lr: it "):
        load(checkpoint)


class Layout:
    """Pickled as a layout whose name is something else than a text."""

    def __reduce__(self) -> Any:
        return torch.serialization._get_layout, (shared(1, times=2),)


def test_lists_that_spell_a_text_without_end_are_no_name_of_a_layout(checkpoint: Path) -> None:
    hostile.change(checkpoint, lambda listed: setattr(listed, "version", Layout()))
    with pytest.raises(CheckpointError, match="a layout that has no name"):
        load(checkpoint)


def to_file(name: str) -> Callable[[Any], None]:
    def change(listed: Any) -> None:
        listed.storage_data = {k: replace(v, relative_path=name) for k, v in listed.storage_data.items()}

    return change


def to_place(offset: Any, length: Any, **more: Any) -> Callable[[Any], None]:
    def change(listed: Any) -> None:
        changes = {"offset": offset, "length": length, **more}
        listed.storage_data = {k: replace(v, **changes) for k, v in listed.storage_data.items()}

    return change


def first_tensor(listed: Any) -> Any:
    return listed.state_dict_metadata["model.weight"]


WRONG: dict[str, tuple[Callable[[Any], Any], str]] = {
    "a file elsewhere": (to_file("/etc/passwd"), r"names the file '/etc/passwd'; a checkpoint has its files in its"),
    "a file above": (to_file("../__0_0.distcp"), r"names the file '\.\./__0_0\.distcp'"),
    "a file below": (to_file("a/__0_0.distcp"), r"names the file 'a/__0_0\.distcp'"),
    "a file of another kind": (to_file("checkpoint.json"), r"names the file 'checkpoint\.json'"),
    "no such file": (to_file("__9_9.distcp"), r"__9_9\.distcp, which is not there"),
    "behind the end": (to_place(10**9, 5), "lies outside it"),
    "before the beginning": (to_place(-5, 5), "lies outside it"),
    "no number": (to_place("0", 5), "lies outside it"),
    "nowhere": (lambda listed: listed.storage_data.clear(), "does not say where model"),
    "only half of a tensor": (
        lambda listed: setattr(first_tensor(listed), "chunks", []),
        "other parts of model.weight than",
    ),
    "parts without end": (
        lambda listed: setattr(first_tensor(listed), "chunks", first_tensor(listed).chunks * 10**4),
        r"lists other parts of model\.weight than make the whole",
    ),
    "a part outside": (
        lambda listed: setattr(
            first_tensor(listed), "chunks", [ChunkStorageMetadata(torch.Size([1, 0]), torch.Size([3, 5]))]
        ),
        "a part that lies outside its tensor",
    ),
    "no list": (lambda listed: {"a": 1}, "holds a dict where a Metadata belongs"),
    "no names": (lambda listed: setattr(listed, "state_dict_metadata", [1]), "it has no state_dict_metadata"),
    "numbers for names": (
        lambda listed: setattr(listed, "state_dict_metadata", {5: first_tensor(listed)}),
        "holds a int where a name belongs",
    ),
    "a transform": (to_place(0, 5, transform_descriptors=["zstd"]), "to be transformed"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_list_that_does_not_fit_the_folder_is_refused_in_one_line(checkpoint: Path, case: str) -> None:
    how, reason = WRONG[case]
    hostile.change(checkpoint, how)
    with pytest.raises(CheckpointError, match=reason) as caught:
        load(checkpoint)
    assert "\n" not in str(caught.value)
    assert "bring it back, or remove it" in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"no pickle", b"\x80\x02K\x01r\x00\x00\x00\x18.", None])
def test_a_damaged_list_is_one_line(checkpoint: Path, content: bytes | None) -> None:
    (checkpoint / ".metadata").unlink()
    if content is not None:
        (checkpoint / ".metadata").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"is not read: its \.metadata") as caught:
        load(checkpoint)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("files", [{"../x": 1}, {"/etc/passwd": 1}, [1], {"a": {}}, "x", None])
def test_a_marker_that_names_files_elsewhere_makes_no_checkpoint(checkpoint: Path, files: Any) -> None:
    (checkpoint.parent / "x").write_text("1")
    record = json.loads((checkpoint / "checkpoint.json").read_text())
    (checkpoint / "checkpoint.json").write_text(json.dumps({**record, "files": files}))
    assert CheckpointManager(checkpoint.parent).latest() is None


def test_a_setting_that_is_infinite_leaves_a_checkpoint_whole(tmp_path: Path) -> None:
    manager = CheckpointManager(tmp_path / "checkpoints")
    saved = manager.save(1, state(1.0), record={"config": {"clip": float("inf")}})
    assert manager.latest() == saved


@pytest.mark.slow
@pytest.mark.parametrize("what", ["list", "value"])
def test_two_processes_refuse_it_together(tmp_path: Path, what: str) -> None:
    plan = {"run": tmp_path / "run", "trainer": {"save_every": 2, "max_steps": 2}}
    ranks.run_ranks([plan], num=2)
    checkpoint = tmp_path / "run" / "checkpoints" / "step-00000002"
    if what == "list":
        hostile.change(checkpoint, lambda listed: hostile.Evil(tmp_path / "marker"))
    else:
        hostile.replace_value(checkpoint, hostile.plain_names(checkpoint)[0], hostile.Evil(tmp_path / "marker"))
    again = {**plan, "trainer": {"max_steps": 4, "check_hashes": False}}  # whoever changes files can change hashes
    errors = ranks.run_ranks([again], num=2, fails=True)
    assert any("it asks for posix.system" in said for said in errors), errors
    assert not (tmp_path / "marker").exists()
