"""`concat_record` with the release's options: its merge-record.json of our shards, and of what its processes left."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lumos.lumos1.data.clips import ClipDataset
from lumos.tokenizer.text import TextTokenizer
from pre_tokenize import __main__ as program
from pre_tokenize import concat_record
from tests.lumos.lumos1.data.test_clips import assert_same
from xllmx.store.address import Address

Command = Callable[..., list[str]]


def test_shards_become_a_set_of_the_release_and_are_read_back_equal(
    images, tokenizers: Path, tmp_path: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tokenizers / "text_tokenizer.json"
    record = tmp_path / "out" / "merge-record.json"
    words = ["--sub_record_dir", str(tmp_path / "out"), "--save_path", str(record), "--merge_sub_tasks"]
    for task in ("1", "2"):
        place = ["--all_tasks", "2", "--task_id", task]
        assert program.main(command(images.file, tmp_path / "out", *place, modality="image")) == 0
    assert concat_record.main(words) == 2
    assert "made with another text tokenizer" in capsys.readouterr().err
    assert concat_record.main([*words, "--text_tokenizer", str(text)]) == 0
    ours = ClipDataset(tmp_path / "out" / "index.json")
    theirs = ClipDataset(record, vocab=TextTokenizer.from_file(text).vocab)
    assert [clip.caption for clip in theirs] == list(images.kept.values())
    for one, other in zip(ours, theirs, strict=True):
        assert_same(one, other)
    assert theirs.lengths == ours.lengths


def test_one_task_is_merged_by_itself(images, tmp_path: Path, command: Command) -> None:
    for task in ("1", "2"):
        place = ["--all_tasks", "2", "--task_id", task]
        assert program.main(command(images.file, tmp_path, *place, modality="image")) == 0
    assert concat_record.main(["--sub_record_dir", str(tmp_path / "2-in-2")]) == 0
    assert [clip.source for clip in ClipDataset(tmp_path / "2-in-2")] == ["3.png", "4.png"]


@pytest.mark.parametrize(
    ("name", "said"), [("record.pkl", "ends in .json"), ("elsewhere/index.json", "lies with the shards")]
)
def test_another_save_path_is_refused(tmp_path: Path, name: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert concat_record.main(["--sub_record_dir", str(tmp_path), "--save_path", str(tmp_path / name)]) == 2
    assert said in capsys.readouterr().err


def left(folder: Path, rank: str, files: list[str], *, progress: str = "finished") -> None:
    folder.mkdir(exist_ok=True)
    lines = [json.dumps({"file": file, "len": 5, "id": number}) + "\n" for number, file in enumerate(files)]
    (folder / f"{rank}-record.jsonl").write_text("".join(lines))
    (folder / f"{rank}-progress.txt").write_text(progress)


def test_records_that_the_release_left_are_merged_each_sample_once(tmp_path: Path) -> None:
    left(tmp_path / "1-in-2", "0-of-2", ["a", "b"])
    left(tmp_path / "1-in-2", "1-of-2", ["c", "c"])
    left(tmp_path / "2-in-2", "0-of-1", ["d"])
    words = ["--sub_record_dir", str(tmp_path), "--save_path", str(tmp_path / "all.json"), "--merge_sub_tasks"]
    assert concat_record.main(words) == 0
    assert [sample["file"] for sample in json.loads((tmp_path / "all.json").read_text())] == ["a", "b", "c", "d"]


def test_records_that_the_release_left_in_a_store_are_merged_in_the_same_order(tmp_path: Path, bucket: Address) -> None:
    left(tmp_path, "0-of-1", ["a"])
    for task in (10, 9):
        left(tmp_path / f"{task}-in-10", "0-of-1", [f"of task {task}"])
    for file in tmp_path.rglob("*-of-*"):
        (bucket / "out" / file.relative_to(tmp_path).as_posix()).put(file)
    assert concat_record.main(["--sub_record_dir", str(bucket / "out")]) == 0
    assert concat_record.main(["--sub_record_dir", str(tmp_path)]) == 0
    merged = (bucket / "out/merge-record.json").read_text()
    assert merged == (tmp_path / "merge-record.json").read_text()
    assert [sample["file"] for sample in json.loads(merged)] == ["a", "of task 9", "of task 10"]


def test_shards_of_a_store_become_a_set_of_the_release_on_the_disk_alone(
    images, tokenizers: Path, tmp_path: Path, bucket: Address, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.main(command(images.file, tmp_path / "out", modality="image")) == 0
    for file in (path for path in (tmp_path / "out").rglob("*") if path.is_file()):
        (bucket / "out" / file.relative_to(tmp_path / "out").as_posix()).put(file)
    words = ["--output_dir", str(bucket / "out"), "--text_tokenizer", str(tokenizers / "text_tokenizer.json")]
    assert concat_record.main([*words, "--save_path", str(bucket / "all.json")]) == 2
    told = capsys.readouterr().err
    assert f"--save_path {bucket}/all.json: the samples of a merge-record.json are written to the disk alone" in told
    assert not (bucket / "out/index.json").exists()
    assert concat_record.main([*words, "--save_path", str(bucket / "out/index.json")]) == 0
    assert concat_record.main([*words, "--save_path", str(tmp_path / "all.json")]) == 0
    vocab = TextTokenizer.from_file(tokenizers / "text_tokenizer.json").vocab
    assert [clip.caption for clip in ClipDataset(tmp_path / "all.json", vocab=vocab)] == list(images.kept.values())


@pytest.mark.parametrize("progress", ["17", "finished"])
def test_records_that_are_not_finished_are_not_merged(
    tmp_path: Path, progress: str, capsys: pytest.CaptureFixture[str]
) -> None:
    left(tmp_path / "1-in-1", "0-of-2", ["a"], progress=progress)
    assert concat_record.main(["--sub_record_dir", str(tmp_path)]) == 2
    said = "not begun: 1-of-2" if progress == "finished" else "says '17'"
    assert said in capsys.readouterr().err
    assert not (tmp_path / "merge-record.json").exists()
