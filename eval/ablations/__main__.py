"""The paper's comparisons on the shapes world: `bash exps/ablations.sh`, or `python -m eval.ablations`.

Trains what configs/ablations/ says with each seed, samples every model, and writes tables.md and pictures of the losses
and sweeps.
Killed or stopped, the same command goes on where it was; started once more beside itself, on another core, it shares
the work.
"""

from xllmx.run.interrupt import loading

with loading("eval.ablations"):
    import subprocess
    import sys
    import time
    from argparse import Namespace
    from collections.abc import Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from eval.ablations.jobs import DATA, Job, jobs
    from eval.ablations.kept import keep
    from eval.ablations.pictures import draw_all
    from eval.ablations.plan import VARIANTS
    from eval.ablations.table import SECTION, tables
    from lumos.cli.options.spelling import said_as_options
    from xllmx.disk.files import write_text
    from xllmx.disk.place import check_folder
    from xllmx.run.exit_status import status_of
    from xllmx.run.lock import HeldError, lock_beside, locked
    from xllmx.run.option_parser import OptionParser
    from xllmx.settings.number_range import Range, check_number


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status (`xllmx.run.exit_status`)."""

    def command() -> int:
        options = _parser().parse_args(arguments)
        with said_as_options(vars(options)):
            check_number("seeds", int, options.seeds, Range(1, 100))
        if options.into is not None:
            SECTION.around(options.into)  # refused before hours of work
        if options.keep is not None:
            check_folder(options.keep)
        found = jobs(options.folder, seeds=options.seeds, only=options.only)
        if options.dry_run:
            print(plan_in_words(found))
            return 0
        return run(found, options)

    return status_of("eval.ablations", command, words=arguments)


def run(found: Sequence[Job], options: Namespace) -> int:
    """Do what is not done yet, one job after another, and write tables and pictures; return the exit status.

    It is that of a job that failed, whose own words say why. Several processes share the jobs: what another one does is
    passed over.
    """
    folder: Path = options.folder
    check_folder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    left = [] if options.report else [job for job in found if not job.done]
    for number, job in enumerate(left, 1):
        minutes = sum(other.minutes for other in left[number - 1 :])
        try:
            with _alone(folder, job):
                if job.done or not job.ready:
                    continue
                when = f"{time.strftime('%H:%M:%S')}] {number} of {len(left)}, about {minutes:.0f} min left"
                print(f"[{when}: {job.of} {job.what}", flush=True)
                job.do()
        except HeldError:
            continue
        except subprocess.CalledProcessError as error:
            print(f"eval.ablations: {job.of} ended with status {error.returncode}; the same command goes on")
            return 1 if error.returncode < 0 else error.returncode
    _report(folder, options)
    if others := sum(not job.done for job in left):
        print(f"{others} of the jobs wait for what another process does; once it has ended, the same command goes on")
    return 0


def _alone(folder: Path, job: Job) -> AbstractContextManager[None]:
    """Return the lock of a job; that of the data, which all others need, is waited for."""
    name = "-".join(job.made.relative_to(folder).with_suffix("").parts)
    return locked(lock_beside(folder / name), what=f"{job.made} is made", remedy="wait for it", wait=job.of == DATA)


def _report(folder: Path, options: Namespace) -> None:
    """Write tables and pictures of what is there."""
    text = tables(folder, seeds=options.seeds)
    write_text(folder / "tables.md", text)
    print(text)
    for path in (folder / "tables.md", *draw_all(folder, seeds=options.seeds)):
        print(path)
    if options.into is not None:
        SECTION.write(options.into, text)
        print(options.into)
    if options.keep is not None:
        print(f"{options.keep}: results of {', '.join(keep(folder, options.keep)) or 'no finished run'}")


def plan_in_words(found: Sequence[Job]) -> str:
    """Return what the jobs are, whether each is done, and how long those that are not will take."""
    groups: dict[tuple[str, str], list[Job]] = {}
    for job in found:
        groups.setdefault((job.of, job.what.partition(" ")[0]), []).append(job)
    lines = []
    for (of, does), members in groups.items():
        left = [job for job in members if not job.done]
        what = members[0].what if len(members) == 1 else f"{does} in {len(members)} parts"
        state = f"{sum(job.minutes for job in left):3.0f} min, {len(members) - len(left)} done" if left else "done"
        lines.append(f"{of:<20} {what}: {state}")
    total = sum(job.minutes for job in found if not job.done)
    lines.append(f"{len(found)} jobs, {sum(job.done for job in found)} done; about {total / 60:.1f} h on one core")
    return "\n".join(lines)


def _parser() -> OptionParser:
    parser = OptionParser(prog="eval.ablations", description=__doc__)
    parser.add_argument(
        "folder", type=Path, nargs="?", default=Path("runs/ablations"), help="holds everything (runs/ablations)"
    )
    parser.add_argument("--seeds", type=int, default=2, help="trainings of each variant (default: 2)")
    only = f"only these: {', '.join(VARIANTS)}, a run such as base-0, lumos-tiny, data, chance"
    parser.add_argument("--only", nargs="+", default=(), metavar="NAME", help=only)
    parser.add_argument("--dry-run", action="store_true", help="say what there is to do, and how long it will take")
    parser.add_argument("--report", action="store_true", help="write tables and pictures of what is there, no more")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="the results, without weights, go there as well")
    parser.add_argument("--into", type=Path, metavar="FILE", help="page whose tables are replaced: exps/ABLATIONS.md")
    return parser


if __name__ == "__main__":
    sys.exit(main())
