"""What the pages for people say is so: links and files lead somewhere, commands are spelt as the programs want them."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from eval.custom.__main__ import parse as parse_custom
from eval.shapes.__main__ import _parser as shapes_parser
from lumos.cli.commands import parser as lumos_parser
from lumos.cli.look import split_words
from lumos.cli.training.training_run import load_run
from lumos.lumos1.ardf import history_pattern, mask_ratio
from lumos.lumos1.model.attention import frame_causal_mask
from pre_tokenize.__main__ import option_parser as pre_tokenize_parser
from pre_tokenize.motion import _parser as motion_parser

REPO = Path(__file__).resolve().parent.parent
PAGES = [*REPO.glob("*.md"), *(path for folder in REPO.iterdir() if folder.is_dir() for path in folder.rglob("*.md"))]
PAGES = [path for path in PAGES if path.relative_to(REPO).parts[0] not in (".venv", "runs", "data", "outputs", "tests")]
NAMES = [str(path.relative_to(REPO)) for path in PAGES]


def commands(page: str) -> Iterator[list[str]]:
    """The words of every command in the page's bash blocks."""
    for block in re.findall(r"```bash\n(.*?)```", (REPO / page).read_text(encoding="utf-8"), re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            while words:
                end = words.index("&&") if "&&" in words else len(words)
                yield words[:end]
                words = words[end + 1 :]


def test_there_are_pages() -> None:
    assert {"README.md", "INSTALL.md", "eval/README.md", "exps/README.md", "ckpts/README.md"} <= set(NAMES)


@pytest.mark.parametrize("page", NAMES)
def test_links_lead_somewhere(page: str) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", (REPO / page).read_text(encoding="utf-8"))
    local = [link for link in links if not link.startswith("http")]
    assert [link for link in local if not (REPO / page).parent.joinpath(link).exists()] == []


@pytest.mark.parametrize("page", ["README.md", "INSTALL.md"])
def test_files_that_are_named_are_there(page: str) -> None:
    named = re.findall(r"`((?:lumos|xllmx|eval|exps|configs|tests|pre_tokenize)/[\w./]+)`", (REPO / page).read_text())
    assert [path for path in named if not (REPO / path).exists()] == []


def understood(options: list[str]) -> None:
    """Parse a `lumos` command as it would be, its config read."""
    if options[0] == "look":
        own, rest = split_words(options[1:])
        options = ["look", *own]
        if rest:  # of a CSV's dry run
            pre_tokenize_parser().parse_args(["--dry_run", "--input_file", own[0], *rest])
    parsed = lumos_parser().parse_args(options)
    if options[0] == "train" and parsed.keys is None:
        load_run(parsed.config, parsed.overrides)


@pytest.mark.parametrize("page", NAMES)
def test_commands_are_understood(page: str) -> None:
    for words in commands(page):
        match words:
            case ["lumos", "tokenize", *options] | ["python", "-m", "pre_tokenize", *options]:
                pre_tokenize_parser().parse_args(options)
            case ["python", "-m", "pre_tokenize.motion", *options]:
                motion_parser().parse_args(options)
            case ["bash", "pre_tokenize/run_latents.sh" | "pre_tokenize/run_tokenization.sh" as script, _, *_] as given:
                options = given[2:]
                kind = ["--to", "latents"] if "latents" in script else []
                pre_tokenize_parser().parse_args([*kind, *[word for word in options if word != "..."]])
            case ["lumos", *options]:
                understood(options)
            case ["python", "-m", "eval.shapes", *options]:
                shapes_parser().parse_args(options)
            case ["bash", script, *options] if script.startswith("eval/inference_custom_"):
                parse_custom([script[len("eval/inference_custom_") : -len(".sh")], *options])
            case ["bash", script, *_]:
                assert (REPO / script).is_file(), script
            case ["python", "-m", module, *_]:
                parts = module.split(".")
                assert any(REPO.joinpath(*parts[:-1], f"{parts[-1]}{end}").exists() for end in (".py", "/__main__.py"))


def test_the_drawings_of_lumos1_are_what_the_code_computes() -> None:
    page = (REPO / "lumos" / "lumos1" / "README.md").read_text(encoding="utf-8")
    blocks = torch.tensor([[0, 1, 2, 2, 2, 3, 3, 3, 4]])
    drawn = re.findall(r"^[sVabE] {12}([x.](?: [x.]){8})", page, re.MULTILINE)
    mask = frame_causal_mask(blocks)[0, [0, 1, 2, 5, 8]]
    assert drawn == [" ".join("x" if seen else "." for seen in row) for row in mask.tolist()]
    kept = re.search(r"of P = 10 `([x. ]+)`", page)
    assert kept is not None
    assert [i for i, mark in enumerate(kept[1].split()) if mark == "x"] == history_pattern(10, 0.7).tolist()
    counts = (96 * mask_ratio(torch.arange(1, 9) / 8)).floor().int().tolist()
    assert ", ".join(map(str, counts)) in page.replace("\n", " ")
