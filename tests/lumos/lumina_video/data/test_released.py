"""Released records become clips: the old layout with a lead, ours without, and nothing from outside the set."""

import json
import pickle
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from lumos.lumina_video.data.released import ReleasedLatents

ROW = {
    "path": "videos/a.mp4", "prompt": "naïve", "pkl": "0.pkl", "pkl_shape": "[3, 5, 4, 6]", "ori_id": 0,
    "seconds": 2.5, "fps": 23.976, "width": 300, "height": 200, "unimatch_flow": 4.25,
}  # fmt: skip


def latent(number: int = 0) -> torch.Tensor:
    return torch.randn((3, 5, 4, 6), generator=torch.Generator().manual_seed(number)).bfloat16()


def write(folder: Path, rows: list[Any], name: str = "0-of-2-record.jsonl") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(rows) if name.endswith(".json") else "".join(json.dumps(row) + "\n" for row in rows)
    if name.endswith(".pth"):
        torch.save(rows, folder / name)
    else:
        (folder / name).write_bytes(pickle.dumps(rows) if name.endswith(".pkl") else text.encode())
    for number in range(3):
        (folder / f"{number}.pkl").write_bytes(pickle.dumps({"latent": latent(number), "id": number}))
    return folder / name


@pytest.mark.parametrize("name", ["record.jsonl", "record.json", "record.pkl", "record.pth"])
def test_rows_become_clips_of_the_old_layout_unless_they_say_otherwise(tmp_path: Path, name: str) -> None:
    rows = [ROW, {**ROW, "pkl": "1.pkl", "lead": 0, "unimatch_flow": None}, {**ROW, "pkl": "2.pkl", "seconds": "1.5"}]
    del rows[2]["unimatch_flow"]
    clips = ReleasedLatents.of_file(write(tmp_path, rows, name))
    assert len(clips) == 3
    assert [clip.lead for clip in clips] == [1, 0, 1]
    assert [clip.motion for clip in clips] == clips.motion.tolist() == [4.25, -1, -1]
    assert [clip.seconds for clip in clips] == [2.5, 2.5, 1.5]
    for number, clip in enumerate(clips):
        assert clip.latent.equal(latent(number))
        assert (clip.caption, clip.source, clip.fps) == ("naïve", "videos/a.mp4", None)
    assert clips[0].kept.equal(latent()[:, 1:])
    assert clips.shapes.tolist() == [[3, 5, 4, 6, 1], [3, 5, 4, 6, 0], [3, 5, 4, 6, 1]]
    assert clips.lengths.tolist() == [96, 120, 96]
    assert clips.vae is None


@pytest.mark.parametrize("name", ["0.pkl", "/data/cache/0.pkl", "s3://bucket/pkl/0.pkl", "pkl/0.pkl"])
def test_pickles_are_found_where_the_record_lies(tmp_path: Path, name: str) -> None:
    record = write(tmp_path / "moved", [{**ROW, "pkl": name}])
    assert ReleasedLatents.of_file(record)[0].latent.equal(latent())
    elsewhere = write(tmp_path / "records", [{**ROW, "pkl": name}])
    (elsewhere.parent / "0.pkl").unlink()
    with pytest.raises(ValueError, match="neither is it there, nor in"):
        ReleasedLatents.of_file(elsewhere)[0]


