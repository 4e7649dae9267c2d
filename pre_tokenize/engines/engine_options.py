"""Who makes shards, this process or actors of Ray, and on which device: as the options say."""

import argparse
import os

import torch

from lumos.media.inputs import choose_device, pin
from pre_tokenize.bookkeeping.share import own_gpu
from pre_tokenize.engines.engine import Engine, LocalEngine
from xllmx.ranks.ray_cluster import check_options, require_ray

ANY = ""
"""A device that is not chosen yet: each actor has its own."""


def engine_of(options: argparse.Namespace) -> Engine:
    """The engine that is asked for.

    Raises:
        SettingError: it is not installed, or an option of the other one is given.
    """
    check_options(options)
    if options.engine == "local":
        return LocalEngine()
    from pre_tokenize.engines.ray_engine import RayEngine

    return RayEngine(address=options.ray_address)


def device_of(options: argparse.Namespace) -> str:
    """Where the network runs; of actors of Ray `ANY`, or the kind of device that was typed."""
    if options.engine == "local":
        return str(pin(choose_device(options.device or own_gpu(os.environ, torch.cuda.device_count()))))
    require_ray()
    return options.device or ANY
