"""`python -m eval.shapes COMMAND`: prompts, score, run, cost and more (README.md beside it)."""

from xllmx.run.interrupt import loading

with loading("eval.shapes"):
    import argparse
    import sys
    from collections.abc import Sequence
    from dataclasses import asdict
    from pathlib import Path
    from typing import Annotated, Any

    from eval.driver.command import setting_of
    from eval.shapes.comparing.compare import compare
    from eval.shapes.look import look
    from eval.shapes.outputs import score_folder
    from eval.shapes.pictures.beside import in_lines, pairs_of, write_beside
    from eval.shapes.pictures.gallery import write_gallery
    from eval.shapes.prompts import ALL_KINDS, load_prompts, make_prompts, save_prompts
    from eval.shapes.run import RunConfig, require_numbers, run, write_json
    from eval.shapes.score import summarise, table
    from lumos.cli.options.placement import add_loading
    from lumos.cli.options.spelling import said_as_options
    from lumos.hub.bundled import BUNDLED_MODELS
    from lumos.hub.models import DEFAULT_MODEL
    from lumos.lumos1.sequence import GRID_PX
    from xllmx.disk.place import check_file, check_folder, inputs_of
    from xllmx.run.exit_status import status_of
    from xllmx.run.option_parser import OptionParser
    from xllmx.settings.number_range import COUNT, SHARE, Range, check_number

_COMMANDS = "prompts|score|run|long|change|cost|compare|side-by-side|scales|motion|partway|look|beside|gallery|codec"


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status (`xllmx.run.exit_status`)."""

    def run_command() -> int:
        args = _parser().parse_args(arguments)
        with said_as_options(vars(args)):
            require_numbers(vars(args))
            args.command(args)
        return 0

    return status_of("eval.shapes", run_command, words=arguments)


def _parser() -> argparse.ArgumentParser:
    parser = OptionParser(prog="lumos evaluate shapes", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar=_COMMANDS)

    prompts = commands.add_parser("prompts", help="write a file of prompts, and the first frames for i2v")
    prompts.add_argument("--kind", choices=ALL_KINDS, required=True)
    prompts.add_argument("--out", type=Path, required=True, help="json file to write")
    prompts.add_argument("--size", type=int, nargs=2, default=(64, 64), metavar=("WIDTH", "HEIGHT"), help="of pngs")
    prompts.set_defaults(command=_prompts)

    scoring = commands.add_parser("score", help="score a folder of clips named by the prompts' numbers")
    scoring.add_argument("--prompts", type=Path, required=True, help="json file of `prompts`")
    scoring.add_argument("--folder", type=Path, required=True, help="holds 00000.mp4, .gif, .png or .npz, 00001...")
    scoring.add_argument("--report", type=Path, help="json file to write (default: report.json in the folder)")
    scoring.set_defaults(command=_score)

    whole = commands.add_parser("run", help="generate with a model, save and score; starts again where it stopped")
    whole.add_argument("--model", default=DEFAULT_MODEL, help="name, hub id or folder (default: the bundled one)")
    whole.add_argument("--kinds", nargs="+", choices=ALL_KINDS, help="default: all that the model makes, but plain")
    whole.add_argument("--out", type=Path, required=True, help="folder to write")
    whole.add_argument("--batch-size", type=int, default=32)
    whole.add_argument("--steps", type=int, dest="num_inference_steps")
    whole.add_argument("--guidance-scale", type=float)
    whole.add_argument("--mask-history-ratio", type=float)
    add_loading(whole)
    _add_settings(whole)
    whole.set_defaults(command=_run)

    for command in (prompts, whole):
        command.add_argument("--num", type=int, default=280, help="prompts (of each kind)")
        command.add_argument("--seed", type=int, default=0)
    _add_long(commands)
    _add_measuring(commands)
    _add_comparing(commands)
    _add_looking(commands)
    return parser


def _add_settings(command: argparse.ArgumentParser) -> None:
    command.add_argument("settings", nargs="*", metavar="name=value", help="of the pipeline: num_inference_steps=20")


def _add_long(commands: Any) -> None:
    """Clips longer than the model's own, and clips whose prompt changes (Lumos-1)."""
    long = commands.add_parser("long", help="clips longer than the model's own, in windows and the naive way (Lumos-1)")
    long.add_argument("--times", type=int, default=4, metavar="N", help="how long they are, in the model's own length")
    long.set_defaults(command=_long)

    change = commands.add_parser("change", help="clips whose prompt changes half-way (Lumos-1)")
    change.set_defaults(command=_change)
    for command in (long, change):
        command.add_argument("--model", default=DEFAULT_MODEL, help="name, hub id or folder (default: the bundled one)")
        command.add_argument("--num", type=int, default=24, help="clips of each way")
        command.add_argument("--seed", type=int, default=0)
        command.add_argument("--fast", action="store_true", help="the model's own settings of adaptive sampling")
        command.add_argument("--out", type=Path, required=True, help="folder to write; what is there already stays")
        _add_settings(command)


