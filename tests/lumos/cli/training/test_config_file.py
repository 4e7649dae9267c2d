"""What is no config is told from one, by what it is, with the setting or the file that was probably meant."""

from pathlib import Path

import pytest

from lumos.cli import main
from lumos.cli.training import training_run
from lumos.cli.training.config_file import check_config_file
from tests.tiny_data import write_clips

EXPECTED = "--config takes a YAML file of settings, such as configs/train/quickstart.yaml"

WRONG = [
    ("run", "is the folder of a training run, and its settings are in it: --config run/config.yaml"),
    ("model", "is a model, which a config names: task.init_from=model"),
    ("clips", "is a set of clips, which a config names: task.data.video=clips (of Lumina-Video: task.tasks.NAME.data)"),
    ("yamls", "is a folder; give one of its files (a.yaml, b.yml)"),
    ("empty", "is a folder"),
    ("videos.csv", "is a list of clips: make a set of clips of it (pre_tokenize/README.md), which a config names"),
    ("a list.jsonl", "task.tasks.NAME.data='a list.jsonl'"),
    ("clip.MP4", "is a picture or a video: list it in a CSV with the columns path,text"),
    ("clips/shard-00000.parquet", "holds clips, which a config names: task.data.video=clips/shard-00000.parquet"),
    ("clips/index.json", "is the index of a set of clips, which a config names: task.data.video=clips/index.json"),
    ("data.yaml", "is a data YAML, which a config names: task.data.video=data.yaml"),
    ("1B.yaml", "holds the settings of a model, which a config names: task.model_config=1B.yaml"),
    ("model/config.json", "holds the settings of a model, which a config names: task.model_config=model/config.json"),
    ("list.yaml", "holds a list at the top, and settings are `key: value` lines"),
    ("notes.txt", "is no YAML of `key: value` lines"),
    ("noise.bin", "is no YAML"),
]


@pytest.fixture
def things(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    texts = {
        "run/config.yaml": "trainer: {run_dir: run, max_steps: 1}", "model/config.json": '{"model_type": "chameleon"}',
        "yamls/a.yaml": "", "yamls/b.yml": "", "videos.csv": "path,text\n", "a list.jsonl": "", "clip.MP4": "",
        "data.yaml": "META: [{path: clips}]", "1B.yaml": "hidden_size: 16", "list.yaml": "[1, 2]", "notes.txt": "words",
    }  # fmt: skip
    (tmp_path / "empty").mkdir()
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "noise.bin").write_bytes(bytes(range(256)))
    write_clips(tmp_path / "clips", num_latent=1, num=1)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("things")
@pytest.mark.parametrize(("path", "said"), WRONG, ids=[path for path, _ in WRONG])
def test_what_is_no_config_is_said_in_one_line_by_every_program(
    path: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for program, words in ((main, ["train", "--dry-run"]), (main, ["train", "--keys"]), (training_run.main, [])):
        assert program([*words, "--config", path]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert f"error: --config: {path} {said}" in error or (said.startswith("task") and said in error)
        assert error.endswith(f"; {EXPECTED}\n")


def test_every_config_that_comes_with_the_code_is_one(repo: Path) -> None:
    configs = sorted((repo / "configs" / "train").rglob("*.yaml"))
    assert configs
    for path in configs:
        check_config_file(path)


def test_a_config_that_is_damaged_or_missing_is_said_by_its_reader(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.yaml").write_text("a: [")
    for name, said in (("bad.yaml", "cannot read the settings of"), ("none.yaml", "does not exist")):
        assert main(["train", "--config", str(tmp_path / name)]) == 2
        assert said in capsys.readouterr().err
