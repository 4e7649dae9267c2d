"""The commands that pages, scripts, configs and module docstrings show: where each stands, and its words."""

import ast
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
_PACKAGES = ("lumos", "xllmx", "eval", "pre_tokenize", "benchmarks")
_SUBCOMMANDS = "generate|train|tokenize|look|evaluate|plot|export|download|doctor"
_BEGIN = rf"(?:[A-Z_]+=\S+ )*(?:lumos (?:{_SUBCOMMANDS})\b|python -m [\w.]+|bash [\w/.-]+\.sh\b|torchrun )"
_TOLD = re.compile(rf"(?:^|: |; |then )({_BEGIN}.*)")
_QUOTED = re.compile(rf"`({_BEGIN}[^`]*)`", re.DOTALL)
_FENCE = re.compile(r"```bash\n(.*?)```", re.DOTALL)
_END = re.compile(r"\s{2,}|\s+\(|\s+#|; ")
"""What ends a command within prose: two spaces, a bracket, a comment, a semicolon."""


@dataclass(frozen=True, kw_only=True)
class Command:
    """One command as it is shown."""

    place: str
    """File that shows it, relative to the repository."""
    text: str
    """In one line."""
    whole: bool
    """Whether it stands alone, to be copied; False where prose speaks of a program or of its options."""

    @property
    def words(self) -> list[str]:
        """Its words, without the variables before it."""
        words = shlex.split(self.text)
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
            del words[0]
        return words


def documented() -> list[Command]:
    """Return every command once for each file that shows it, in the order of the files."""
    found = {(one.place, one.text): one for path in _files() for one in _commands_in(path)}
    return list(found.values())


def _files() -> list[Path]:
    pages = [path for path in REPO.rglob("*.md") if not _is_foreign(path)]
    scripts = [
        path
        for folder in ("exps", "eval", "pre_tokenize", "benchmarks", "tests")
        for path in (REPO / folder).rglob("*.sh")
    ]
    configs = [*(REPO / "configs").rglob("*.yaml")]
    modules = [path for package in _PACKAGES for path in (REPO / package).rglob("*.py")]
    return sorted([*pages, *scripts, *configs, *modules])


def _is_foreign(path: Path) -> bool:
    first = path.relative_to(REPO).parts[0]
    return first in ("runs", "data", "outputs", "tests") or first.startswith(".")


def _commands_in(path: Path) -> Iterator[Command]:
    place, text = path.relative_to(REPO).as_posix(), path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        for block in _FENCE.findall(text):
            yield from (Command(place=place, text=one, whole=True) for one in _block(block))
        prose = [_FENCE.sub("", text)]
    elif path.suffix == ".py":
        prose = list(_docstrings(text))
        yield from (Command(place=place, text=one, whole=True) for part in prose for one in _told(part))
    else:
        prose = ["\n".join(re.sub(r"^# ?", "", line) for line in text.split("\n") if line.startswith("#"))]
        yield from (Command(place=place, text=one, whole=True) for one in _told(prose[0]))
    for quoted in (one for part in prose for one in _QUOTED.findall(part)):
        yield Command(place=place, text=" ".join(quoted.replace("\\\n", " ").split()), whole=False)


def _block(block: str) -> Iterator[str]:
    """Yield the commands of a block of bash, those joined by && one by one, without comments."""
    for line in block.replace("\\\n", " ").split("\n"):
        for words in _split(shlex.split(line, comments=True)):
            yield shlex.join(words) if words else ""


def _split(words: list[str]) -> Iterator[list[str]]:
    while words:
        end = words.index("&&") if "&&" in words else len(words)
        yield words[:end]
        words = words[end + 1 :]


def _told(text: str) -> Iterator[str]:
    """Yield the commands in a comment or docstring that begin a line or stand behind a colon."""
    for line in re.sub(r" *\\\n\s*", " ", _QUOTED.sub("", text)).split("\n"):
        if found := _TOLD.search(line.strip()):
            yield _END.split(found[1], maxsplit=1)[0].rstrip(" ,:`").removesuffix(" ...")


def _docstrings(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and (text := ast.get_docstring(node)):
            yield text