def _add_measuring(commands: Any) -> None:
    """What a model costs, how it compares, and how it follows a motion score."""
    cost = commands.add_parser("cost", help="passes, FLOPs, seconds and memory of a clip")
    cost.add_argument("--repeats", type=int, default=5, help="clips that are timed, one after another")
    cost.add_argument("--device", help="cpu, cuda (default: a GPU if there is one)")
    cost.add_argument("--dtype", help="bf16 or fp32 (default: bf16 on a GPU, fp32 on a CPU)")
    cost.add_argument("--out", type=Path, help="the --out of `run`, where cost.json is written")
    cost.set_defaults(command=_cost)

    motion = commands.add_parser("motion", help="motion score asked for against motion measured (Lumina-Video)")
    motion.add_argument("--scores", type=_numbers, default="0,2,4,8,12", metavar="A,B,...", help="asked for")
    motion.add_argument("--num", type=int, default=32, help="clips of each")
    motion.add_argument("--seed", type=int, default=0)
    motion.add_argument("--out", type=Path, required=True, help="folder for motion.json and motion.png")
    motion.set_defaults(command=_motion)

    partway = commands.add_parser("partway", help="from which time on a true clip stays as asked (Lumina-Video)")
    partway.add_argument("--times", type=_numbers, default="0,0.1,0.2,0.35,0.5,1", metavar="A,B,...", help="0: noise")
    partway.add_argument("--kind", choices=("held_out", "t2v"), default="held_out", help="of prompts")
    partway.add_argument("--num", type=int, default=64, help="clips of each")
    partway.add_argument("--seed", type=int, default=0)
    partway.add_argument("--out", type=Path, required=True, help="folder for partway.json")
    partway.set_defaults(command=_partway)
    for command, model in ((cost, DEFAULT_MODEL), (motion, "lumina-tiny"), (partway, "lumina-tiny")):
        command.add_argument("--model", default=model, help=f"name, hub id or folder (default: {model})")
        _add_settings(command)


def _add_comparing(commands: Any) -> None:
    """Evaluations, models and presets beside each other."""
    comparing = commands.add_parser("compare", help="evaluations side by side, as a table")
    comparing.add_argument("folders", type=Path, nargs="+", metavar="FOLDER", help="the --out of `run`")
    comparing.set_defaults(command=_compare)

    beside = commands.add_parser("side-by-side", help="models on the same prompts, by themselves and fast; costs too")
    beside.add_argument("--models", nargs="+", default=list(BUNDLED_MODELS), help="default: the bundled ones")
    beside.add_argument("--repeats", type=int, default=20, help="clips of each that are timed, in turn")
    beside.add_argument("--write", type=Path, metavar="FILE", help="Markdown with marks, where the table is put")
    beside.add_argument("--pictures", type=Path, metavar="FOLDER", help="where pictures are written (default: --out)")
    beside.set_defaults(command=_side_by_side)

    scales = commands.add_parser("scales", help="the fast preset against its twin of one scale (Lumina-Video)")
    scales.add_argument("--model", default="lumina-tiny", help="name, hub id or folder (default: lumina-tiny)")
    scales.add_argument("--kinds", nargs="+", choices=ALL_KINDS, default=["t2v"], help="default: t2v")
    scales.add_argument("--at", type=_numbers, metavar="A,B,...", help="times at which the finest scale begins instead")
    _add_settings(scales)
    scales.set_defaults(command=_scales)
    for command in (beside, scales):
        command.add_argument("--num", type=int, default=280, help="prompts of each kind")
        command.add_argument("--seed", type=int, default=0)
        command.add_argument("--batch-size", type=int, default=32)
        command.add_argument("--out", type=Path, required=True, help="folder to write; what is there already stays")


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of numbers such as 0,4,8") from None


