"""Who makes the outputs of a list, this process or actors of Ray: the options of `lumos generate` and the drivers."""

import argparse
from collections.abc import Mapping
from typing import Any

from lumos.cli.jobs.workers import worker_of
from xllmx.ranks.ray_cluster import add_engine, check_device, check_options
from xllmx.settings.number_range import COUNT, check_number
from xllmx.settings.setting import SettingError

_NOT_THERE = {
    "device_map": "spreads one model over all GPUs, and with --engine ray each GPU has a model of its own",
    "max_memory": "goes with --device-map, and with --engine ray each GPU has a model of its own",
    "stream": "shows a clip while it is made here, and --engine ray makes it elsewhere",
}
"""Option -> why it does not go together with Ray."""


def add_sampling_engine(parser: Any) -> None:
    """Add --engine, --ray-address and --ray-actors to a program's options."""
    add_engine(parser)
    most = "most models at work at once with --engine ray (default: one a GPU of the cluster, or else one a CPU)"
    parser.add_argument("--ray-actors", type=int, metavar="N", help=most)


def check_sampling_engine(options: argparse.Namespace, environment: Mapping[str, str]) -> None:
    """Check these options, and those that do not go together with them.

    Raises:
        SettingError: Ray is not installed, an option is of the other engine, or a launcher started several processes.
    """
    check_options(options)
    if options.engine == "local":
        if options.ray_actors is not None:
            raise SettingError("ray_actors", f"is {options.ray_actors}; it goes with --engine ray")
        return
    if options.ray_actors is not None:
        check_number("ray_actors", int, options.ray_actors, COUNT)
    check_device(options.device or "")
    for name, why in _NOT_THERE.items():
        if getattr(options, name, None):
            raise SettingError(name, f"{why}; leave one of them out")
    if (started := worker_of((1, 1), environment).count) > 1:
        shares = f"is ray, which shares the work itself, and {started} processes were started"
        raise SettingError("engine", f"{shares}; start one, without torchrun, and with srun --ntasks 1")
