"""Brings the official prompt lists and the rewritten long prompts into eval/prompts/, checked byte for byte.

    python -m eval.prompts                            downloads what is not there
    python -m eval.prompts --from FOLDER --offline    takes it from a folder that has it, e.g. checkouts

Each file comes from the first of: --from, an installed `vbench` package, the network (pinned revisions). Written are
the official list as it is, by which samples are named and scored, and apart from it a map {official prompt: long
prompt}, which is what a model sees. The lists are their authors' and are not part of this repository.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eval.check.official import BENCHMARKS, OFFICIAL_FILES
from eval.prompt_sources import OFFICIAL, REWRITTEN, Source, download, find, installed_vbench, is_pinned, other_versions
from lumos.cli.commands import USER_ERROR
from lumos.media.files import replacing

FOLDER = Path(__file__).parent / "prompts"
"""Where the drivers look for prompts."""

LONG_KEY = {"geneval": "prompt_rewrite_qwen32b", "vbench_i2v": "prompt_en_qwen32b_vl"}
"""Where the released rewritten files keep the long prompt of a record; VBench's is a plain map."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 0, or 2 after one line that says what could not be had."""
    try:
        options = _parser().parse_args(arguments)
        benchmarks = options.benchmarks or BENCHMARKS
        unknown = [name for name in benchmarks if name not in BENCHMARKS]
        if unknown:
            raise ValueError(f"there is no benchmark {unknown[0]!r}; there are {', '.join(BENCHMARKS)}")
        for path in bring(
            benchmarks, places=options.places, folder=options.out, short=options.short, offline=options.offline
        ):
            print(path)
    except (ValueError, OSError) as error:
        print(f"eval.prompts: error: {' '.join(str(error).split())}", file=sys.stderr)
        return USER_ERROR
    return 0


def bring(
    benchmarks: Sequence[str],
    *,
    places: Sequence[Path] = (),
    folder: Path = FOLDER,
    short: bool = False,
    offline: bool = False,
) -> list[Path]:
    """The files that are now in `folder`, official lists and long prompts; all of them, or ValueError and none.

    Args:
        benchmarks: of `eval.check.official.BENCHMARKS`.
        places: files and folders to look in first.
        folder: where to write.
        short: leave the long prompts out.
        offline: do not use the network.
    """
    wanted = {official_path(name, folder): OFFICIAL[name] for name in benchmarks}
    if not short:
        wanted |= {long_path(name, folder): REWRITTEN[name] for name in benchmarks if _lacks_long(name, folder)}
    contents = _gather(wanted, places=places, offline=offline)
    finished = dict(contents)
    for name in benchmarks:
        path = long_path(name, folder)
        if path in contents:
            finished[path] = _json(long_prompts(name, contents[path]))
            _check_long(name, official=contents[official_path(name, folder)], rewritten=contents[path])
    for path, content in finished.items():
        with replacing(path) as temporary:
            temporary.write_bytes(content)
    longs = [] if short else [long_path(name, folder) for name in benchmarks]
    return sorted({*finished, *longs})


def official_path(benchmark: str, folder: Path = FOLDER) -> Path:
    """Where the official list of a benchmark lies."""
    return folder / OFFICIAL_FILES[benchmark][0]


def long_path(benchmark: str, folder: Path = FOLDER) -> Path:
    """Where the long prompts of a benchmark lie: json, {official prompt: long prompt}."""
    return folder / f"{benchmark}_long.json"


def read_long(path: Path) -> dict[str, str]:
    """Official prompt -> long prompt; ValueError if the file holds no such map."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ValueError(f"{path} is missing; run: python -m eval.prompts, or ask for --short prompts") from error
    except (OSError, ValueError) as error:
        raise ValueError(f"cannot read the long prompts {path} ({error}); run: python -m eval.prompts") from error
    if not isinstance(content, dict) or not all(isinstance(value, str) for value in content.values()):
        raise ValueError(f"{path} is no map {{official prompt: long prompt}}; run: python -m eval.prompts")
    return content


def missing_long(prompts: Sequence[str], long: Mapping[str, str]) -> list[str]:
    """The prompts without a rewritten one."""
    return [prompt for prompt in prompts if not long.get(prompt, "").strip()]


def long_prompts(benchmark: str, content: bytes) -> dict[str, str]:
    """Official prompt -> long prompt, from a released rewritten file."""
    text = content.decode("utf-8")
    if benchmark == "vbench":
        return {name.removesuffix(".mp4"): caption for name, caption in json.loads(text).items()}
    records: list[dict[str, Any]]
    records = [json.loads(line) for line in text.splitlines()] if benchmark == "geneval" else json.loads(text)
    name = "prompt" if benchmark == "geneval" else "prompt_en"
    return {record[name]: record[LONG_KEY[benchmark]] for record in records}


def _gather(wanted: Mapping[Path, Source], *, places: Sequence[Path], offline: bool) -> dict[Path, bytes]:
    """The content of every file, from the nearest place; ValueError that names all that could not be had."""
    contents: dict[Path, bytes] = {}
    for path, source in wanted.items():
        there = path.read_bytes() if path.is_file() else b""
        content = there if is_pinned(there, source) else find(source, [*places, *installed_vbench()])
        if content is not None:
            contents[path] = content
    missing = {path: source for path, source in wanted.items() if path not in contents}
    if missing and offline:
        raise ValueError(f"not found: {'; '.join(_not_found(source, places) for source in missing.values())}")
    brought = download(list(missing.values()))
    return contents | {path: brought[source] for path, source in missing.items()}


def _not_found(source: Source, places: Sequence[Path]) -> str:
    others = other_versions(source, places)
    other = f", and {others[0]} is another version of it" if others else ""
    return f"{source.name} (of {source.repository}, SHA-256 {source.sha256[:12]}...{other})"


def _lacks_long(benchmark: str, folder: Path) -> bool:
    """Whether the long prompts are to be brought: those there, the released ones or one's own, are kept if complete."""
    path, official = long_path(benchmark, folder), official_path(benchmark, folder)
    if not (path.is_file() and official.is_file()):
        return True
    return bool(missing_long(_prompts(benchmark, official.read_bytes()), read_long(path)))


def _check_long(benchmark: str, *, official: bytes, rewritten: bytes) -> None:
    """Raises ValueError unless every official prompt has a rewritten one."""
    if missing := missing_long(_prompts(benchmark, official), long_prompts(benchmark, rewritten)):
        raise ValueError(f"{len(missing)} prompts of {benchmark} have no rewritten one: {', '.join(missing)}")


def _prompts(benchmark: str, official: bytes) -> list[str]:
    text = official.decode("utf-8")
    if benchmark == "geneval":
        return [json.loads(line)["prompt"] for line in text.splitlines()]
    return [record["prompt_en"] for record in json.loads(text)]


def _json(content: Mapping[str, str]) -> bytes:
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode("utf-8")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m eval.prompts", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("benchmarks", nargs="*", metavar="BENCHMARK", help=f"{', '.join(BENCHMARKS)} (default: all)")
    parser.add_argument(
        "--from", dest="places", type=Path, nargs="+", default=[], metavar="PATH", help="files or folders to look in"
    )
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder to write to (default: eval/prompts)")
    parser.add_argument("--short", action="store_true", help="the official lists alone, without rewritten prompts")
    parser.add_argument("--offline", action="store_true", help="do not use the network")
    return parser


if __name__ == "__main__":
    sys.exit(main())