def _add_looking(commands: Any) -> None:
    """What is for eyes, and the measure of the visual tokenizer."""
    looking = commands.add_parser("look", help="say what clips show, and whether that is what was asked")
    looking.add_argument("files", type=Path, nargs="+", metavar="FILE", help="mp4, gif, png or npz")
    looking.add_argument(
        "--prompt", metavar="TEXT", help="what was asked (default: the prompt of the record beside it)"
    )
    looking.set_defaults(command=_look)

    beside = commands.add_parser("beside", help="the same prompts by two models: score both, and show them")
    beside.add_argument("before", type=Path, metavar="BEFORE", help="folder of outputs of lumos generate")
    beside.add_argument("after", type=Path, metavar="AFTER", help="the same of another model")
    beside.add_argument("--out", type=Path, required=True, help="gif, mp4 or png to write")
    beside.set_defaults(command=_beside)

    gallery = commands.add_parser("gallery", help="the first clips of evaluations side by side, as gif, mp4 or png")
    gallery.add_argument("folders", type=Path, nargs="+", metavar="FOLDER", help="what `run` wrote: OUT/KIND")
    gallery.add_argument("--num", type=int, default=6, help="clips of each")
    gallery.add_argument("--out", type=Path, required=True, help="file to write")
    gallery.set_defaults(command=_gallery)

    codec = commands.add_parser(
        "codec", help="PSNR of a model's visual tokenizer or VAE on clips never seen in training"
    )
    codec.add_argument("--model", default=DEFAULT_MODEL, help="name, hub id or folder, also of a VAE alone")
    codec.add_argument("--num", type=int, default=280, help="clips")
    codec.add_argument("--seed", type=int, default=0)
    codec.set_defaults(command=_codec)


def _prompts(args: argparse.Namespace) -> None:
    width, height = args.size
    if min(width, height) < GRID_PX:
        raise ValueError(f"--size is {width} {height}; both sides must be at least {GRID_PX} pixels")
    records = make_prompts(args.kind, args.num, args.seed)
    save_prompts(records, args.out, width=width, height=height)
    print(f"{len(records)} {args.kind} prompts in {args.out}")


def _score(args: argparse.Namespace) -> None:
    if not args.folder.is_dir():
        raise ValueError(f"--folder {args.folder} is no folder: give the one that holds the generated clips")
    place = args.report or args.folder / "report.json"
    check_file(place, inputs=inputs_of({"--prompts": args.prompts}))
    report = summarise(score_folder(load_prompts(args.prompts), args.folder))
    print(table(report))
    write_json(place, report.to_dict())


def _run(args: argparse.Namespace) -> None:
    names = ("num_inference_steps", "guidance_scale", "mask_history_ratio")
    config = RunConfig(
        model=args.model,
        out=args.out,
        kinds=tuple(args.kinds) if args.kinds else None,
        num=args.num,
        batch_size=args.batch_size,
        seed=args.seed,
        fast=args.fast,
        lora=args.lora,
        weights=args.weights,
        settings=_settings(args, names),
    )
    for report in run(config).values():
        print(table(report))
    print(f"clips, sheets and report.json in {args.out}")


def _settings(args: argparse.Namespace, names: Sequence[str] = ()) -> dict[str, Any]:
    """Settings of the pipeline: the words `name=value`, and options of these names."""
    return {
        **dict(map(setting_of, args.settings)),
        **{name: getattr(args, name) for name in names if getattr(args, name) is not None},
    }


def _cost(args: argparse.Namespace) -> None:
    from eval.shapes.comparing.cost import measure_cost  # torch: only where clips are made

    if args.out is not None and not args.out.is_dir():
        raise ValueError(f"--out {args.out} is no folder: give the --out of lumos evaluate shapes run")
    check_number("repeats", Annotated[int, COUNT], args.repeats)
    cost = measure_cost(
        args.model, repeats=args.repeats, device=args.device, dtype=args.dtype, settings=_settings(args)
    )
    for name, value in asdict(cost).items():
        print(f"{name:<15}{value}")
    if args.out is not None:
        write_json(args.out / "cost.json", {"model": args.model, **asdict(cost)})


def _compare(args: argparse.Namespace) -> None:
    print(compare(args.folders))


