"""The console script `lumos`: words of a command line -> calls. No work is done here.

    lumos generate --prompt "a red circle moves to the right"
    lumos train --config configs/train/quickstart.yaml trainer.max_steps=100
    lumos tokenize ... | lumos plot RUN | lumos export RUN FOLDER | lumos download NAME | lumos doctor

Exit status: 0 done; 1 a check of `doctor` failed; 2 something the user can mend, said in one line; 130 stopped by
Ctrl-C. What a command needs is imported when it runs, so that `--help` and mistakes answer at once.
"""

from lumos.cli.interrupt import STOPPED, loading

with loading("lumos"):
    import argparse
    import os
    import signal
    import subprocess
    import sys
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import contextmanager
    from dataclasses import replace
    from pathlib import Path
    from types import FrameType
    from typing import Any

    from lumos.cli.option import OptionParser, said_as_options
    from lumos.cli.prompts import Prompt, distinct, name_of, read_prompts
    from lumos.hub.models import DEFAULT_MODEL, RELEASED, read_json, resolve
    from lumos.hub.models import download as download_model

CHECK_FAILED, USER_ERROR, TERMINATED = 1, 2, 143
FORMATS = ("mp4", "gif", "png")
_OTHER_FORMATS = ("avi", "jpeg", "jpg", "m4v", "mkv", "mov", "webm", "webp")
_DEFAULT_OUT = Path("outputs")

