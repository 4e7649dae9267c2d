"""Brings the official prompt lists and the rewritten long prompts into eval/prompts/, checked byte for byte.

    python -m eval.prompts                            downloads what is not there
    python -m eval.prompts --from FOLDER --offline    takes it from a folder that has it, e.g. checkouts

Each file comes from the first of: --from, an installed `vbench` package, the network (pinned revisions). Written are
the official list as it is, by which outputs are named and scored, and apart from it a map {official prompt: long
prompt}, which is what a model sees. The lists are their authors' and are not part of this repository.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from eval.benchmarks import BENCHMARKS
from eval.prompts.lists import FOLDER, PromptLists, missing_long, read_long
from eval.prompts.sources import Source, download, find, installed_vbench, is_pinned, other_versions
from lumos.media.files import replacing
from xllmx.run.exit_status import status_of
from xllmx.run.option_parser import OptionParser


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status (`xllmx.run.exit_status`): 0, or 2 after one line that says what could not be had."""
    return status_of("eval.prompts", lambda: _main(_parser().parse_args(arguments)), words=arguments)


def _main(options: argparse.Namespace) -> int:
    benchmarks = options.benchmarks or list(BENCHMARKS)
    unknown = [name for name in benchmarks if name not in BENCHMARKS]
    if unknown:
        raise ValueError(f"there is no benchmark {unknown[0]!r}; there are {', '.join(BENCHMARKS)}")
    for path in bring(
        benchmarks, places=options.places, folder=options.out, short=options.short, offline=options.offline
    ):
        print(path)
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
        benchmarks: names of `eval.benchmarks`.
        places: files and folders to look in first.
        folder: where to write.
        short: leave the long prompts out.
        offline: do not use the network.
    """
    asked = [BENCHMARKS[name].lists for name in benchmarks]
    wanted = {lists.official_path(folder): lists.official for lists in asked}
    if not short:
        wanted |= {lists.long_path(folder): lists.rewritten for lists in asked if _lacks_long(lists, folder)}
    contents = _gather(wanted, places=places, offline=offline)
    finished = dict(contents)
    for lists in asked:
        path = lists.long_path(folder)
        if path in contents:
            long = lists.long_in(contents[path].decode("utf-8"))
            _check_long(lists, official=contents[lists.official_path(folder)], long=long)
            finished[path] = _json(long)
    for path, content in finished.items():
        with replacing(path) as temporary:
            temporary.write_bytes(content)
    longs = [] if short else [lists.long_path(folder) for lists in asked]
    return sorted({*finished, *longs})


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


def _lacks_long(lists: PromptLists, folder: Path) -> bool:
    """Whether the long prompts are to be brought: those there, the released ones or one's own, are kept if complete."""
    path, official = lists.long_path(folder), lists.official_path(folder)
    if not (path.is_file() and official.is_file()):
        return True
    return bool(missing_long(lists.prompts_in(official.read_text("utf-8")), read_long(path)))


def _check_long(lists: PromptLists, *, official: bytes, long: Mapping[str, str]) -> None:
    """Raises ValueError unless every official prompt has a rewritten one."""
    if missing := missing_long(lists.prompts_in(official.decode("utf-8")), long):
        raise ValueError(f"{len(missing)} prompts of {lists.benchmark} have no rewritten one: {', '.join(missing)}")


def _json(content: Mapping[str, str]) -> bytes:
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode("utf-8")


def _parser() -> OptionParser:
    parser = OptionParser(
        prog="lumos evaluate prompts",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
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
