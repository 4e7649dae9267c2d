"""Lists of a million files: what they take of memory, and that tasks share them."""

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from lumos.lumina_video.data import row_lists
from lumos.lumina_video.sizes import Compression
from lumos.lumina_video.training.items.clip_files import ClipFiles
from lumos.lumina_video.training.items.file_lists import is_file_list, read_file_lists
from lumos.lumina_video.training.task import ScaleTask

ROWS = 4000


@pytest.fixture
def task(tmp_path: Path) -> ScaleTask:
    """A task whose list says all that is to be known of its videos; none of them is there."""
    said = {"seconds": 2.5, "fps": 24, "width": 96, "height": 64, "unimatch_flow": 1.5}
    rows = [{"path": f"{n:06d}.mp4", "prompt": f"video {n}", **said, "seconds": 2 + n / ROWS} for n in range(ROWS)]
    (tmp_path / "list.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return ScaleTask(data=str(tmp_path / "list.jsonl"), image_size=64, max_frames=16, target_fps=8.0)


def clips_of(task: ScaleTask) -> ClipFiles:
    return ClipFiles("raw", task, vae=Compression(spatial=8, temporal=4))


def test_a_row_takes_its_text_and_a_few_numbers(task: ScaleTask) -> None:
    """Objects took 2.5 KB a row, at the peak and for good: 2.5 GB of a list of a million."""
    clips_of(task)
    tracemalloc.start()
    try:
        clips = clips_of(task)
        kept, peak = (number / ROWS for number in tracemalloc.get_traced_memory())
    finally:
        tracemalloc.stop()
    assert len(clips) == ROWS
    assert kept < 150
    assert peak < 450


def test_tasks_that_name_one_list_share_it(task: ScaleTask, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Any] = []

    def parsed(text: Any, *rest: Any, **more: Any) -> Any:
        read.append(text)
        return real(text, *rest, **more)

    real = row_lists.parse_json
    monkeypatch.setattr(row_lists, "parse_json", parsed)
    first, second = clips_of(task), clips_of(task)
    assert len(read) == ROWS
    assert is_file_list(task)
    assert len(read) == ROWS + 1
    assert list(first.sizes) == list(second.sizes)
    Path(task.data).write_text('{"path": "a.mp4", "prompt": "b", "seconds": 2, "fps": 8, "width": 64, "height": 64}\n')
    assert len(clips_of(task)) == 1


@pytest.mark.parametrize("ending", [".csv", ".jsonl"])
def test_homes_accents_and_addresses_in_a_list_are_found_or_said(
    ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    stored = [tmp_path / "home" / "a.mp4", tmp_path / "cafe\u0301.mp4", tmp_path / "b c.mp4"]
    (tmp_path / "home").mkdir()
    for file in stored:
        file.touch()
    paths = ["~/a.mp4", "caf\u00e9.mp4", f"file://{tmp_path}/b c.mp4", "https://localhost/d.mp4"]
    lines = {
        ".csv": ["path,text", *(f"{path},it flies" for path in paths)],
        ".jsonl": [json.dumps({"path": path, "prompt": "it flies"}) for path in paths],
    }
    data = tmp_path / f"list{ending}"
    data.write_text("\n".join(lines[ending]) + "\n")
    found = read_file_lists(data, media_type="video").rows
    assert [row.path for row in found] == stored
    assert (
        "1 of 4 rows are left out; the first: row 3 ('https://localhost/d.mp4'): https:// is not read here"
        in caplog.text
    )
    assert "download the file and write its path" in caplog.text
