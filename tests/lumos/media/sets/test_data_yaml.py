"""Entries of a data YAML: the release's keys, and parts that each epoch draws anew."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from lumos.media.sets.data_yaml import Chosen, entries_of
from xllmx.store.address import Address


def entry(tmp_path: Path, text: str) -> Path:
    (tmp_path / "a").mkdir(exist_ok=True)
    (tmp_path / "data.yaml").write_text(f"META:\n  - {{path: a, {text}}}\n")
    return tmp_path / "data.yaml"


def test_an_entry_of_the_release_is_read(tmp_path: Path) -> None:
    assert entries_of(entry(tmp_path, "ratio: '0.5'"))[0].ratio == 0.5
    (found,) = entries_of(entry(tmp_path, "ratio: 0.5, type: video"))
    assert (found.path, found.ratio, found.type, found.drawn) == (tmp_path / "a", 0.5, "video", "once")
    assert found.chosen(6).tolist() == [0, 2, 4]
    assert found.subset(0, 3) == []


@pytest.mark.parametrize(
    ("text", "drawn"),
    [("ratio: 0.5", "each_epoch"), ("ratio: 0.5, drawn: once", "once"), ("ratio: 1.5", "once"), ("type: a", "once")],
)
def test_a_model_says_when_parts_are_drawn_where_an_entry_does_not(tmp_path: Path, text: str, drawn: str) -> None:
    (found,) = entries_of(entry(tmp_path, text), drawn="each_epoch")
    assert found.drawn == drawn


def test_a_path_in_the_home_of_the_user_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    (tmp_path / "me" / "sets").mkdir(parents=True)
    yaml = tmp_path / "data.yaml"
    yaml.write_text("META: [{path: ~/sets}]")
    assert [one.path for one in entries_of(yaml)] == [tmp_path / "me" / "sets"]
    yaml.write_text("META: [{path: ~/gone}]")
    with pytest.raises(ValueError, match=rf"there is no {tmp_path}/me/gone; pre-tokenise"):
        entries_of(yaml)


def test_a_part_that_epochs_draw_holds_the_whole_set(tmp_path: Path) -> None:
    (found,) = entries_of(entry(tmp_path, "ratio: 0.5, drawn: each_epoch"))
    assert found.chosen(3).tolist() == [0, 1, 2]
    (subset,) = found.subset(2, 5)
    assert (subset.start, subset.stop, subset.share) == (2, 5, 0.5)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("drawn: always", "give one of once, each_epoch"),
        ("drawn: each_epoch, ratio: 1.5", "give a ratio of at most 1"),
        ("type: [a]", "give a name"),
        ("kind: a", "unknown key 'kind'"),
        ("ratio: .nan", "must be above 0"),
        ("ratio: true", "ratio is True; it must be a number, for example 1.0"),
        ("ratio: many", "ratio is 'many'; it must be a number, for example 1.0"),
        ("ratio: [1]", r"ratio is \[1\]; it must be a number, for example 1.0"),
    ],
)
def test_another_entry_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        entries_of(entry(tmp_path, text))


def test_a_path_that_is_no_text_is_refused_and_all_that_are_missing_are_named(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    data = tmp_path / "data.yaml"
    data.write_text("META: [{path: 3}]")
    with pytest.raises(ValueError, match="path is 3; give the path of a set of clips, as text"):
        entries_of(data)
    data.write_text("META: [{path: b}, {path: a}, {path: c/d}]")
    with pytest.raises(ValueError, match=r"there is no b, no c/d in .* or the working directory; pre-tokenise first"):
        entries_of(data)


@pytest.mark.parametrize("ratio", [0.3, 0.5, 1.0, 1.6, 2.0])
def test_places_and_first_clips_of_files_are_those_of_the_list(ratio: float) -> None:
    chosen, starts = Chosen(10, ratio), np.array([0, 4, 4, 7, 10])
    listed = chosen.tolist()
    assert [chosen[place] for place in range(len(chosen))] == listed
    begin = chosen.starts(starts)
    assert (begin[0], begin[-1]) == (0, len(listed))
    files = [np.searchsorted(starts, listed[a:b], side="right").tolist() for a, b in itertools.pairwise(begin.tolist())]
    assert all(len(set(of_one)) < 2 for of_one in files)


def test_a_yaml_in_a_store_names_what_lies_in_its_bucket_alone(bucket: Address) -> None:
    (bucket / "set/index.json").write_bytes(b"{}")
    for named, is_read in {
        "set": True,
        f"{bucket}/set": True,
        "s3://other/set": False,
        "gs://other/set": False,
        "/etc": False,
        "../x": False,
        "file:///etc": False,
    }.items():
        (bucket / "data.yaml").write_bytes(f"META: [{{path: '{named}'}}]".encode())
        if is_read:
            assert [entry.path for entry in entries_of(bucket / "data.yaml")] == [bucket / "set"]
        else:
            with pytest.raises(ValueError, match=r"data.yaml: not a data YAML: .*"):
                entries_of(bucket / "data.yaml")


def test_another_bucket_is_said_with_what_to_do(bucket: Address) -> None:
    (bucket / "data.yaml").write_bytes(b"META: [{path: 's3://other/set'}]")
    with pytest.raises(ValueError, match=r"names s3://other/set, in another bucket than its own; copy the YAML here"):
        entries_of(bucket / "data.yaml")
