"""What stands beside a set about how it was made is read within bounds, by its types."""

import json
from pathlib import Path

import pytest

from lumos.look.clips.provenance import provenance_of
from lumos.look.clips.set_lines import made_lines


def index_of(folder: Path, **said: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "index.json").write_text(json.dumps({"format": "lumos-clips", "shards": [], **said}))
    return folder


def test_the_psnr_that_was_measured_as_the_set_was_made_is_read(tmp_path: Path) -> None:
    found = provenance_of(index_of(tmp_path, num_decoded=8, psnr_db=31.25, skipped={"too short": 2}), media=None)
    assert (found.num_decoded, found.psnr_db) == (8, 31.25)
    assert found.skipped == {"too short": 2}


@pytest.mark.parametrize("said", [
    {"num_decoded": "8", "psnr_db": 31}, {"num_decoded": True, "psnr_db": 31}, {"num_decoded": 0, "psnr_db": 31},
    {"num_decoded": 3}, {"num_decoded": 3, "psnr_db": "x" * 999},
    {"num_decoded": 3, "psnr_db": [1]}, {"skipped": [1]}, {"skipped": {"a": "b"}},
])  # fmt: skip
def test_what_is_of_another_type_says_nothing(said: dict[str, object], tmp_path: Path) -> None:
    found = provenance_of(index_of(tmp_path, **said), media=None)
    assert (found.psnr_db, dict(found.skipped)) == (None, {})
    lines = "\n".join(made_lines(found))
    assert ("num_decoded" in said) == ("which cannot be; have concat_record write it again" in lines)


def test_settings_are_those_that_all_processes_share(tmp_path: Path) -> None:
    for rank, duration in ((0, 2), (1, 3)):
        folder = tmp_path / "1-in-1" / f"{rank}-of-2"
        folder.mkdir(parents=True)
        (folder / "rows-000000000-000000002.parquet").touch()
        settings = {"visual_tokenizer": "ab", "frame_choice": 7, "target_duration": duration}
        (folder / "manifest.json").write_text(json.dumps(settings))
    found = provenance_of(tmp_path, media=None)
    assert found.settings == {"visual_tokenizer": "ab", "frame_choice": 7}
    assert found.text("visual_tokenizer") == "ab"
    assert found.text("frame_choice") is None


def test_a_manifest_of_something_else_says_nothing(tmp_path: Path) -> None:
    index_of(tmp_path)
    (tmp_path / "manifest.json").write_text("[1]")
    assert provenance_of(tmp_path, media=None).settings == {}


def test_a_source_is_found_where_its_path_counts_from(tmp_path: Path) -> None:
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "a.mp4").write_text("x")
    found = provenance_of(index_of(tmp_path / "set"), media=tmp_path / "media")
    assert found.find("a.mp4") == tmp_path / "media" / "a.mp4"
    assert found.find(str(tmp_path / "media" / "a.mp4")) == tmp_path / "media" / "a.mp4"
    assert [found.find(name) for name in ("b.mp4", "", "a\0", ".", "x" * 5000)] == [None] * 5
