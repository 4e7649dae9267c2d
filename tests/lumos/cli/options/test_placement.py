"""What the options of placement read."""

import argparse

import pytest

from lumos.cli.options.placement import add_placement, read_memory
from xllmx.run.option_parser import OptionParser


def test_places_and_their_room_are_read() -> None:
    assert read_memory("0=2GiB, 1=1.5GB,CPU=60MiB,disk=3kb") == {
        0: 2 * 2**30, 1: 1_500_000_000, "cpu": 60 * 2**20, "disk": 3000
    }  # fmt: skip


@pytest.mark.parametrize("text", ["", "20GiB", "0=20", "gpu=1GiB", "0=-1GiB", "0=1GiB;cpu=1GiB", "0=nanGiB"])
def test_what_is_no_room_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="write places with their room, as in 0=20GiB"):
        read_memory(text)


def test_the_options_are_auto_or_nothing() -> None:
    parser = OptionParser(prog="p")
    assert [action.dest for action in add_placement(parser)] == ["device_map", "max_memory"]
    assert parser.parse_args([]).device_map is None
    with pytest.raises(ValueError, match="invalid choice: 'balanced'"):
        parser.parse_args(["--device-map", "balanced"])