def test_a_pickle_that_is_named_by_its_whole_path_may_lie_in_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The release has two folders, --pkl_dir and --record_dir; a pickle of the same name beside the record is another.

    What is there is read as a latent of the recorded shape, or not at all.
    """
    write(tmp_path / "pickles", [])
    (tmp_path / "pickles" / "1.pkl").write_bytes(b"secret")
    rows = [{**ROW, "pkl": str(tmp_path / "pickles" / f"{number}.pkl")} for number in range(2)]
    record = write(tmp_path / "records", rows)
    (record.parent / "0.pkl").write_bytes((record.parent / "2.pkl").read_bytes())
    clips = ReleasedLatents.of_file(record)
    assert clips[0].latent.equal(latent(0))
    monkeypatch.chdir(tmp_path)
    relative = write(tmp_path / "records", [{**ROW, "pkl": "pickles/0.pkl"}])
    (record.parent / "0.pkl").write_bytes((record.parent / "2.pkl").read_bytes())
    assert ReleasedLatents.of_file(relative)[0].latent.equal(latent(0))
    with pytest.raises(ValueError, match=r"pickles/1\.pkl: not a latent of the released cache"):
        clips[1]


@pytest.mark.parametrize("name", ["../0.pkl", "", "/", "a/../../0.pkl", "0\0.pkl"])
def test_names_that_lead_elsewhere_are_refused(tmp_path: Path, name: str) -> None:
    clips = ReleasedLatents.of_file(write(tmp_path / "set", [{**ROW, "pkl": name}]))
    (tmp_path / "0.pkl").write_bytes((tmp_path / "set" / "0.pkl").read_bytes())
    with pytest.raises(ValueError, match=r"give its whole path, without `\.\.`"):
        clips[0]


def test_a_last_line_that_a_kill_cut_is_left_out(tmp_path: Path) -> None:
    record = write(tmp_path, [ROW, ROW])
    record.write_text(record.read_text()[:-20])
    assert len(ReleasedLatents.of_file(record)) == 1


def test_a_latent_of_another_shape_than_recorded_is_named(tmp_path: Path) -> None:
    clips = ReleasedLatents.of_file(write(tmp_path, [{**ROW, "pkl_shape": "[3, 5, 6, 4]"}]))
    with pytest.raises(ValueError, match=r"its latent is \[3, 5, 4, 6\], and .* says \[3, 5, 6, 4\]"):
        clips[0]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"prompt": 5}, "has no prompt"),
        ({"pkl": None}, "has no pkl"),
        ({"pkl_shape": "3, 5"}, "pkl_shape is '3, 5'"),
        ({"pkl_shape": "[3, 0, 4, 6]"}, "pkl_shape is"),
        ({"pkl_shape": "[3, 1, 4, 6]"}, "its only latent is the one of a single frame"),
        ({"lead": 2}, "lead is 2"),
        ({"lead": True}, "lead is True"),
        ({"seconds": None}, "seconds is None"),
        ({"seconds": -1}, "seconds is -1"),
        ({"unimatch_flow": "fast"}, "unimatch_flow is 'fast'"),
        ({"unimatch_flow": 1e40}, r"unimatch_flow is 1e\+40"),
        ({"unimatch_flow": [1]}, r"unimatch_flow is \[1\]"),
        ({"unimatch_flow": float("nan")}, "unimatch_flow is nan"),
    ],
)
def test_rows_of_no_cache_are_left_out_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, change: dict[str, Any], said: str
) -> None:
    clips = ReleasedLatents.of_file(write(tmp_path, [ROW, {**ROW, **change}, {**ROW, "pkl": "2.pkl"}]))
    assert [clip.latent.equal(latent(number)) for clip, number in zip(clips, (0, 2), strict=True)] == [True, True]
    assert len(caplog.messages) == 1
    assert re.search(rf"record\.jsonl: 1 of 3 rows are left out; the first: .*row 1.*{said}", caplog.text)
    with pytest.raises(ValueError, match=rf"none of its 1 rows can be used; the first: .*row 0.*{said}"):
        ReleasedLatents.of_file(write(tmp_path, [{**ROW, **change}]))


def test_a_line_that_is_no_json_is_left_out_and_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    record = write(tmp_path, [ROW])
    record.write_text(f'{{"path"\n{record.read_text()}')
    assert len(ReleasedLatents.of_file(record)) == 1
    assert "1 of 2 rows are left out; the first: " in caplog.text
    assert "line 1 is not valid JSON" in caplog.text


def test_a_record_that_is_no_list_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}")
    (tmp_path / "b.jsonl").write_text("5\n{}\n")
    with pytest.raises(ValueError, match="no list of rows"):
        ReleasedLatents.of_file(tmp_path / "a.json")
    (tmp_path / "c.pkl").write_bytes(pickle.dumps([{"path": Path("a")}]))
    with pytest.raises(ValueError, match=r"c\.pkl: no list of rows \(it asks for pathlib"):
        ReleasedLatents.of_file(tmp_path / "c.pkl")
    with pytest.raises(ValueError, match="row 0 is no object"):
        ReleasedLatents.of_file(tmp_path / "b.jsonl")
