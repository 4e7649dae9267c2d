"""A model folder whose config.json is none: `lumos doctor` and `lumos generate` say what is wrong in it."""

from pathlib import Path

import pytest

from lumos.cli import main
from tests.model_folder import make_model_folder


@pytest.mark.parametrize(
    ("content", "message"), [('{"hidden_size": "abc"}', "hidden_size is 'abc'"), ("[1]", "holds a JSON list")]
)
def test_a_wrongly_typed_config_json_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, message: str
) -> None:
    folder = make_model_folder(tmp_path / "broken")
    (folder / "config.json").write_text(content)
    capsys.readouterr()
    words = ["--model", str(folder)]
    assert main(["generate", *words, "--prompt", "a", "--out", str(tmp_path / "a.mp4")]) == 2
    error = capsys.readouterr().err
    assert (error.count("\n"), message in error) == (1, True), error
    assert main(["doctor", *words]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("FAIL") and message in line for line in lines)
