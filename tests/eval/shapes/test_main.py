"""`python -m eval.shapes` with options that cannot be: one line that names the option, and nothing left behind."""

from pathlib import Path

import pytest

from eval.shapes.__main__ import main
from eval.shapes.run import settings_of
from lumos.cli.models.door import find_model
from lumos.hub.models import DEFAULT_MODEL
from lumos.lumos1.sampling.settings import fast_settings


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("prompts --kind t2v --num 0 --out OUT/p.json", "--num is 0; it must be a whole number of at least 1"),
        ("prompts --kind i2v --size 0 64 --out OUT/p.json", "--size is 0 64; both sides must be at least 32"),
        ("prompts --kind t2v --num 1 --out OUT/file/p.json", "a file stands where a folder is needed"),
        ("run --out OUT/run --num -1", "--num is -1"),
        ("run --out OUT/run --batch-size 0", "--batch-size is 0"),
        ("run --out OUT/run --seed -1", "--seed is -1; it must be a whole number of at least 0"),
        ("gallery OUT/run --num 0 --out OUT/all.gif", "--num is 0"),
        (
            "gallery OUT/run --out OUT/all.gif",
            "has no prompts.json: give a folder that `lumos evaluate shapes run` wrote",
        ),
        ("codec --num 0", "--num is 0"),
    ],
)
def test_a_wrong_option_is_one_line_that_names_it(tmp_path: Path, capsys, words: str, message: str):
    (tmp_path / "file").touch()
    assert main(words.replace("OUT", str(tmp_path)).split()) == 2
    error = capsys.readouterr().err
    assert (message in error, error.count("\n")) == (True, 1), error
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_refused_run_does_not_stand_in_the_way(tmp_path: Path, capsys):
    words = ["run", "--out", str(tmp_path / "run"), "--kinds", "t2i", "--num", "1"]
    assert main([*words, "--steps", "0"]) == 2
    assert "error: --steps is 0; it must be a whole number of at least 1" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_fast_takes_the_models_own_settings_and_others_win(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    seen, model = [], find_model(DEFAULT_MODEL)
    monkeypatch.setattr("eval.shapes.__main__.run", lambda config: seen.append(settings_of(config, model)) or {})
    words = ["run", "--out", str(tmp_path)]
    for more in ([], ["--fast"], ["--fast", "--steps", "7"]):
        assert main([*words, *more]) == 0
    own = fast_settings(model.files.defaults)
    assert own
    assert seen == [{}, own, own | {"num_inference_steps": 7}]
