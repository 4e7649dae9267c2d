"""`lumos export`: a model folder from a training run."""

import argparse
import sys
from pathlib import Path
from typing import Any

from lumos.cli.options.spelling import add_ckpts
from xllmx.run.interrupt import loading


def add_command(commands: Any) -> None:
    """Add the command to those of `lumos`."""
    command = commands.add_parser("export", help="a training run to a model folder")
    command.add_argument(
        "training_run", type=Path, metavar="RUN", help="the run's folder (trainer.run_dir) or s3:// address"
    )
    command.add_argument(
        "folder", type=Path, metavar="FOLDER", help="where the model goes: a folder, or an s3:// or gs:// address"
    )
    command.add_argument(
        "--tokenizers",
        help="model, or tiny-visual, whose tokenizers, encoders and defaults go along "
        "(default: task.init_from; encoders: the run's); size, length and rate are those of the run's clips",
    )
    command.add_argument("--dtype", default="float32", help="of the weights: float32 (default) or bfloat16")
    command.add_argument("--overwrite", action="store_true", help="replace the folder if it is there")
    command.add_argument(
        "--released", action="store_true", help="a Lumina-Video in the released layout: model_args.pth and weights"
    )
    command.add_argument("--adapter", action="store_true", help="only the adapters of a LoRA run; default: merged")
    command.add_argument(
        "--trust-run",
        action="store_true",
        help="the run is yours: read the models and checkpoints that its config.yaml names, wherever they lie",
    )
    command.set_defaults(run=run)
    add_ckpts(command)


def run(options: argparse.Namespace) -> int:
    """Make a model folder of a run's newest checkpoint."""
    with loading("lumos"):
        from lumos.cli.training.exported_model import export_run, tokenizers_missing

    print(
        export_run(
            options.training_run,
            options.folder,
            tokenizers=options.tokenizers,
            dtype=options.dtype,
            ckpts=options.ckpts,
            overwrite=options.overwrite,
            layout="adapter" if options.adapter else "released" if options.released else "model",
            trusted=options.trust_run,
        )
    )
    if said := tokenizers_missing(options.training_run, options.folder, ckpts=options.ckpts):
        print(f"lumos: {said}", file=sys.stderr)
    return 0
