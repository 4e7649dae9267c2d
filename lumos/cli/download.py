"""`lumos download`: a released model, or one of the hub, with the parts it needs."""

import argparse
from typing import TYPE_CHECKING, Any

from lumos.cli.options.spelling import add_ckpts
from lumos.hub.models import LUMINA_REPO, RELEASED, SHARED_TEXT_ENCODER, SHARED_VAE
from xllmx.run.interrupt import loading

if TYPE_CHECKING:
    from lumos.hub.download import Part


def add_command(commands: Any) -> None:
    """Add the command to those of `lumos`."""
    command = commands.add_parser("download", help="bring released weights, resumed and checked")
    parts = f"cosmos, {SHARED_TEXT_ENCODER} or {SHARED_VAE} for parts alone"
    command.add_argument("name", help=f"{', '.join(RELEASED)}, {LUMINA_REPO}, a hub id (org/name[/folder]); {parts}")
    command.add_argument("--revision", default="main", help="branch, tag or commit on the hub")
    command.set_defaults(run=run)
    add_ckpts(command)


def run(options: argparse.Namespace) -> int:
    """Bring a model and the parts it needs; every part is said with its size and licence before the first byte."""
    with loading("lumos"):
        from lumos.hub.download import download

    print(download(options.name, options.ckpts, revision=options.revision, on_part=lambda part: print(describe(part))))
    return 0


def describe(part: "Part") -> str:
    """Return what is to be known of a part before it comes: what it is, how much of it is to come, its licence."""
    if part.barred:
        coming = "gated, and its licence is not accepted yet"
    elif part.files:
        coming = f"{part.num_bytes / 1e9:.2f} GB ({part.num_bytes:,} bytes) to come"
    else:
        coming = "here already"
    return f"{part.what} {part.name}: {coming}\n    into {part.folder}; licence of the weights: {part.licence}"
