"""The task file of the release is read as plain values; nothing in it is run."""

from pathlib import Path

import pytest

from lumos.lumina_video.training.released_tasks import read_tasks


def written(folder: Path, text: str) -> Path:
    path = folder / "tasks.py"
    path.write_text(text)
    return path


@pytest.mark.parametrize("head", ["", '"""Ours."""\nimport os\n\nsize = 256\n'])
def test_the_assignment_of_plain_values_is_read(tmp_path: Path, head: str) -> None:
    text = f"{head}tasks = {{\n    'fine': {{'data': 'a.yaml', 'time_shift': 2.0, 'sp_size': 1}},  # videos\n}}\n"
    assert read_tasks(written(tmp_path, text)) == {"fine": {"data": "a.yaml", "time_shift": 2.0, "sp_size": 1}}
    assert read_tasks(written(tmp_path, "tasks: dict = {}")) == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tasks = {'a': {'image_size': size}}", r"tasks\.py, from line 1 on: tasks must be plain values .* write out"),
        ("\ntasks = dict(a={})", "from line 2 on: tasks must be plain values"),
        ("tasks = {'a': {'data': open('x').read()}}", "nothing in the file is run"),
        ("tasks = {'a': {'data': {1, 2}}}", "must be plain values"),
        ("tasks = {'a': {'data': b'x'}}", "must be plain values"),
        ("tasks = [{}]", r"tasks must be \{name: \{key: value\}\}"),
        ("tasks = {'a': 3}", r"tasks must be \{name: \{key: value\}\}"),
        ("tasks = {3: {}}", r"tasks must be \{name: \{key: value\}\}"),
        ("jobs = {}", r"has no line tasks = \{name: "),
        ("tasks = {'a': {}}\ntasks['b'] = {}", r"names tasks in lines 1, 2, and only tasks = \{\.\.\.\} is read"),
        ("if 1:\n    tasks = {}", r"has no line tasks = \{name: "),
        ("tasks = {", "is not read: .*; correct it"),
        ("\0", "is not read: .*; correct it"),
        ("tasks = " + "-" * 50000 + "1", "is not read: it is nested too deeply; write out its values"),
        ("tasks = " + "(" * 5000 + ")" * 5000, "is not read: .*; correct it"),
        ("tasks = " + "-" * 300_000 + "1", "is not read: it is nested too deeply; write out its values"),
        ("tasks = {'a': {'micro_bsz': " + "9" * 5000 + "}}", "is not read: a number of thousands of digits; correct"),
    ],
)
def test_what_is_no_plain_assignment_is_one_error_with_a_remedy(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as error:
        read_tasks(written(tmp_path, text))
    assert "\n" not in str(error.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"none\.py cannot be read: No such file.*; correct --task_config"):
        read_tasks(tmp_path / "none.py")
    with pytest.raises(ValueError, match="is not read: it is a folder"):
        read_tasks(tmp_path)
    with pytest.raises(ValueError, match="is not read: it has 1048577 bytes where at most"):
        read_tasks(written(tmp_path, "#" * (2**20 + 1)))


def test_nothing_in_the_file_is_run(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    text = f"import pathlib\npathlib.Path({str(mark)!r}).touch()\ntasks = {{'a': {{}}}}\n"
    assert read_tasks(written(tmp_path, text)) == {"a": {}}
    assert not mark.exists()
