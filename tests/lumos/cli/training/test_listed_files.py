"""Files that a list names and that are not there are said at the start of a training."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lumos.cli.training import listed_files
from lumos.cli.training.data_check import check_data
from lumos.cli.training.listed_files import look_for_files
from lumos.cli.training.run_config import load_run
from tests.lumos.lumina_video.latents import write_latents


def write_list(path: Path, *, there: int, gone: int) -> Path:
    names = [f"there{number}.mp4" for number in range(there)] + [f"gone{number}.mp4" for number in range(gone)]
    for name in names[:there]:
        (path.parent / name).touch()
    if path.suffix == ".csv":
        lines = ["path,text", *(f"{name},it flies" for name in names)]
    else:
        lines = [json.dumps({"path": name, "prompt": "it flies"}) for name in names]
    path.write_text("\n".join(lines) + "\n")
    return path


def words(data: Path | str, *more: str) -> list[str]:
    return ["model=lumina_video", "trainer.run_dir=run", "trainer.max_steps=1", f"task.tasks.fine.data={data}", *more]


@pytest.mark.parametrize("name", ["list.csv", "list.jsonl", "set.yaml"])
def test_one_of_few_that_is_missing_ends_it_before_torch_is_loaded(repo: Path, tmp_path: Path, name: str) -> None:
    data = write_list(tmp_path / ("list.csv" if name == "set.yaml" else name), there=3, gone=1)
    (tmp_path / "set.yaml").write_text(f"META: [{{path: {data.name}}}]")
    code = "import sys; sys.modules['torch'] = None; from lumos.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "train", *words(tmp_path / name)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=tmp_path, env={"PYTHONPATH": str(repo)}
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert f"task.tasks.fine.data: {data}: 1 of 4 files is not there ('gone0.mp4'); bring them there" in done.stderr
    assert "a training takes a share of 0.01 (trainer.max_broken)" in done.stderr


def test_what_a_training_takes_is_said_and_it_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write_list(tmp_path / "list.jsonl", there=4, gone=4)
    check_data(load_run(None, words(data, "trainer.max_broken=0.5")))
    said = capsys.readouterr().err
    assert "4 of 8 files are not there ('gone0.mp4', 'gone1.mp4', 'gone2.mp4', ...)" in said
    assert "others are trained on in their place" in said
    check_data(load_run(None, words(write_list(tmp_path / "whole.csv", there=2, gone=0))))
    assert capsys.readouterr().err == ""


def test_of_long_lists_some_are_looked_for_and_of_very_long_ones_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_list(tmp_path / "list.jsonl", there=0, gone=7)
    monkeypatch.setattr(listed_files, "_MOST_FILES", 3)
    found = look_for_files(data)
    assert found is not None
    assert found.missing == ("gone0.mp4", "gone3.mp4", "gone6.mp4")
    assert "3 of 3 files looked for, spread over the 7 listed, are not there" in str(found)
    monkeypatch.setattr(listed_files, "_MOST_LIST_BYTES", 10)
    assert look_for_files(data) is None


def test_records_of_latents_and_rows_that_are_left_out_are_not_looked_for(tmp_path: Path) -> None:
    rows = [{"path": "a.mp4", "prompt": "b", "pkl": "0.pkl"}, {"path": "c.mp4", "prompt": "d"}]
    (tmp_path / "record.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    left_out = [{"path": "https://localhost/a.mp4", "prompt": "b"}, {"path": "no prompt"}, 3]
    (tmp_path / "list.json").write_text(json.dumps(left_out))
    assert look_for_files(tmp_path / "record.jsonl") is None
    found = look_for_files(tmp_path / "list.json")
    assert found is not None
    assert (found.num_listed, found.missing) == (0, ())


@pytest.mark.parametrize("name", ["latents/index.json", "set.yaml"])
def test_an_index_of_latents_is_no_list_of_files(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    write_latents(tmp_path / "latents", num=2)
    (tmp_path / "set.yaml").write_text("META: [{path: latents/index.json}]")
    check_data(load_run(None, words(tmp_path / name)))
    assert capsys.readouterr().err == ""


def test_the_share_is_that_of_all_the_lists_of_a_task(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_list(tmp_path / "small.csv", there=3, gone=1)
    write_list(tmp_path / "large.csv", there=12, gone=0)
    (tmp_path / "set.yaml").write_text("META: [{path: small.csv}, {path: large.csv}]")
    check_data(load_run(None, words(tmp_path / "set.yaml", "trainer.max_broken=0.1")))
    assert "small.csv: 1 of 4 files is not there" in capsys.readouterr().err
    with pytest.raises(ValueError, match=r"small\.csv: 1 of 4 files is not there .* a share of 0.05"):
        check_data(load_run(None, words(tmp_path / "set.yaml", "trainer.max_broken=0.05")))


def test_held_out_files_are_looked_for_where_there_is_an_evaluation(tmp_path: Path) -> None:
    data = write_list(tmp_path / "whole.csv", there=2, gone=0)
    more = f"task.eval_tasks.fine.data={write_list(tmp_path / 'broken.csv', there=1, gone=1)}"
    check_data(load_run(None, words(data, more)))
    with pytest.raises(ValueError, match=r"task\.eval_tasks\.fine\.data: .*broken\.csv: 1 of 2 files is not there"):
        check_data(load_run(None, words(data, more, "trainer.eval_every=1")))


@pytest.mark.parametrize("name", ["data/my_clips.jsonl", "videos.csv"])
def test_a_list_that_is_missing_is_told_how_it_is_written(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="no such file or folder; a list of videos or images has a line") as caught:
        check_data(load_run(None, words(name)))
    assert '{"path": "clips/a.mp4", "prompt": "what it shows"}' in str(caught.value)
    assert "a CSV with the columns path,text does as well: task.tasks.fine.data=videos.csv" in str(caught.value)
