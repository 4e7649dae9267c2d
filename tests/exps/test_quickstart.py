"""The lesson of the quickstart: what it asks was never shown, and after its fine-tuning comes out as asked."""

import re
from pathlib import Path

import pytest

from eval.shapes.parse import claims_of
from eval.shapes.pictures.beside import pairs_of
from lumos.cli import main as lumos
from lumos.cli.jobs.prompts import read_prompts
from lumos.shapes import is_reserved
from lumos.shapes.lesson import COLOUR
from pre_tokenize.shapes import main as pre_tokenize

PROMPTS = Path("exps/quickstart_prompts.txt")


def test_the_lesson_asks_for_white_shapes_in_wordings_that_no_caption_has(repo: Path) -> None:
    texts = [prompt.text for prompt in read_prompts(repo / PROMPTS)]
    assert [text for text in texts if not is_reserved(text)] == []
    colours = [claims_of(text).include[0].colour for text in texts]
    assert (len(texts), colours.count(COLOUR)) == (8, 6)
    assert str(PROMPTS) in (repo / "exps/quickstart.sh").read_text()


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_lesson_is_learned(repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repo)
    script = (repo / "exps/quickstart.sh").read_text()
    found = re.search(r"lumos\.shapes\.dataset .*--num (\d+) --seed (\d+) --lesson", script)
    assert found is not None
    codes, run, model = tmp_path / "codes", tmp_path / "run", tmp_path / "model"
    assert pre_tokenize(["--out", str(codes), "--num", found[1], "--seed", found[2], "--lesson"]) == 0
    where = [f"trainer.run_dir={run}", f"task.data.video={codes / 'index.json'}"]
    assert lumos(["train", "--config", "configs/train/quickstart.yaml", *where]) == 0
    assert lumos(["export", str(run), str(model)]) == 0
    for name, folder in (("lumos-tiny", "before"), (str(model), "after")):
        words = ["--prompt-file", str(PROMPTS), "--seed", "1", "--batch-size", "8", "--fast"]
        assert lumos(["generate", "--model", name, *words, "--out", str(tmp_path / folder)]) == 0
    pairs = pairs_of(tmp_path / "before", tmp_path / "after")
    white = [pair for pair in pairs if COLOUR in pair.before.prompt.split(" on ")[0]]
    assert (len(pairs), len(white)) == (8, 6)
    assert sum(pair.before.is_right for pair in white) == 0
    assert sum(pair.after.is_right for pair in white) >= 4
