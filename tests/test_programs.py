"""Every program of the repository ends in the same way: one parser, one last door."""

import argparse
import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from xllmx.run.option_parser import OptionParser

REPO = Path(__file__).resolve().parent.parent
FOLDERS = ("lumos", "xllmx", "eval", "pre_tokenize", "benchmarks")
MODULES = [path for folder in FOLDERS for path in sorted((REPO / folder).rglob("*.py"))]
PROGRAMS = [
    path.relative_to(REPO).with_suffix("").as_posix().replace("/", ".")
    for path in MODULES
    if 'if __name__ == "__main__"' in path.read_text(encoding="utf-8")
]


class Found(BaseException):
    """Raised with the parser of a program, which has read nothing yet."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self.parser = parser


def parser_of(program: str, monkeypatch: pytest.MonkeyPatch) -> argparse.ArgumentParser:
    def found(self: argparse.ArgumentParser, args: object = None, namespace: object = None) -> None:
        raise Found(self)

    for name in ("parse_args", "parse_intermixed_args"):
        monkeypatch.setattr(OptionParser, name, found)
    with pytest.raises(Found) as raised:
        importlib.import_module(program).main([])
    return raised.value.parser


def with_those_of_commands(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from with_those_of_commands(command)


@pytest.mark.parametrize("program", [*PROGRAMS, "lumos.cli.commands"])
def test_no_option_may_be_cut_short_and_all_take_debug(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    parsers = list(with_those_of_commands(parser_of(program, monkeypatch)))
    assert all(isinstance(parser, OptionParser) for parser in parsers)
    assert [parser.prog for parser in parsers if parser.allow_abbrev] == []
    assert [parser.prog for parser in parsers if "--debug" not in parser._option_string_actions] == []


def test_the_programs_are_found() -> None:
    assert len(PROGRAMS) > 20
    known = {"lumos.train", "eval.geneval.__main__", "pre_tokenize.__main__", "benchmarks.lumina_video.flow"}
    assert known <= set(PROGRAMS)


def test_no_other_parser_is_made_and_no_error_is_said_elsewhere() -> None:
    """`argparse.ArgumentParser(` stands in no module; `status_of` is what every `main` returns."""
    made, without = [], []
    for path in MODULES:
        source = path.read_text(encoding="utf-8")
        calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
        if any(ast.unparse(call.func).endswith("ArgumentParser") for call in calls):
            made.append(path.name)
        if "def main(" in source and not any(
            word in source for word in ("status_of(", "drive(", "answer(", "run(arg", "training_status(")
        ):
            without.append(path.name)
    assert (made, without) == ([], [])


@pytest.mark.parametrize(
    "program", ["lumos.cli.commands", "lumos.train", "pre_tokenize.__main__", "eval.geneval.__main__", "xllmx.plot"]
)
def test_what_is_unforeseen_anywhere_is_status_70(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(self: argparse.ArgumentParser, args: object = None, namespace: object = None) -> None:
        raise ZeroDivisionError("odd")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for name in ("parse_args", "parse_intermixed_args"):
        monkeypatch.setattr(OptionParser, name, broken)
    assert importlib.import_module(program).main(["a"]) == 70
    (line,) = capsys.readouterr().err.splitlines()
    assert "this was not foreseen: ZeroDivisionError: odd; report in " in line
    assert len(list(tmp_path.rglob("error-*.txt"))) == 1


@pytest.mark.parametrize("program", [*PROGRAMS, "lumos.cli.commands"])
def test_help_sends_nobody_to_a_source_file(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for parser in with_those_of_commands(parser_of(program, monkeypatch)):
        assert not re.search(r"\w\.py\b", parser.format_help()), parser.prog
