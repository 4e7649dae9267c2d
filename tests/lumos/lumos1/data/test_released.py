"""Sets of clips from strangers: indices and records stay in their folder, pickles and JSON within bounds."""

import json
import pickle
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from lumos.lumos1.data.clips import ClipDataset
from tests.lumos.lumos1.data.test_clips import make_clip, write, write_released


@pytest.mark.parametrize("name", ["../a.parquet", "/etc/passwd", "a/../../b", 3, None, ""])
def test_an_index_names_shards_of_its_own_folder_only(tmp_path: Path, name: object) -> None:
    write(tmp_path / "set", [make_clip(0)])
    shutil.copyfile(next((tmp_path / "set").glob("*.parquet")), tmp_path / "a.parquet")
    index = json.loads((tmp_path / "set" / "index.json").read_text())
    index["shards"][0]["file"] = name
    (tmp_path / "set" / "index.json").write_text(json.dumps(index))
    with pytest.raises(ValueError, match=r"index\.json names .*; a set of clips has its shards in its own folder"):
        ClipDataset(tmp_path / "set")


@pytest.mark.parametrize("name", ["../0.pkl", "files/../../0.pkl", "..", "", 3, ["a"], None])
def test_a_record_names_samples_of_its_own_folder_only(tmp_path: Path, name: object) -> None:
    length = write_released(tmp_path / "0.pkl", make_clip(0))
    (tmp_path / "set").mkdir()
    record = tmp_path / "set" / "merge-record.json"
    record.write_text(json.dumps([{"file": name, "len": length, "id": 0}]))
    with pytest.raises(ValueError, match=r"which is no file of its set; move the whole set|damaged index of clips"):
        ClipDataset(record)


def test_a_record_of_a_path_elsewhere_finds_nothing_there(tmp_path: Path) -> None:
    length = write_released(tmp_path / "elsewhere" / "0.pkl", make_clip(0))
    (tmp_path / "set").mkdir()
    record = tmp_path / "set" / "merge-record.json"
    record.write_text(json.dumps([{"file": str(tmp_path / "elsewhere" / "0.pkl"), "len": length, "id": 0}]))
    with pytest.raises(ValueError, match=r"set/.*0\.pkl: there is no such sample beside its record; move the"):
        ClipDataset(record)[0]