def _side_by_side(args: argparse.Namespace) -> None:
    from eval.shapes.comparing import side_by_side as both
    from eval.shapes.comparing.side_by_side_pictures import draw_clips, draw_cost

    check_number("repeats", Annotated[int, COUNT], args.repeats)
    pictures = args.pictures or args.out
    check_folder(pictures)
    if args.write is not None:
        both.SECTION.around(args.write)  # refused before hours of work
    run_as = RunConfig(model="", out=args.out, num=args.num, batch_size=args.batch_size, seed=args.seed)
    ways = both.evaluate_ways(args.models, run_as=run_as)
    both.measure_ways(ways, args.out, repeats=args.repeats)
    table = both.side_by_side_table(ways, args.out)
    cost, clips = pictures / "side_by_side.png", pictures / "side_by_side_clips.png"
    draw_cost(both.evaluations_of(ways, args.out), cost)
    draw_clips({way.name: args.out / way.folder / "t2v" for way in ways if not way.fast}, clips)
    print(table)
    print(f"pictures: {cost}, {clips}")
    if args.write is not None:
        both.write_section(args.write, table, [cost, clips])


def _scales(args: argparse.Namespace) -> None:
    from eval.shapes.comparing.scales import measure_scales, scales_table

    check_folder(args.out)
    given = {"num": args.num, "batch_size": args.batch_size, "seed": args.seed, "kinds": tuple(args.kinds)}
    run_as = RunConfig(model=args.model, out=args.out, **given)
    print(scales_table(measure_scales(args.model, run_as=run_as, at=args.at, settings=_settings(args))))


def _long(args: argparse.Namespace) -> None:
    from eval.shapes.long import long_table, measure_long, save_long

    check_folder(args.out)
    check_number("times", Annotated[int, Range(2, 1000)], args.times)
    how: dict[str, Any] = {"num": args.num, "seed": args.seed, "fast": args.fast, "out": args.out}
    results = measure_long(args.model, times=args.times, settings=_settings(args), **how)
    save_long(results, args.out)
    print(long_table(results))


def _change(args: argparse.Namespace) -> None:
    from eval.shapes.change import change_table, measure_change, save_change

    check_folder(args.out)
    how: dict[str, Any] = {"num": args.num, "seed": args.seed, "fast": args.fast, "out": args.out}
    results = measure_change(args.model, settings=_settings(args), **how)
    save_change(results, args.out)
    print(change_table(results))


def _motion(args: argparse.Namespace) -> None:
    from eval.shapes.motion import measure_motion, motion_table, save_curve

    check_folder(args.out)
    curve = measure_motion(args.model, args.scores, num=args.num, seed=args.seed, settings=_settings(args))
    save_curve(curve, args.out)
    print(motion_table(curve))


def _partway(args: argparse.Namespace) -> None:
    from eval.shapes.partway import measure_partway, partway_table, save_points

    check_folder(args.out)
    for time in args.times:
        check_number("times", float, time, SHARE)
    kind = {"num": args.num, "kind": args.kind, "seed": args.seed}
    points = measure_partway(args.model, args.times, **kind, settings=_settings(args))
    save_points(points, args.out)
    print(partway_table(points))


def _look(args: argparse.Namespace) -> None:
    unread = 0
    for path in args.files:
        found = look(path, args.prompt)
        print(found.text)
        unread += found.is_unread
    if unread:
        print(f"{unread} of {len(args.files)} clips have no score: their prompts ask for nothing that is read here")


def _beside(args: argparse.Namespace) -> None:
    check_file(args.out)
    pairs = pairs_of(args.before, args.after)
    write_beside(args.out, pairs)
    print(in_lines(pairs))
    print(f"side by side, before above after: {args.out}")


def _gallery(args: argparse.Namespace) -> None:
    check_file(
        args.out, inputs=inputs_of({f"{folder}/prompts.json": folder / "prompts.json" for folder in args.folders})
    )
    print(f"{write_gallery(args.out, args.folders, num=args.num)} clips in {args.out}")


def _codec(args: argparse.Namespace) -> None:
    from eval.shapes.codec import psnr_of  # torch: only where clips are coded

    values = psnr_of(args.model, num=args.num, seed=args.seed)
    print(
        f"{args.model}: PSNR {sum(values) / len(values):.2f} dB, mean of {len(values)} clips; lowest {min(values):.2f}"
    )


if __name__ == "__main__":
    sys.exit(main())
