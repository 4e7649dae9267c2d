"""`python -m eval.report`: table, files, page and exit status."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest

from eval.geneval.report import TAGS
from eval.report.__main__ import main
from eval.report.sheets import first_of_each
from eval.vbench.totals import DIMENSIONS
from lumos.media.writing import write_image, write_video

NASTY = 'a <b>bold</b> cup & "saucer", 100% #1?'


class Page(HTMLParser):
    """The links, pictures and cells of a page; every tag that is opened is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links, self.pictures, self.rows, self.text, self.open = [], [], [], "", []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        if tag not in ("img", "meta"):
            self.open.append(tag)
        self.links += [value for name, value in attrs if name == "href"]
        if tag == "img":
            self.pictures.append(dict(attrs))
        if tag == "tr":
            self.rows.append([])

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1].append(data)


def save_vbench(folder: Path, *, without: str = "") -> None:
    for index, name in enumerate(DIMENSIONS["vbench"]):
        if name != without:
            folder.mkdir(exist_ok=True)
            (folder / f"{name}_eval_results.json").write_text(json.dumps({name: [0.5 + index / 100, []]}))


def test_a_complete_evaluation_has_totals_beside_published_ones(tmp_path: Path, capsys) -> None:
    save_vbench(tmp_path / "results")
    status = main(["vbench", str(tmp_path / "results"), "--out", str(tmp_path / "out"), "--name", "ours"])
    said = capsys.readouterr().out
    assert status == 0
    assert said.startswith((tmp_path / "out" / "vbench.md").read_text())
    assert re.search(r"^\| Dimension \| ours \| Lumos-1 3.6B \|", said, re.MULTILINE)
    assert re.search(r"^\| Subject consistency \| 50.00 \| - \|", said, re.MULTILINE)
    total = json.loads((tmp_path / "out" / "vbench.json").read_text())["totals"]["total"]
    assert re.search(rf"^\| Total score \| {100 * total:.2f} \| 78.3 \| 81.0 \|", said, re.MULTILINE)
    assert "https://arxiv.org/abs/2510.24717" in said, "published numbers have their source"
    page = Page((tmp_path / "out" / "vbench.html").read_text())
    assert page.rows[0][:3] == ["Dimension", "ours", "Lumos-1 3.6B"]
    assert page.rows[-1][:3] == ["Total score", f"{100 * total:.2f}", "78.3"]


def test_an_incomplete_one_has_none_and_says_why(tmp_path: Path, capsys) -> None:
    save_vbench(tmp_path / "results", without="human_action")
    status = main(["vbench", str(tmp_path / "results"), "--out", str(tmp_path / "out")])
    said = capsys.readouterr().out
    assert status == 1
    assert "No total: human_action: not scored" in said
    assert re.search(r"^\| Human action \| - \|", said, re.MULTILINE)
    assert re.findall(r"^\| (?:Quality|Semantic|Total) score \| (\S+) \|", said, re.MULTILINE) == ["-"] * 3
    assert json.loads((tmp_path / "out" / "vbench.json").read_text())["totals"] == {}


def test_what_cannot_be_read_is_one_line(tmp_path: Path, capsys) -> None:
    for words in (["vbench", "nowhere"], ["geneval", "nowhere"], ["vbench", ".", "--samples", "nowhere"]):
        assert main([*words, "--out", str(tmp_path / "out")]) == 2
        assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_the_page_shows_images_with_prompts_and_verdicts(tmp_path: Path) -> None:
    """Prompts are text, whatever they contain; links lead to the outputs; what is missing is said."""
    tags = list(TAGS)
    cup = {"class": "cup", "count": 1}
    records = [{"tag": tag, "include": [cup], "prompt": f"{NASTY}{tag}{n}"} for tag in tags for n in range(2)]
    prompts, images = tmp_path / "prompts.jsonl", tmp_path / "my images"
    prompts.write_text("".join(json.dumps(record) + "\n" for record in records))
    results = []
    for number, record in enumerate(records):
        for copy in range(4):
            file = images / f"{number:05d}" / "samples" / f"{copy:05d}.png"
            write_image(file, np.full((24, 32, 3), 5 * number, dtype=np.uint8))
            verdict = {"correct": copy == 1, "reason": "" if copy == 1 else "expected <cup>"}
            results.append({"filename": str(file), "tag": record["tag"], "metadata": json.dumps(record), **verdict})
    (images / "00000" / "samples" / "00003.png").unlink()
    (tmp_path / "results.jsonl").write_text("".join(json.dumps(line) + "\n" for line in results))
    words = ["geneval", tmp_path / "results.jsonl", "--prompts", prompts, "--samples", images, "--num-samples", 6]
    assert main([str(word) for word in (*words, "--out", tmp_path / "out")]) == 0
    page = Page((tmp_path / "out" / "geneval.html").read_text())
    assert [page.text.count(NASTY + tag) for tag in tags] == [1] * 6  # the first of two
    assert "00003.png is missing or does not decode" in page.text
    assert len(page.pictures) == 4 * 6 - 1
    assert [p["class"] for p in page.pictures[:3]] == ["wrong", "right", "wrong"]
    assert page.pictures[0]["title"] == "wrong: expected <cup>"
    assert all(p["src"].startswith("data:image/jpeg;base64,/9j/") for p in page.pictures)
    assert all((tmp_path / "out" / unquote(link)).is_file() for link in page.links)
    assert len(page.rows[0]) == 2, "prompts that are not the benchmark's have no published numbers beside"


def test_the_page_shows_videos_as_strips(tmp_path: Path) -> None:
    save_vbench(tmp_path / "results")
    records = [{"prompt_en": NASTY, "dimension": ["scene", "color"]}, {"prompt_en": "gone", "dimension": ["scene"]}]
    (tmp_path / "info.json").write_text(json.dumps(records))
    frames = np.stack([np.full((24, 32, 3), 40 * index, dtype=np.uint8) for index in range(6)])
    write_video(tmp_path / "videos" / f"{NASTY}-0.mp4", frames, fps=6)
    words = ["vbench", "results", "--prompts", "info.json", "--samples", "videos", "--out", "out"]
    assert (
        main([str(tmp_path / word) if not word.startswith("--") and word != "vbench" else word for word in words]) == 0
    )
    page = Page((tmp_path / "out" / "vbench.html").read_text())
    assert page.text.count(NASTY) == 1, "a prompt of two dimensions is shown once"
    assert (len(page.pictures), "gone-0.mp4 is missing" in page.text) == (1, True)
    assert (tmp_path / "out" / unquote(page.links[0])).is_file()


def test_the_first_of_each_group_are_shown() -> None:
    pairs = [("a", 1), ("b", 2), ("a", 3), ("a", 4), ("c", 5), ("b", 6)]
    assert first_of_each(pairs, 6) == [("a", 1), ("a", 3), ("b", 2), ("b", 6), ("c", 5)]
    assert first_of_each(pairs, 0) == [("a", 1), ("b", 2), ("c", 5)]


@pytest.mark.parametrize("benchmark", ["geneval", "vbench", "vbench_i2v"])
def test_help_names_what_results_are(benchmark: str, capsys) -> None:
    with pytest.raises(SystemExit):
        main([benchmark, "--help"])
    assert "results.jsonl" in capsys.readouterr().out
