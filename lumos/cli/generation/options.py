"""The options of `lumos generate`: what both models take, and what only one of them has."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lumos.cli.jobs.outputs import FORMATS
from lumos.cli.jobs.prompts import CLIP_SUFFIXES
from lumos.cli.models.door import KINDS
from lumos.cli.models.kind import ModelKind
from lumos.cli.options.engine import add_sampling_engine
from lumos.cli.options.machines import add_machines
from lumos.cli.options.placement import add_placement
from lumos.cli.options.spelling import read_size
from lumos.hub.models import DEFAULT_MODEL, LUMINA_VIDEO, LUMOS1
from xllmx.safe.json_text import parse_json
from xllmx.settings.setting import SettingError

DEFAULT_OUT = Path("outputs")

_SETTINGS: Mapping[str, tuple[Any, str]] = {
    "width": (int, "pixels: a multiple of 32; Lumina-Video: of 16, or of 32 with coarse patches"),
    "height": (int, "pixels, likewise"),
    "fps": (int, "frames per second"),
    "duration": (int, "whole seconds"),
    "guidance_scale": (
        float,
        "how strongly the prompt counts. Lumos-1: 1 is without guidance. Lumina-Video: the preset's cfg s, where the "
        "usual weight is s + 1 and 0 is without",
    ),
}
_LUMOS1_SETTINGS: Mapping[str, tuple[Any, str]] = {
    "mask_history_ratio": (float, "share of finished frames hidden from later ones"),
    "confidence_temperature": (
        str,
        "noise of the confidence: released (fades out in the first frame) or per_frame (anew in each)",
    ),
    "temperature": (float, "of the softmax codes are drawn from"),
    "top_k": (int, "draw among so many codes only"),
    "entropy_bound": (float, "keep the surest codes of together at most this entropy at once, if --steps keeps fewer"),
    "guidance_tolerance": (float, "end a frame's guidance once it moves its codes by at most so many nats on average"),
    "later_steps": (float, "refinements of later frames, as a share of --steps"),
    "seconds": (float, "the whole length, in place of --num-frames: of --extend with the clip that is there"),
    "history_positions": (str, "where positions count from in a clip of windows: window or clip"),
}
_LUMOS1_FLAGS: Mapping[str, str] = {
    "mask_given_frames": "hide parts of the given picture from later frames",
    "random_history": "hide a random part of the history, not a fixed one",
}
SETTINGS = (
    *_SETTINGS, "num_frames", "num_inference_steps", *_LUMOS1_SETTINGS, "history_frames", "preset", "motion"
)  # fmt: skip
"""Options that are settings of a pipeline, beside flags."""


def add_options(command: argparse.ArgumentParser) -> None:
    """Add all options; those of one model alone are named in the default `only`."""
    _add_what(command.add_argument_group("what"))
    _add_where(command.add_argument_group("where"))
    _add_how(command.add_argument_group("how (default: what the model was trained for)"))
    own = {
        LUMOS1: _add_lumos1(command.add_argument_group("only Lumos-1")),
        LUMINA_VIDEO: _add_lumina_video(command.add_argument_group("only Lumina-Video")),
    }
    command.set_defaults(only={kind: [action.dest for action in actions] for kind, actions in own.items()})


def settings_of(options: argparse.Namespace) -> dict[str, Any]:
    """Return what the pipeline is to be called with; None = the model's default."""
    settings = {name: getattr(options, name) for name in SETTINGS}
    settings |= {name: True for name in _LUMOS1_FLAGS if getattr(options, name)}
    return settings


def take_resolution(options: argparse.Namespace) -> None:
    """Put --width and --height in the place of --resolution, so that errors name the side at fault.

    Raises:
        SettingError: it is no size, or they are given too.
    """
    if options.resolution is None:
        return
    if options.width is not None or options.height is not None:
        raise SettingError("resolution", "says width and height; leave --width and --height out")
    options.width, options.height = read_size(options.resolution, setting="resolution")
    options.resolution = None


def take_clip(options: argparse.Namespace) -> None:
    """Put the clip of --extend in the place of a picture: it is what the output begins with.

    Raises:
        ValueError: it is no video, is not there, or a picture is given too.
    """
    if options.extend is None:
        return
    if options.image:
        raise ValueError("--extend and --image are both what the video begins with; leave one of them out")
    path = options.extend
    if not path.is_file():
        what = "it is a folder" if path.is_dir() else "no such file"
        raise ValueError(f"--extend {path}: {what}; give the video to go on from, an mp4 for example")
    if path.suffix.lower() not in CLIP_SUFFIXES:
        raise ValueError(
            f"--extend {path}: it must end in one of {', '.join(CLIP_SUFFIXES)}; for a picture use --image"
        )
    options.image, options.extend = [str(path)], None


def refuse_options(options: argparse.Namespace, kind: ModelKind) -> None:
    """Check that no option is given that only the other model has.

    Raises:
        ValueError: one is; it names both models.
    """
    for other, names in options.only.items():
        given = [name for name in names if getattr(options, name) is not None and getattr(options, name) is not False]
        if given and other != kind.name:
            option, model = f"--{given[0].replace('_', '-')}", options.model or DEFAULT_MODEL
            remedy = "give --num-frames in its place" if option == "--seconds" else "leave it out"
            raise ValueError(f"{option} is for {KINDS[other].title}, and {model} is {kind.title}; {remedy}")