@pytest.mark.parametrize("text", ["[" * 200_000, '{"format": NaN}', '[{"file": "a", "len": 1e999}]', "9" * 5000])
@pytest.mark.parametrize("name", ["index.json", "merge-record.json", "0-of-1-record.jsonl"])
def test_an_index_without_bounds_is_one_line(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text + "\n")
    with pytest.raises(ValueError, match=f"{name}: damaged index of clips: it.* is not valid JSON") as caught:
        ClipDataset(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_a_small_pickle_that_spells_a_large_one_is_refused_at_once(tmp_path: Path) -> None:
    found: list = [1] * 10
    for _ in range(9):
        found = [found] * 10
    memo = b"\x80\x02K\x01r" + (0x18000000).to_bytes(4, "little") + b"."
    for content in (pickle.dumps({"token": found}), memo):
        (tmp_path / "a.pkl").write_bytes(content)
        with pytest.raises(ValueError, match=r"a\.pkl: not a released sample"):
            ClipDataset(tmp_path / "a.pkl")


@pytest.mark.parametrize("name", ["record.pkl", "record.pth"])
def test_a_record_in_a_pickle_or_a_file_of_torch_is_read(tmp_path: Path, name: str) -> None:
    records = []
    for number in range(3):
        length = write_released(tmp_path / "files" / f"{number}.pkl", make_clip(number))
        records.append({"file": f"files/{number}.pkl", "len": length, "id": number})
    save(tmp_path / name, records)
    clips = ClipDataset(tmp_path / name)
    assert clips.lengths == [record["len"] for record in records]
    np.testing.assert_array_equal(clips[2].codes, make_clip(2).codes)


@pytest.mark.parametrize("name", ["record.pkl", "record.pth", "record.json"])
@pytest.mark.parametrize("length", ["nan", "7", -3, 0, True, 2.5])
def test_a_length_that_is_none_is_named_with_its_record(tmp_path: Path, name: str, length: object) -> None:
    save(tmp_path / name, [{"file": "0.pkl", "len": length, "id": 0}])
    with pytest.raises(ValueError, match=r"record\.\w+: damaged record .* tokens\); write it again"):
        ClipDataset(tmp_path / name)


@pytest.mark.parametrize(("row", "said"), [
    ({"file": "9.pkl", "len": 0}, r"damaged record \(a sample has 0 tokens\); write it again"),
    ({"file": "../9.pkl", "len": 7}, r"names '\.\./9\.pkl' as a sample, which is no file of its set; move the whole"),
    ({"file": "x" * 300, "len": 7}, r"names 'x{40}'\.\.\. as a sample, and no file can be \(File name too long\)"),
    ({"name": "a"}, r"damaged record \(\{'name': 'a'\} names no file and len\); write it again"),
    (3, r"damaged record \(3 names no file and len\); write it again"),
])  # fmt: skip
def test_one_bad_row_is_a_broken_sample_and_the_others_are_read(
    tmp_path: Path, row: object, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It counts by trainer.max_broken, as a damaged pickle does."""
    rows: list = [
        {"file": f"{number}.pkl", "len": write_released(tmp_path / f"{number}.pkl", make_clip(number)), "id": number}
        for number in range(3)
    ]
    save(tmp_path / "record.json", [*rows[:2], row, rows[2]])
    clips = ClipDataset(tmp_path / "record.json")
    counted = r"record\.json: 1 of 4 samples cannot be used and count as broken \(trainer\.max_broken\); the first: "
    assert re.search(f"{counted}.*{said}", caplog.text)
    np.testing.assert_array_equal(clips[3].codes, make_clip(2).codes)
    with pytest.raises(ValueError, match=said):
        clips[2]
    save(tmp_path / "bad.json", [row, row])
    with pytest.raises(ValueError, match=f"bad.json: none of its 2 samples can be used; the first: .*{said}"):
        ClipDataset(tmp_path / "bad.json")


def test_one_damaged_pickle_of_a_folder_is_a_broken_sample(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(3):
        write_released(tmp_path / f"{number}.pkl", make_clip(number))
    (tmp_path / "1.pkl").write_bytes(b"cut")
    clips = ClipDataset(tmp_path)
    assert "1 of 3 samples cannot be used and count as broken (trainer.max_broken); the first: " in caplog.text
    np.testing.assert_array_equal(clips[2].codes, make_clip(2).codes)
    with pytest.raises(ValueError, match=r"1\.pkl: not a released sample"):
        clips[1]
    for number in (0, 2):
        (tmp_path / f"{number}.pkl").write_bytes(b"cut")
    with pytest.raises(ValueError, match=r"none of its 3 samples can be used; the first: .*0\.pkl: not a released"):
        ClipDataset(tmp_path)


@pytest.mark.parametrize("name", ["record.pkl", "record.pth", "record.json"])
def test_a_record_of_nothing_is_a_set_without_clips(tmp_path: Path, name: str) -> None:
    save(tmp_path / name, [])
    clips = ClipDataset(tmp_path / name)
    assert (len(clips), clips.shapes.shape) == (0, (0, 6))


def save(record: Path, rows: list) -> None:
    if record.suffix == ".pth":
        torch.save(rows, record)
    else:
        record.write_bytes(pickle.dumps(rows) if record.suffix == ".pkl" else json.dumps(rows).encode())


class Attack:
    def __reduce__(self) -> tuple:
        return print, ("attacked",)


@pytest.mark.parametrize("content", [[Attack()], {"token": [1]}, [{"name": "a"}], [{"file": "a", "len": None}]])
def test_another_file_of_torch_is_refused_and_runs_nothing(
    tmp_path: Path, content: object, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(ValueError, match=r"a\.pth: (damaged record|not a released sample)"):
        ClipDataset(tmp_path / "a.pth")
    (tmp_path / "b.pth").write_bytes(b"PK\x03\x04 no archive")
    with pytest.raises(ValueError, match=r"b\.pth: not a released sample"):
        ClipDataset(tmp_path / "b.pth")
    assert capsys.readouterr().out == ""


def test_types_and_parts_of_a_yaml_come_with_the_clips(tmp_path: Path) -> None:
    for name, number in (("a", 4), ("b", 3)):
        write(tmp_path / name, [make_clip(index) for index in range(number)])
    (tmp_path / "data.yaml").write_text(
        "META:\n  - {path: a, type: image}\n  - {path: b, type: video, ratio: 0.5, drawn: each_epoch}\n"
    )
    clips = ClipDataset(tmp_path / "data.yaml")
    assert clips.types == ["image"] * 4 + ["video"] * 3
    assert [(subset.start, subset.stop) for subset in clips.subsets] == [(4, 7)]
    assert ClipDataset(tmp_path / "a").types is None
