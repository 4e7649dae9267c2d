"""The options of a dry run that say which GPUs it is reckoned for, of every command that has one."""

import argparse
from typing import TYPE_CHECKING, Any

from lumos.cli.options.spelling import option_of

if TYPE_CHECKING:  # torch: only where a dry run reckons
    from xllmx.ranks.machines import Machines

MACHINES = ("gpu", "num_gpus", "utilisation")
"""Settings of `xllmx.ranks.machines.Machines` that every dry run has."""
NETWORK = ("gpus_per_machine", "link_gb_s", "network_gb_s")
"""Those of one that counts what is exchanged."""


def add_machines(parser: Any, *, network: bool) -> None:
    """Add --gpu, --gpus and --utilisation; with `network` also how the GPUs are joined."""
    add = parser.add_argument
    add("--gpu", metavar="NAME", help="of the dry run: H100, A100, 'RTX 4090' ... (default: the one here, else H200)")
    add("--gpus", type=int, dest="num_gpus", metavar="N", help="of the dry run (default 1)")
    add("--utilisation", type=float, metavar="SHARE", help="of a GPU's peak that is reached (default 0.4: assumed)")
    if not network:
        return
    add("--gpus-per-machine", type=int, metavar="N", help="of the dry run (default 8)")
    add("--link", type=float, dest="link_gb_s", metavar="GB/S", help="between GPUs of a machine (default: data sheet)")
    speed = "of a machine to the others (default: 50 for each of its GPUs, InfiniBand NDR)"
    add("--network", type=float, dest="network_gb_s", metavar="GB/S", help=speed)


def machines_of(options: argparse.Namespace) -> "Machines":
    """Return the machines that the options name, the rest as assumed.

    Raises:
        SettingError: a GPU that is not known, or a number outside its range.
    """
    from xllmx.ranks.machines import Machines

    given = {name: getattr(options, name, None) for name in (*MACHINES, *NETWORK)}
    if given["gpu"] is None:
        given["gpu"] = _gpu_here()
    return Machines(**{name: value for name, value in given.items() if value is not None})


def refuse_machines(options: argparse.Namespace) -> None:
    """Check that none of the options is given where there is no dry run.

    Raises:
        ValueError: one is.
    """
    if options.dry_run:
        return
    for name in (*MACHINES, *NETWORK):
        if getattr(options, name, None) is not None:
            raise ValueError(f"{option_of(name)} is of the --dry-run; {_INSTEAD.get(name, 'leave it out')}")


_INSTEAD = {"gpu": "a run takes --device", "num_gpus": "a run has as many GPUs as processes: torchrun --nproc-per-node"}


def _gpu_here() -> str | None:
    """Return the name of this machine's GPU, if it is one that is known."""
    import torch

    from xllmx.ranks.data_sheets import SHEETS, sheet_of

    if not torch.cuda.is_available():
        return None
    sheet = sheet_of(torch.cuda.get_device_name())
    return next((name for name, known in SHEETS.items() if known is sheet), None)