_SETTINGS: dict[str, tuple[Callable[[str], Any], str]] = {
    "num_frames": (int, "exactly so many frames; 1 makes an image"),
    "fps": (int, "frames per second"),
    "duration": (int, "whole seconds"),
    "width": (int, "pixels, a multiple of 32"),
    "height": (int, "pixels, a multiple of 32"),
    "guidance_scale": (float, "how strongly the prompt counts; 1 is without guidance"),
    "mask_history_ratio": (float, "share of finished frames hidden from later ones"),
    "confidence_temperature": (str, "released or per_frame (lumos/lumos1/config.py)"),
    "temperature": (float, "of the softmax codes are drawn from"),
    "top_k": (int, "draw among so many codes only"),
    "entropy_bound": (float, "keep the surest codes of together at most this entropy at once, if --steps keeps fewer"),
    "guidance_tolerance": (float, "end a frame's guidance once it moves its codes by at most so many nats on average"),
    "later_steps": (float, "refinements of later frames, as a share of --steps"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status of one command."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with terminating():
            if words[:1] == ["tokenize"]:  # its options are its own
                return tokenize(words[1:])
            options = _parser().parse_args(words)
            run: Callable[[argparse.Namespace], int] = options.run
            with said_as_options(vars(options)):
                return run(options)
    except KeyboardInterrupt:
        print("lumos: stopped; what was finished is kept", file=sys.stderr)
        return STOPPED
    except (ValueError, OSError) as error:
        print(f"lumos: error: {' '.join(str(error).split())}", file=sys.stderr)
        return USER_ERROR


def generate(options: argparse.Namespace) -> int:
    """Makes what the prompts ask for; prints path, seed and time of each output."""
    settings = {name: getattr(options, name) for name in (*_SETTINGS, "num_inference_steps")}
    settings |= {name: True for name in ("mask_given_frames", "random_history") if getattr(options, name)}
    if options.from_json:
        settings = _take_record(options, settings)
    files = resolve(options.model or DEFAULT_MODEL, options.ckpts)
    prompts = _prompts(options)

    with loading("lumos"):  # from here on it takes PyTorch: what is at fault above is said at once
        from tqdm import tqdm

        from lumos.cli.outputs import Job, make_outputs
        from lumos.lumos1.pipeline import LumosPipeline
        from lumos.lumos1.sampling.settings import fast_settings, resolve_settings

    if options.fast:
        given = {name: value for name, value in settings.items() if value is not None}
        settings = {**fast_settings(files.defaults), **given}
    outputs = _outputs(options, prompts, image=resolve_settings(files.defaults, settings).num_output_frames == 1)
    jobs = [
        Job(prompt=one.text, output=output, image=one.image, negative_prompt=one.negative, seed=one.seed)
        for one, output in zip(prompts, outputs, strict=True)
    ]
    pipeline = LumosPipeline.from_pretrained(
        files.name,
        options.device,
        options.dtype,
        ckpts=options.ckpts,
        lora=options.lora,
        weights=options.weights,
        offload=options.offload,
    )
    with tqdm(desc="latent frames", leave=False, disable=None) as bar:
        making = make_outputs(
            pipeline,
            jobs,
            settings,
            batch_size=options.batch_size,
            overwrite=options.overwrite,
            on_frame=lambda index, codes: bar.update(len(codes)) and None,
        )
        for one in making:
            took = f"{one.seconds:.1f} s" if one.new else "finished before; --seed or --out makes another"
            bar.write(f"{one.output}  seed {one.seed}  {took}")
    return 0


def train(options: argparse.Namespace) -> int:
    """Trains as config and overrides say, from the run's newest checkpoint on; or says what that would take."""
    if options.config is None and not any(word.startswith("trainer") for word in options.overrides):
        raise ValueError("say what to train: --config FILE, for example configs/train/quickstart.yaml")

    with loading("lumos"):
        from lumos.cli.train import RunConfig, run, stopped_status
        from xllmx.config import load_config

    config = load_config(RunConfig, options.config, options.overrides)
    if options.dry_run:
        from lumos.cli.dry_run import estimate_run, read_size, report

        print(report(estimate_run(config, num_gpus=options.gpus, size=read_size(options.size))))
        return 0
    if stopped := run(config).stopped:
        return stopped_status(stopped)
    print(f"{config.trainer.run_dir}  (a model folder: lumos export {config.trainer.run_dir} FOLDER)")
    return 0


def plot(options: argparse.Namespace) -> int:
    """Prints the losses of runs, or draws their curves."""
    with loading("lumos"):
        from xllmx.plot import draw, read_curves, table

    curves = read_curves(options.runs)
    if options.out is None:
        print(table(curves))
    else:
        draw(curves, options.out)
        print(options.out)
    return 0


def tokenize(words: Sequence[str]) -> int:
    """Hands the words to `python -m pre_tokenize`, which is part of a checkout and not of the installed package."""
    checkout = Path(__file__).resolve().parents[2]
    if not (checkout / "pre_tokenize" / "__main__.py").is_file():
        raise ValueError("pre_tokenize is not installed with lumos; clone the repository and install it with pip -e")
    path = os.pathsep.join(filter(None, [str(checkout), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-m", "pre_tokenize", *words]
    return subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, check=False).returncode


def export(options: argparse.Namespace) -> int:
    """Makes a model folder of a run's newest checkpoint."""
    with loading("lumos"):
        from lumos.cli.export import export_run

    print(
        export_run(
            options.training_run,
            options.folder,
            tokenizers=options.tokenizers,
            dtype=options.dtype,
            ckpts=options.ckpts,
            overwrite=options.overwrite,
            adapter=options.adapter,
        )
    )
    return 0


def download(options: argparse.Namespace) -> int:
    """Brings a released model, or one of the hub, and its tokenizers."""
    print(download_model(options.name, options.ckpts, revision=options.revision))
    return 0


def doctor(options: argparse.Namespace) -> int:
    """Prints what can be checked beforehand; 1 if a check failed."""
    with loading("lumos"):
        from lumos.cli.doctor import examine

    passed = True
    for check in examine(options.model or DEFAULT_MODEL, options.ckpts):
        print(check, flush=True)
        passed &= check.passed
    return 0 if passed else CHECK_FAILED


# --- what the words of `generate` stand for ---------------------------------------------------------------------------


def _take_record(options: argparse.Namespace, settings: dict[str, Any]) -> dict[str, Any]:
    """Settings of the record `--from-json`, under those given; fills the other options from it.

    Raises ValueError when the weights or the picture of the record are not the ones here.
    """
    from lumos.cli.record import file_hash, model_hash

    if options.prompt or options.prompt_file or options.image:
        raise ValueError("--from-json holds prompt and image; leave --prompt, --prompt-file and --image out")
    if not options.from_json.is_file():
        raise ValueError(f"--from-json {options.from_json}: no such file; give the .json that lies beside an output")
    record = read_json(options.from_json)
    if missing := {"prompt", "seed", "settings", "model", "model_hash", "dtype", "output"} - record.keys():
        raise ValueError(f"{options.from_json} is no record of an output: it lacks {', '.join(sorted(missing))}")
    kinds = {"prompt": str, "seed": int, "settings": dict, "model": str, "output": str}
    for name, kind in kinds.items():
        if not isinstance(record[name], kind):
            raise ValueError(f"{options.from_json} is no record of an output: its {name} is {record[name]!r}")
    options.model = options.model or record["model"]
    options.lora = options.lora or (Path(record["lora"]) if record.get("lora") else None)
    found = model_hash(replace(resolve(options.model, options.ckpts), lora=options.lora))
    if found != record["model_hash"]:
        raise ValueError(
            f"{options.model} has other weights ({found}) than {options.from_json} was made with; see --model"
        )
    if record.get("image") and not Path(record["image"]).is_file():
        raise ValueError(f"{record['image']}, the picture of {options.from_json}, is not there; put it back")
    if record.get("image") and file_hash(Path(record["image"])) != record.get("image_hash"):
        raise ValueError(f"{record['image']} is another picture than {options.from_json} was made with; put it back")
    options.prompt, options.negative_prompt = [record["prompt"]], record.get("negative_prompt")
    options.image = [record["image"]] if record.get("image") else None
    options.seed = record["seed"] if options.seed is None else options.seed
    options.dtype = options.dtype or record["dtype"]
    options.weights = options.weights or record.get("weights")
    options.out = options.out or options.from_json.with_name(record["output"])
    return {**record["settings"], **{name: value for name, value in settings.items() if value is not None}}


def _prompts(options: argparse.Namespace) -> list[Prompt]:
    """The prompts asked for, each with its picture and seed; the seeds count on from --seed."""
    if options.prompt and options.prompt_file:
        raise ValueError("--prompt and --prompt-file are both given; leave one of them out")
    if not options.prompt and not options.prompt_file:
        raise ValueError("say what to make: --prompt TEXT (again for more), or --prompt-file FILE")
    if options.image_folder and not options.prompt_file:
        raise ValueError("--image-folder is for the pictures a --prompt-file names; give one, or --image FILE")
    for image in options.image or []:
        if not Path(image).is_file():
            raise ValueError(f"--image {image}: no such file; give a picture (png, jpg, webp...)")
    if not all(text.strip() for text in options.prompt or []):
        raise ValueError("the prompt is empty; describe what is to be seen")
    if options.prompt_file:
        prompts = read_prompts(options.prompt_file, images=options.image_folder)
    else:
        named = options.seed is not None
        numbers = enumerate(options.prompt, options.seed or 0)
        names = [name_of(text) + (f"-seed{number}" if named else "") for number, text in numbers]
        prompts = distinct(Prompt(text=text, name=name) for text, name in zip(options.prompt, names, strict=True))
    images = options.image or []
    if len(images) not in (0, 1, len(prompts)):
        raise ValueError(f"--image is given {len(images)} times for {len(prompts)} prompts; give one, or one for each")
    given = [Path(image) for image in images] * (len(prompts) if len(images) == 1 else 1)
    return [
        Prompt(
            text=one.text,
            name=one.name,
            image=given[index] if given else one.image,
            negative=options.negative_prompt or one.negative,
            seed=one.seed if options.seed is None else options.seed + index,
        )
        for index, one in enumerate(prompts)
    ]


def _outputs(options: argparse.Namespace, prompts: Sequence[Prompt], *, image: bool) -> list[Path]:
    """Where each prompt's output goes: --out itself if it names a file, else a file in that folder."""
    out = Path(options.out or _DEFAULT_OUT)
    suffix = out.suffix.removeprefix(".").lower()
    if suffix in FORMATS and not out.is_dir():
        if len(prompts) > 1:
            raise ValueError(f"--out {out} is one file for {len(prompts)} prompts; give a folder")
        if options.format not in (None, suffix):
            raise ValueError(f"--out {out} and --format {options.format} disagree; leave one of them out")
        return [out]
    if suffix in _OTHER_FORMATS and not out.is_dir():
        raise ValueError(f"--out {out}: no .{suffix} is written; give a name with .mp4, .gif or .png, or a folder")
    if out.is_file():
        raise ValueError(f"--out {out} is a file of no known format; give a folder, or a name with .mp4, .gif or .png")
    return [out / f"{one.name}.{options.format or ('png' if image else 'mp4')}" for one in prompts]


@contextmanager
def terminating() -> Iterator[None]:
    """Within it SIGTERM ends the process the orderly way, so that no temporary file is left."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise SystemExit(TERMINATED)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


# --- the words --------------------------------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = OptionParser(prog="lumos", description="Images and videos from prompts, and what belongs to it.")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_generate(commands.add_parser("generate", help="a video or an image from a prompt or a picture"))
    command = commands.add_parser("train", help="train from a config")
    command.add_argument("--config", type=Path, help="YAML file (configs/train/)")
    command.add_argument("overrides", nargs="*", metavar="key=value", help="settings that win over the file's")
    command.add_argument("--dry-run", action="store_true", help="say what it would take, and touch nothing")
    command.add_argument("--gpus", type=int, default=1, metavar="N", help="of the dry run (default 1)")
    command.add_argument("--size", metavar="WxH", help="of the dry run's clips, in pixels (default: those there are)")
    command.set_defaults(run=train)
    commands.add_parser("tokenize", help="a CSV of clips to shards (python -m pre_tokenize)", add_help=False)
    command = commands.add_parser("plot", help="curves of training runs: losses, those of each frame, and the rest")
    command.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="the run's folder (trainer.run_dir)")
    command.add_argument("--out", type=Path, metavar="FILE", help=".png, .svg or .pdf; a table of losses if not given")
    command.set_defaults(run=plot)
    command = commands.add_parser("export", help="a training run to a model folder")
    command.add_argument("training_run", type=Path, metavar="RUN", help="the run's folder (trainer.run_dir)")
    command.add_argument("folder", type=Path, metavar="FOLDER", help="where the model goes")
    command.add_argument("--tokenizers", help="model whose tokenizers and defaults go along (default: task.init_from)")
    command.add_argument("--dtype", default="float32", help="of the weights: float32 (default) or bfloat16")
    command.add_argument("--overwrite", action="store_true", help="replace the folder if it is there")
    command.add_argument("--adapter", action="store_true", help="only the adapters of a LoRA run; default: merged")
    command.set_defaults(run=export)
    _add_ckpts(command)
    command = commands.add_parser("download", help="bring released weights, resumed and checked")
    command.add_argument("name", help=f"{', '.join(RELEASED)}, a hub id (org/name[/folder]), or cosmos")
    command.add_argument("--revision", default="main", help="branch, tag or commit on the hub")
    command.set_defaults(run=download)
    _add_ckpts(command)
    command = commands.add_parser("doctor", help="check machine and model before a run")
    command.add_argument("--model", metavar="NAME", help=f"name, hub id or folder (default {DEFAULT_MODEL})")
    command.set_defaults(run=doctor)
    _add_ckpts(command)
    return parser


def _add_generate(command: argparse.ArgumentParser) -> None:
    what = command.add_argument_group("what")
    what.add_argument("--prompt", action="append", metavar="TEXT", help="what is to be seen; again for more")
    what.add_argument("--prompt-file", type=Path, metavar="FILE", help=".txt, .json or .jsonl (lumos/cli/prompts.py)")
    what.add_argument("--image", action="append", metavar="FILE", help="first frame; once, or once for each prompt")
    what.add_argument("--image-folder", type=Path, metavar="FOLDER", help="where the pictures a prompt file names lie")
    what.add_argument("--negative-prompt", metavar="TEXT", help="what to lead away from")
    what.add_argument(
        "--seed", type=int, metavar="N", help="of the first prompt, the next ones count on; default: drawn"
    )
    what.add_argument("--from-json", type=Path, metavar="FILE", help="the record beside an output: make it again")
    where = command.add_argument_group("where")
    where.add_argument("--out", type=Path, help=f"file, or folder (default {_DEFAULT_OUT})")
    where.add_argument("--format", choices=FORMATS, help="in a folder: mp4 for videos and png for images by default")
    where.add_argument("--overwrite", action="store_true", help="replace what was made otherwise")
    how = command.add_argument_group("how (default: what the model was trained for)")
    for name, (kind, text) in _SETTINGS.items():
        how.add_argument(f"--{name.replace('_', '-')}", type=kind, metavar="X", help=text)
    how.add_argument("--steps", type=int, dest="num_inference_steps", metavar="N", help="refinements of a latent frame")
    how.add_argument(
        "--mask-given-frames", action="store_true", help="hide parts of the given picture from later frames"
    )
    how.add_argument("--random-history", action="store_true", help="hide a random part of the history, not a fixed one")
    how.add_argument("--fast", action="store_true", help="fewer passes of the model: adaptive refinements and guidance")
    how.add_argument("--model", metavar="NAME", help=f"name, hub id or folder (default {DEFAULT_MODEL})")
    how.add_argument("--lora", type=Path, metavar="FOLDER", help="adapters to merge in (lumos export --adapter)")
    how.add_argument(
        "--batch-size", type=int, default=1, metavar="N", help="prompts that go through the model together"
    )
    how.add_argument("--device", help="cpu, cuda, cuda:1 (default: a GPU if there is one)")
    how.add_argument("--dtype", help="bfloat16 or float32 (default: bfloat16 on a GPU, float32 on a CPU)")
    how.add_argument("--weights", choices=("int8", "fp8"), help="blocks in 8 bits, for small cards; needs torchao")
    how.add_argument("--offload", action="store_true", help="blocks stay in the host's memory until their turn; slow")
    _add_ckpts(command)
    command.set_defaults(run=generate)


def _add_ckpts(command: argparse.ArgumentParser) -> None:
    command.add_argument("--ckpts", type=Path, help="the folder of checkpoints (default: ckpts/ of the checkout)")