def _add_what(what: Any) -> None:
    add = what.add_argument
    add("--prompt", action="append", metavar="TEXT", help="what is to be seen; again for more")
    add(
        "--prompt-file",
        type=Path,
        metavar="FILE",
        help="a list: .txt (a line each), .json or .jsonl (prompt, image, seed, ...)",
    )
    add("--negative-prompt", "--neg-prompt", metavar="TEXT", help="what to lead away from")
    add("--num", type=int, default=1, metavar="N", help="variants of every prompt, each with a seed of its own")
    add("--seed", type=int, metavar="N", help="of the first output, the next ones count on; default: drawn")
    add("--from-json", type=Path, metavar="FILE", help="the record beside an output: make it again")


def _add_where(where: Any) -> None:
    add = where.add_argument
    add("--out", type=Path, help=f"file, or folder (default {DEFAULT_OUT})")
    add("--format", choices=FORMATS, help="in a folder: mp4 for videos and png for images by default")
    add("--scale", type=int, metavar="N", help="write every pixel as N by N (nearest neighbour): to see small clips")
    add("--stream", action="store_true", help="write each mp4 while it is made, and say where: to watch it grow")
    add("--overwrite", action="store_true", help="replace what was made otherwise")
    add("--dry-run", action="store_true", help="say what it would take on a GPU, and touch nothing")
    add_machines(where, network=False)


def _add_how(how: Any) -> None:
    add = how.add_argument
    add("--model", "--ckpt", metavar="NAME", help=f"name, hub id, folder or s3:// address (default {DEFAULT_MODEL})")
    add("--resolution", metavar="WxH", help="width and height at once")
    add("--num-frames", "--frames", type=int, metavar="N", help="exactly so many frames; 1 makes an image")
    for name, (kind, text) in _SETTINGS.items():
        add(f"--{name.replace('_', '-')}", type=kind, metavar="X", help=text)
    steps = "Lumos-1: refinements of a latent frame; Lumina-Video: Euler steps (69 for a preset's step of 70 points)"
    add("--steps", type=int, dest="num_inference_steps", metavar="N", help=steps)
    fast = (
        "cheaper, by the model's own settings. Lumos-1: adaptive sampling; Lumina-Video: early steps at coarser scales"
    )
    add("--fast", action="store_true", help=fast)
    add("--lora", type=Path, metavar="FOLDER", help="adapters to merge in (lumos export --adapter)")
    add("--batch-size", type=int, default=1, metavar="N", help="prompts that go through the model together")
    add_sampling_engine(how)
    add("--device", help="cpu, cuda, cuda:1 (default: a GPU if there is one)")
    add("--dtype", "--precision", help="bf16 or fp32 (default: bf16 on a GPU, fp32 on a CPU)")
    add("--deterministic", action="store_true", help="kernels that give the same bits every time, where there are any")
    add("--ckpts", type=Path, help="the folder of checkpoints (default: ckpts/ of the checkout, or of this folder)")
    add("--hf-token", metavar="TOKEN", help="not needed: nothing is downloaded here (see `lumos download`)")


def _add_lumos1(group: Any) -> list[argparse.Action]:
    """Return what is added."""
    add = group.add_argument
    return [
        add(
            "--image",
            action="append",
            metavar="FILE",
            help="first frame, a file or an https address; once, or for each prompt",
        ),
        add("--extend", type=Path, metavar="FILE", help="a video to go on from, to the length of --seconds in all"),
        add(
            "--then",
            action="append",
            nargs=2,
            metavar=("FRAME", "TEXT"),
            help="the prompt from that frame on; again for more",
        ),
        add(
            "--history-frames",
            type=_history_frames,
            metavar="N",
            help="past the model's own length: latent frames that a window goes on from, again and again; or all",
        ),
        add("--image-folder", type=Path, metavar="FOLDER", help="where the pictures a prompt file names lie"),
        *(
            add(f"--{name.replace('_', '-')}", type=kind, metavar="X", help=text)
            for name, (kind, text) in _LUMOS1_SETTINGS.items()
        ),
        *(add(f"--{name.replace('_', '-')}", action="store_true", help=text) for name, text in _LUMOS1_FLAGS.items()),
        add("--weights", choices=("int8", "fp8"), help="blocks in 8 bits, for small cards; needs torchao"),
        add("--offload", action="store_true", help="blocks stay in the host's memory until their turn; slow"),
        *add_placement(group),
    ]


def _add_lumina_video(group: Any) -> list[argparse.Action]:
    """Return what is added."""
    preset = "f24F96R960, f16F64R512, either with -MultiScale, or a JSON or YAML file with the keys of one"
    motion = "how much moves: a number (released: 6), or a step function of t as JSON; below 0: unspecified"
    keep = "text encoder and VAE stay in memory: faster for lists of prompts, where there is room"
    add = group.add_argument
    return [
        add("--preset", "--sample-config", metavar="NAME", help=preset),
        add("--motion", type=_schedule, metavar="X", help=motion),
        add("--keep-encoders", action="store_true", help=keep),
        add("--tiled", action="store_true", help="decode in tiles: less memory, slightly other pixels"),
    ]


def _history_frames(text: str) -> int | str:
    try:
        return text if text == "all" else int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a whole number nor all") from None


def _schedule(text: str) -> Any:
    """Return a number, or a step function of t written as JSON."""
    try:
        return parse_json(text, "it")
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number, and no JSON such as [2, [0.05, 6]]") from None
